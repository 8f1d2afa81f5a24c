"""What one lane sends now, what it folds into a digest, and what it holds back, and why.

Pure: what waits, how the lane does, what people heard of late and the time go in; a plan
comes out. Whoever carries it out asks again whenever something has changed.

* Danger goes first, emergencies before the rest of it. A quarter of a lane's budget is for
  danger alone.
* While the budget lasts, each alarm is told by itself and at once. When more waits than may
  be sent, as many as possible are told by themselves, and what is left for each recipient is
  folded into one message, so that all of it is told now rather than a part of it tomorrow.
* After an outage, what is old or over is folded, and what is still dangerous is not.
* Nobody has more than MESSAGES_MAX in HEARD_WITHIN: half of these may be single messages,
  and digests come so seldom that they fit into the other half.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

import msgspec

from api.channels.lanes import Lane
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, Due, Reason
from rules.alerts import Transition
from rules.verdict import Severity

MINUTE = timedelta(minutes=1)
RESERVE_PART = 4
"""A quarter of a budget, and at least one message of it, is for danger alone."""
STALE = timedelta(minutes=15)
DOWN_AFTER = 3
"""Tries that failed one after another, whatever they were to tell."""
ODD_PROBE = 4
"""Of so many tries of a lane that is down, one is not for what is most urgent."""

HEARD_WITHIN = timedelta(minutes=10)
MESSAGES_MAX = 30
SINGLES_MAX = 15
REST_SINGLES_MAX = 8
"""Warnings and good news leave some of the singles for danger."""
URGENT_EVERY = MINUTE
REST_EVERY = 2 * MINUTE
FOLDED_MAX = 2_000
"""Notifications in one digest: one transaction makes it."""


class Rank(IntEnum):
    """What goes before what."""

    EMERGENCY = 0
    DANGER = 1
    REST = 2


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient had within HEARD_WITHIN, by whatever way."""

    messages: tuple[datetime, ...] = ()
    urgent_digest_at: datetime | None = None
    rest_digest_at: datetime | None = None


class LaneNow(msgspec.Struct, frozen=True, kw_only=True):
    """How a lane does."""

    lane: Lane
    sent: tuple[datetime, ...] = ()
    """When it was asked within the last minute, oldest first, what is on its way included."""
    on_the_way: int = 0
    failures: int = 0
    """Tries that failed since the last that did not."""
    paused_until: datetime | None = None
    """The provider asked for it."""
    probe_at: datetime | None = None
    """While it is down: not before."""

    @property
    def is_down(self) -> bool:
        return self.failures >= DOWN_AFTER


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One message: an alarm's news by itself, several folded, or a digest made before."""

    items: tuple[Due, ...] = ()
    digest: Digest | None = None
    is_digest: bool = False
    """Whether it counts as a digest, even if there was one notification only to fold."""
    rank: Rank

    @property
    def who(self) -> str:
        return self.digest.who if self.digest is not None else self.items[0].who

    @property
    def attempts(self) -> int:
        return self.digest.attempts if self.digest is not None else self.items[0].attempts


class Plan(msgspec.Struct, kw_only=True):
    """What to do now; `wake_at` is when there may be more to do without anything new."""

    send: list[Parcel] = []
    held: dict[int, Reason] = {}
    """By number of its row, why it waits although it might be sent."""
    wake_at: datetime | None = None

    def wake(self, at: datetime) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)


Trail = tuple[str, str, str]
"""Who hears of which episode by which channel: what is on this is told in its order."""


def trail_of(item: Due) -> Trail:
    return (item.who, item.channel, item.episode)


class _Line(msgspec.Struct, frozen=True):
    """What waits about one episode for one channel of one recipient, in its order."""

    items: tuple[Due, ...]
    rank: Rank
    stale: bool
    """To be folded whatever the budget."""

    @property
    def head(self) -> Due:
        return self.items[0]


def plan(  # noqa: PLR0913, PLR0917  (as many things decide it)
    waiting: Sequence[Due],
    digests: Sequence[Digest],
    now_is: LaneNow,
    heard: Mapping[str, Heard],
    busy: Collection[Trail],
    now: datetime,
) -> Plan:
    """Return what a lane does now.

    `waiting` and `digests` are without what is on its way; `busy` are the trails of that.
    """
    made = Plan()
    lines = _ready(_lines(waiting, busy, now), made, now)
    due = [digest for digest in digests if _is_due(digest.next_at, made, now)]
    if now_is.paused_until is not None and now < now_is.paused_until:
        _hold(lines, Reason.WAITS_FOR_PROVIDER, made)
        made.wake(now_is.paused_until)
    elif now_is.is_down:
        _probe(lines, due, now_is, made, now)
    elif now_is.lane.folds and now_is.lane.per_minute is not None:
        _within_budget(lines, due, _Budget(now_is, heard, now), made)
    else:
        made.send = [_single(line) for line in lines]
    return made


