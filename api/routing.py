"""Who is told of an alert: people, posts and routes of now go in, a list comes out. Pure.

* Nobody is told of an area that is not theirs, whatever a route says.
* Of each route that fits, tier 1 is told first and tier n when the alert has come to tier n. A
  tier of which nobody can be told hands its turn to the next one, and where there is no next
  one, to the last before it: an alarm must not reach nobody.
* If nobody on duty can be told of a danger, those off duty are.
* Somebody who is named twice is told once.

The end of an alarm is not routed: whoever heard of the alarm hears of it, by the ledger. The
channels of the settings hear everything beside all this, and are none of it.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import msgspec

from api.channels.ways import name_of
from ingest.ledger.outbox import Reason
from ingest.people import EVERYWHERE, Directory, Person, Post, Route, Via, Way
from rules.alerts import EVERYTHING, Alert, Transition
from rules.schedule import Calendar, Schedule
from rules.verdict import Severity

ALL_WAYS = frozenset(Via)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What people are to be told of, as far as it decides who they are."""

    area: str
    """Empty: it has no site, and concerns several."""
    everything: bool = False
    """It concerns all there is: everybody's business, wherever they are."""
    rule: str
    severity: Severity
    drill: bool = False
    tier: int = 1
    transition: Transition = Transition.FIRING

    @classmethod
    def of(cls, alert: Alert, heard: Transition) -> "Case":
        return cls(
            area=alert.site.partition("/")[0],
            everything=not alert.site and alert.key.group == EVERYTHING,
            rule=alert.key.rule,
            severity=alert.severity,
            drill=alert.drill,
            tier=alert.tier,
            transition=heard,
        )

    @property
    def is_danger(self) -> bool:
        return not self.drill and self.severity.rank >= Severity.CRITICAL.rank

    def is_within(self, areas: Collection[str]) -> bool:
        """Say whether it is the business of somebody who answers for `areas`.

        What concerns several sites and not everything names sites of other areas, so that it
        is for those only who answer for all.
        """
        if self.everything:
            return bool(areas)
        return EVERYWHERE in areas or (self.area != "" and self.area in areas)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    recipient: str
    """`person:{id}` or `post:{id}`."""
    channel: str
    """`{via}:{id}`: the first way that may be taken."""
    tier: int
    off_duty: bool = False
    """It is a danger, and nobody on duty could be told."""


class NotTold(msgspec.Struct, frozen=True, kw_only=True):
    recipient: str
    """As the route names it, or a member of what it names."""
    reason: Reason
    tier: int


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    routes: tuple[str, ...] = ()
    """Ids of those that fit."""
    told: tuple[Told, ...] = ()
    not_told: tuple[NotTold, ...] = ()
    reached_nobody: Reason | None = None
    """Why no person is told; None: some are, or there are no routes at all."""


def routed(
    directory: Directory,
    case: Case,
    now: datetime,
    set_up: Collection[Via] = ALL_WAYS,
    calendar: Calendar | None = None,
) -> Routing:
    """Return who is told, by which way, and who is not and why.

    `set_up` are the ways that the settings have what it takes for. `calendar` remembers who
    is on duty, from one question to the next.
    """
    calendar = calendar or Calendar()
    active = [route for route in directory.routes.values() if route.active]
    routes = sorted(
        (route for route in active if _fits(route, case, now, calendar)),
        key=lambda route: route.id,
    )
    if not routes:
        return Routing(reached_nobody=Reason.NO_ROUTE if active else None)
    roll = _Roll(directory, case, now, set_up, calendar)
    _go(routes, case, roll)
    if not roll.told and case.is_danger:
        off_duty = _Roll(directory, case, now, set_up, calendar, off_duty_too=True)
        _go(routes, case, off_duty)
        if off_duty.told:
            roll = off_duty
    return Routing(
        routes=tuple(route.id for route in routes),
        told=tuple(roll.told.values()),
        not_told=tuple(
            each for each in roll.not_told.values() if each.recipient not in roll.told
        ),
        reached_nobody=None if roll.told else Reason.NOBODY_IN_REACH,
    )


def _fits(route: Route, case: Case, now: datetime, calendar: Calendar) -> bool:
    return (
        case.is_within(route.areas)
        and case.severity.rank >= route.severity.rank
        and (not route.rules or case.rule in route.rules)
        and _open(f"route:{route.id}", route.hours, now, calendar)
    )


def _open(name: str, hours: Schedule | None, now: datetime, calendar: Calendar) -> bool:
    return hours is None or calendar.span(name, hours, now).closed


