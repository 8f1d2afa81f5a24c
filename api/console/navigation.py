"""Where one can go in the console: one table for every width of screen."""

from collections.abc import Sequence

import msgspec

from api.http.access import Caller, Right


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
    Place(key="checks", path="/checks", text="ui.checks", right=Right.SEE, icon="checks"),
    Place(
        key="quarantine",
        path="/quarantine",
        text="ui.quarantine",
        right=Right.SERVICE,
        icon="quarantine",
    ),
)


class Navigation(msgspec.Struct, frozen=True):
    bar: tuple[Place, ...]
    more: tuple[Place, ...]


def navigation_of(caller: Caller) -> Navigation:
    """Return what somebody with these rights is shown."""
    shown = [place for place in PLACES if caller.may(place.right)]
    return Navigation(
        bar=tuple(place for place in shown if place.in_bar),
        more=tuple(place for place in shown if not place.in_bar),
    )
