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

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from api.delivery.budgets import Budget, within_budget
from api.delivery.plans import (
    ODD_PROBE,
    STALE,
    Heard,
    LaneNow,
    Line,
    Parcel,
    Plan,
    Rank,
    Trail,
    again,
    hold,
    rank_of,
    single,
    trail_of,
)
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import Due, Reason
from rules.alerts import Transition


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
        hold(lines, Reason.WAITS_FOR_PROVIDER, made)
        made.wake(now_is.paused_until)
    elif now_is.is_down or now_is.is_doubtful:
        _probe(lines, due, now_is, made, now)
    elif now_is.lane.folds and now_is.lane.per_minute is not None:
        within_budget(lines, due, Budget(now_is, heard, now), made)
    else:
        made.send = [single(line) for line in lines]
    return made


# --- what waits -----------------------------------------------------------------------------


def _lines(waiting: Sequence[Due], busy: Collection[Trail], now: datetime) -> list[Line]:
    trails: dict[Trail, list[Due]] = {}
    for item in waiting:
        trails.setdefault(trail_of(item), []).append(item)
    return [
        line
        for trail, items in trails.items()
        if trail not in busy
        for line in _lines_of(sorted(items, key=lambda item: item.id), now)
    ]


def _lines_of(items: list[Due], now: datetime) -> list[Line]:
    """Return what may be told by itself: the beginning first, the end last, and alone."""
    whole = _line(items, now)
    if whole.stale or whole.head.transition in {Transition.FIRING, Transition.RESOLVED}:
        return [whole]
    return [_line([item], now) for item in items if item.transition != Transition.RESOLVED]


def _line(items: list[Due], now: datetime) -> Line:
    head = items[0]
    old = now - head.created_at > STALE
    begins = head.transition != Transition.RESOLVED
    if begins and items[-1].transition == Transition.RESOLVED and (old or head.attempts):
        return Line(tuple(items), Rank.REST, stale=True)  # over before anybody heard of it
    rank = min(rank_of(item) for item in items)
    return Line(tuple(items), rank, stale=old and rank is Rank.REST)


def _ready(lines: Sequence[Line], made: Plan, now: datetime) -> list[Line]:
    ready = [line for line in lines if _is_due(line.head.next_at, made, now)]
    return sorted(ready, key=lambda line: (line.rank, line.head.id))


def _is_due(next_at: datetime, made: Plan, now: datetime) -> bool:
    if next_at > now:
        made.wake(next_at)
    return next_at <= now


def _most_urgent(parcel: Parcel) -> tuple[int, int]:
    return (parcel.rank, parcel.attempts)


def _least_tried(parcel: Parcel) -> tuple[int, int]:
    return (parcel.attempts, parcel.rank)


def _probe(
    lines: Sequence[Line], due: Sequence[Digest], now_is: LaneNow, made: Plan, now: datetime
) -> None:
    """Try with one message whether the lane is back: the most urgent that may be tried.

    Now and then it is the one that was tried least, lest what fails by itself stops the rest.
    """
    tries = [*map(single, lines), *map(again, due)]
    if now_is.probe_at is not None and now < now_is.probe_at:
        made.wake(now_is.probe_at)
    elif tries and not now_is.on_the_way:
        odd = now_is.failures % ODD_PROBE == ODD_PROBE - 1
        first = min(tries, key=_least_tried if odd else _most_urgent)
        made.send = [first]
        lines = [line for line in lines if line.head not in first.items]
    hold(lines, Reason.WAITS_FOR_PROVIDER, made)