def rank_of(item: Due) -> Rank:
    if item.urgency != FIRST:
        return Rank.REST
    return Rank.EMERGENCY if item.severity is Severity.EMERGENCY else Rank.DANGER


# --- what waits -----------------------------------------------------------------------------


def _lines(waiting: Sequence[Due], busy: Collection[Trail], now: datetime) -> list[_Line]:
    trails: dict[Trail, list[Due]] = {}
    for item in waiting:
        trails.setdefault(trail_of(item), []).append(item)
    return [
        line
        for trail, items in trails.items()
        if trail not in busy
        for line in _lines_of(sorted(items, key=lambda item: item.id), now)
    ]


def _lines_of(items: list[Due], now: datetime) -> list[_Line]:
    """Return what may be told by itself: the beginning first, the end last, and alone."""
    whole = _line(items, now)
    if whole.stale or whole.head.transition in {Transition.FIRING, Transition.RESOLVED}:
        return [whole]
    return [_line([item], now) for item in items if item.transition != Transition.RESOLVED]


def _line(items: list[Due], now: datetime) -> _Line:
    head = items[0]
    old = now - head.created_at > STALE
    begins = head.transition != Transition.RESOLVED
    if begins and items[-1].transition == Transition.RESOLVED and (old or head.attempts):
        return _Line(tuple(items), Rank.REST, stale=True)  # over before anybody heard of it
    rank = min(rank_of(item) for item in items)
    return _Line(tuple(items), rank, stale=old and rank is Rank.REST)


def _ready(lines: Sequence[_Line], made: Plan, now: datetime) -> list[_Line]:
    ready = [line for line in lines if _is_due(line.head.next_at, made, now)]
    return sorted(ready, key=lambda line: (line.rank, line.head.id))


def _is_due(next_at: datetime, made: Plan, now: datetime) -> bool:
    if next_at > now:
        made.wake(next_at)
    return next_at <= now


def _hold(lines: Sequence[_Line], reason: Reason, made: Plan) -> None:
    made.held.update((item.id, reason) for line in lines for item in line.items)


def _single(line: _Line) -> Parcel:
    return Parcel(items=(line.head,), rank=line.rank)


def _again(digest: Digest) -> Parcel:
    rank = Rank.DANGER if digest.urgency == FIRST else Rank.REST
    return Parcel(digest=digest, is_digest=True, rank=rank)


def _most_urgent(parcel: Parcel) -> tuple[int, int]:
    return (parcel.rank, parcel.attempts)


def _least_tried(parcel: Parcel) -> tuple[int, int]:
    return (parcel.attempts, parcel.rank)


def _probe(
    lines: Sequence[_Line], due: Sequence[Digest], now_is: LaneNow, made: Plan, now: datetime
) -> None:
    """Try with one message whether the lane is back: the most urgent that may be tried.

    Now and then it is the one that was tried least, lest what fails by itself stops the rest.
    """
    tries = [*map(_single, lines), *map(_again, due)]
    if now_is.probe_at is not None and now < now_is.probe_at:
        made.wake(now_is.probe_at)
    elif tries and not now_is.on_the_way:
        odd = now_is.failures % ODD_PROBE == ODD_PROBE - 1
        first = min(tries, key=_least_tried if odd else _most_urgent)
        made.send = [first]
        lines = [line for line in lines if line.head not in first.items]
    _hold(lines, Reason.WAITS_FOR_PROVIDER, made)


# --- within the budget ----------------------------------------------------------------------