def _go(routes: Iterable[Route], case: Case, roll: "_Roll") -> None:
    for route in routes:
        first = case.tier if case.transition is Transition.ESCALATED else 1
        turn = range(first, case.tier + 1)
        called = [roll.call(route, tier) for tier in turn]
        if not any(called):
            any(roll.call(route, tier) for tier in _stand_ins(turn, len(route.tiers)))


def _stand_ins(turn: range, tiers: int) -> Iterator[int]:
    """Yield the tiers that are asked when nobody of those can be told whose turn it is."""
    yield from range(turn.stop, tiers + 1)
    yield from range(min(turn.start - 1, tiers), 0, -1)


class _Roll:
    """Calls recipients by name, and notes who can be told."""

    def __init__(  # noqa: PLR0913  (as many things decide it)
        self,
        directory: Directory,
        case: Case,
        now: datetime,
        set_up: Collection[Via],
        calendar: Calendar,
        *,
        off_duty_too: bool = False,
    ) -> None:
        self._directory, self._case, self._now = directory, case, now
        self._set_up, self._calendar = set_up, calendar
        self._off_duty_too = off_duty_too
        self.told: dict[str, Told] = {}
        self.not_told: dict[str, NotTold] = {}

    def call(self, route: Route, tier: int) -> bool:
        """Note everybody of a tier; say whether anybody of it can be told."""
        names = route.tiers[tier - 1] if tier <= len(route.tiers) else ()
        called = [self._called(name, tier) for name in names]
        return any(called)

    def _called(self, name: str, tier: int) -> bool:
        kind, _, number = name.partition(":")
        match kind:
            case "person":
                return self._person(number, tier)
            case "post":
                return self._post(number, tier)
            case "role":
                return self._role(number, tier)
            case _:
                return self._is_not(name, Reason.NO_SUCH_RECIPIENT, tier)

    def _person(self, number: str, tier: int) -> bool:
        name, person = f"person:{number}", self._directory.people.get(number)
        if name in self.told:
            return True
        if person is None:
            return self._is_not(name, Reason.NO_SUCH_RECIPIENT, tier)
        if not person.active:
            return self._is_not(name, Reason.INACTIVE, tier)
        if not self._case.is_within(person.areas):
            return self._is_not(name, Reason.NOT_THEIR_AREA, tier)
        on_duty = _open(name, person.duty, self._now, self._calendar)
        if not (on_duty or self._off_duty_too):
            return self._is_not(name, Reason.OFF_DUTY, tier)
        return self._by_way(name, person, tier, off_duty=not on_duty)

    def _post(self, number: str, tier: int) -> bool:
        name, post = f"post:{number}", self._directory.posts.get(number)
        if name in self.told:
            return True
        if post is None:
            return self._is_not(name, Reason.NO_SUCH_RECIPIENT, tier)
        if not post.active:
            return self._is_not(name, Reason.INACTIVE, tier)
        if not self._case.is_within((post.area,)):
            return self._is_not(name, Reason.NOT_THEIR_AREA, tier)
        if self._by_way(name, post, tier):
            return True
        members = [self._person(member, tier) for member in post.members]
        return any(members)  # its own desk cannot be reached: whoever sits there can

    def _role(self, number: str, tier: int) -> bool:
        """Call everybody of a role whose business it is; the others are not meant."""
        meant = [
            person.id
            for person in self._directory.people.values()
            if person.role == number and person.active and self._case.is_within(person.areas)
        ]
        if not meant:
            return self._is_not(f"role:{number}", Reason.NOBODY_OF_ROLE, tier)
        called = [self._person(each, tier) for each in meant]
        return any(called)

    def _by_way(
        self, name: str, somebody: Person | Post, tier: int, *, off_duty: bool = False
    ) -> bool:
        way = self._way(somebody.ways)
        if isinstance(way, Reason):
            return self._is_not(name, way, tier)
        channel = name_of(way.via, name)
        self.told[name] = Told(recipient=name, channel=channel, tier=tier, off_duty=off_duty)
        return True

    def _way(self, ways: Collection[Way]) -> Way | Reason:
        """Return the first way that may be taken; nobody is called for what is no danger."""
        if not ways:
            return Reason.NO_WAY
        usable = [way for way in ways if way.via in self._set_up]
        if not usable:
            return Reason.WAY_NOT_SET_UP
        silent = [way for way in usable if self._case.is_danger or way.via is not Via.VOICE]
        return silent[0] if silent else Reason.NO_CALL

    def _is_not(self, name: str, reason: Reason, tier: int) -> bool:
        self.not_told.setdefault(name, NotTold(recipient=name, reason=reason, tier=tier))
        return False
