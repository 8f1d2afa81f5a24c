"""Where one can go in the console: one table for every width of screen."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from api.http.access import Caller, Right


class Group(StrEnum):
    """What belongs together under "more", in this order; its words are `ui.group.{group}`."""

    WATCH = "watch"
    """What is going on at the stations."""
    RULES = "rules"
    """What alarms, and what does not."""
    PEOPLE = "people"
    SYSTEM = "system"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A page that has a line in the navigation."""

    key: str
    """What the page itself passes as `here`."""
    path: str
    text: str
    """Its name, as a key of the catalogue."""
    right: Right
    """Who lacks it does not see the line; the page itself refuses them in any case."""
    icon: str
    """A shape of the macro `glyph` in parts.html."""
    in_bar: bool = False
    """On a phone it is in the bar at the bottom, as at most four are, and not under "more"."""
    group: Group = Group.WATCH


PLACES: Sequence[Place] = (
    Place(key="duty", path="/", text="ui.duty", right=Right.SEE, icon="duty", in_bar=True),
    Place(
        key="stations",
        path="/stations",
        text="ui.stations",
        right=Right.SEE,
        icon="stations",
        in_bar=True,
    ),
    Place(
        key="sessions",
        path="/sessions",
        text="ui.sessions",
        right=Right.SEE,
        icon="sessions",
        in_bar=True,
    ),
    Place(key="devices", path="/devices", text="ui.devices", right=Right.SEE, icon="devices"),
    Place(
        key="checks",
        path="/checks",
        text="ui.checks",
        right=Right.SEE,
        icon="checks",
        group=Group.PEOPLE,
    ),
    Place(
        key="silences",
        path="/silences",
        text="ui.silences",
        right=Right.SEE,
        icon="silences",
        group=Group.RULES,
    ),
    Place(
        key="policy",
        path="/policy",
        text="ui.policy",
        right=Right.SEE,
        icon="policy",
        group=Group.RULES,
    ),
    Place(
        key="hazards",
        path="/hazards",
        text="ui.hazards",
        right=Right.SEE,
        icon="hazards",
        group=Group.RULES,
    ),
    Place(
        key="people",
        path="/people",
        text="ui.people",
        right=Right.PEOPLE,
        icon="people",
        group=Group.PEOPLE,
    ),
    Place(
        key="me",
        path="/me",
        text="ui.me",
        right=Right.SEE,
        icon="person",
        group=Group.PEOPLE,
    ),
    Place(
        key="service",
        path="/service",
        text="ui.service",
        right=Right.SERVICE,
        icon="service",
        group=Group.SYSTEM,
    ),
    Place(
        key="quarantine",
        path="/quarantine",
        text="ui.quarantine",
        right=Right.SERVICE,
        icon="quarantine",
        group=Group.SYSTEM,
    ),
    Place(
        key="audit",
        path="/audit",
        text="ui.audit",
        right=Right.AUDIT,
        icon="audit",
        group=Group.SYSTEM,
    ),
)


class Navigation(msgspec.Struct, frozen=True):
    bar: tuple[Place, ...]
    more: tuple[Place, ...]

    @property
    def groups(self) -> list[tuple[Group, list[Place]]]:
        """Return what is under "more", group by group; one without a line is left out."""
        found = (
            (group, [each for each in self.more if each.group is group]) for group in Group
        )
        return [(group, places) for group, places in found if places]


def navigation_of(caller: Caller) -> Navigation:
    """Return what somebody with these rights is shown."""
    shown = [place for place in PLACES if caller.may(place.right)]
    return Navigation(
        bar=tuple(place for place in shown if place.in_bar),
        more=tuple(place for place in shown if not place.in_bar),
    )