class _Budget:
    """What may still be sent: by the lane, and to each recipient."""

    def __init__(self, lane: LaneNow, heard: Mapping[str, Heard], now: datetime) -> None:
        self.now, self._heard = now, heard
        per_minute = lane.lane.per_minute or 0
        self._sent = [at for at in lane.sent if at > now - MINUTE]
        self.left = per_minute - len(self._sent)
        self._reserve = max(1, per_minute // RESERVE_PART)
        self._taken: Counter[str] = Counter()

    def left_for(self, *, urgent: bool) -> int:
        return max(0, self.left if urgent else self.left - self._reserve)

    @property
    def frees_at(self) -> datetime:
        return self._sent[0] + MINUTE if self._sent else self.now + MINUTE

    def singles_for(self, who: str, *, urgent: bool) -> int:
        """Return how many more messages about one alarm somebody may have now."""
        messages = self._known(who).messages
        had = sum(at > self.now - HEARD_WITHIN for at in messages) + self._taken[who]
        return max(0, (SINGLES_MAX if urgent else REST_SINGLES_MAX) - had)

    def is_open(self, who: str, *, urgent: bool) -> bool:
        """Say whether somebody may have a digest of that kind now."""
        last = self._last_digest(who, urgent=urgent)
        return last is None or last + _every(urgent=urgent) <= self.now

    def opens_at(self, who: str, *, urgent: bool) -> datetime:
        """Return when somebody may have the next digest of that kind, after one of now."""
        last = self._last_digest(who, urgent=urgent)
        opens = self.now if last is None else last + _every(urgent=urgent)
        return opens if opens > self.now else self.now + _every(urgent=urgent)

    def take(self, parcel: Parcel) -> None:
        self.left -= 1
        self._taken[parcel.who] += 1

    def _last_digest(self, who: str, *, urgent: bool) -> datetime | None:
        known = self._known(who)
        return known.urgent_digest_at if urgent else known.rest_digest_at

    def _known(self, who: str) -> Heard:
        return self._heard.get(who, Heard())


def _every(*, urgent: bool) -> timedelta:
    return URGENT_EVERY if urgent else REST_EVERY


def _within_budget(
    lines: Sequence[_Line], due: Sequence[Digest], budget: _Budget, made: Plan
) -> None:
    for urgent in (True, False):
        again = [_again(each) for each in due if (each.urgency == FIRST) is urgent]
        kind = [line for line in lines if (line.rank is not Rank.REST) is urgent]
        room = budget.left_for(urgent=urgent)
        now_again = again[:room]
        new = _allocated(kind, room - len(now_again), budget, made, urgent=urgent)
        for parcel in sorted([*new, *now_again], key=lambda parcel: parcel.is_digest):
            budget.take(parcel)
            made.send.append(parcel)
        if len(now_again) < len(again):
            made.wake(budget.frees_at)


def _allocated(
    lines: Sequence[_Line], room: int, budget: _Budget, made: Plan, *, urgent: bool
) -> list[Parcel]:
    """Return at most `room` messages that tell as much as possible, singles first."""
    singles, folded, capped = _first_choice(lines, budget, urgent=urgent)
    open_for = {
        who: budget.is_open(who, urgent=urgent) for who in {line.head.who for line in lines}
    }
    groups: dict[tuple[str, str], list[_Line]] = {}
    messages = len(singles)
    for line in folded:
        messages += _put(line, groups, open_for)
    while messages > room and singles:
        messages += _put(singles.pop(), groups, open_for) - 1
    parcels = [_single(line) for line in singles]
    for (who, _), some in sorted(groups.items(), key=lambda each: _order(each[1])):
        ordered = sorted(some, key=lambda line: (line.rank, line.head.id))
        if open_for[who] and len(parcels) < room:
            open_for[who] = False  # one digest, though there may be two channels
            parcel, ordered = _folded(ordered)
            parcels.append(parcel)
        if ordered:
            enough = who in capped and not open_for[who]
            reason = Reason.ENOUGH_FOR_NOW if enough else Reason.WAITS_FOR_BUDGET
            _hold(ordered, reason, made)
            made.wake(budget.opens_at(who, urgent=urgent) if enough else budget.frees_at)
    return parcels


def _first_choice(
    lines: Sequence[_Line], budget: _Budget, *, urgent: bool
) -> tuple[list[_Line], list[_Line], set[str]]:
    """Return what would be told by itself and what not, and who has had enough of the former.

    Everybody's first goes before anybody's second.
    """
    counted: Counter[str] = Counter()
    singles: list[tuple[tuple[int, int, int], _Line]] = []
    folded: list[_Line] = []
    capped: set[str] = set()
    for line in lines:
        who = line.head.who
        if line.stale:
            folded.append(line)
        elif counted[who] >= budget.singles_for(who, urgent=urgent):
            folded.append(line)
            capped.add(who)
        else:
            singles.append(((line.rank, counted[who], line.head.id), line))
            counted[who] += 1
    return [line for _, line in sorted(singles, key=lambda each: each[0])], folded, capped


def _put(
    line: _Line,
    groups: dict[tuple[str, str], list[_Line]],
    open_for: Mapping[str, bool],
) -> int:
    """Put a line to those that go together; return how many messages that adds."""
    group = (line.head.who, line.head.channel)
    is_new = group not in groups
    groups.setdefault(group, []).append(line)
    return int(is_new and open_for[line.head.who])


def _order(lines: Sequence[_Line]) -> tuple[int, int]:
    return min((line.rank, line.head.id) for line in lines)


def _folded(lines: Sequence[_Line]) -> tuple[Parcel, list[_Line]]:
    """Return one message of as many lines as fit in, and the others."""
    taken: list[Due] = []
    for number, line in enumerate(lines):
        if taken and len(taken) + len(line.items) > FOLDED_MAX:
            return _parcel(taken, lines), list(lines[number:])
        taken += line.items
    return _parcel(taken, lines), []


def _parcel(items: Sequence[Due], lines: Sequence[_Line]) -> Parcel:
    return Parcel(items=tuple(items), is_digest=True, rank=lines[0].rank)
