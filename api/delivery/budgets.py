"""What a lane may send within its budget, and what of the rest is folded for whom."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from api.delivery.plans import (
    FOLDED_MAX,
    HEARD_WITHIN,
    MINUTE,
    RESERVE_PART,
    REST_EVERY,
    SINGLES_MAX,
    URGENT_EVERY,
    Heard,
    LaneNow,
    Line,
    Parcel,
    Plan,
    Rank,
    again,
    hold,
    single,
)
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, Due, Reason


class Budget:
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

    def singles_for(self, who: str, rank: Rank) -> int:
        """Return how many more messages about one alarm so urgent somebody may have now."""
        told = self._known(who).singles
        had = sum(at > self.now - HEARD_WITHIN for at in told) + self._taken[who]
        return max(0, SINGLES_MAX[rank] - had)

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
        self._taken[parcel.who] += not parcel.is_digest

    def _last_digest(self, who: str, *, urgent: bool) -> datetime | None:
        known = self._known(who)
        return known.urgent_digest_at if urgent else known.rest_digest_at

    def _known(self, who: str) -> Heard:
        return self._heard.get(who, Heard())


def _every(*, urgent: bool) -> timedelta:
    return URGENT_EVERY if urgent else REST_EVERY


def within_budget(
    lines: Sequence[Line], due: Sequence[Digest], budget: Budget, made: Plan
) -> None:
    for urgent in (True, False):
        repeated = [again(each) for each in due if (each.urgency == FIRST) is urgent]
        kind = [line for line in lines if (line.rank is not Rank.REST) is urgent]
        room = budget.left_for(urgent=urgent)
        due_again = repeated[:room]
        new = _allocated(kind, room - len(due_again), budget, made, urgent=urgent)
        for parcel in sorted([*new, *due_again], key=lambda parcel: parcel.is_digest):
            budget.take(parcel)
            made.send.append(parcel)
        if len(due_again) < len(repeated):
            made.wake(budget.frees_at)


def _allocated(
    lines: Sequence[Line], room: int, budget: Budget, made: Plan, *, urgent: bool
) -> list[Parcel]:
    """Return at most `room` messages that tell as much as possible, singles first."""
    singles, folded, capped = _first_choice(lines, budget)
    open_for = {
        who: budget.is_open(who, urgent=urgent) for who in {line.head.who for line in lines}
    }
    groups: dict[tuple[str, str], list[Line]] = {}
    messages = len(singles)
    for line in folded:
        messages += _put(line, groups, open_for)
    while messages > room and singles:
        messages += _put(singles.pop(), groups, open_for) - 1
    parcels = [single(line) for line in singles]
    for (who, _), some in sorted(groups.items(), key=lambda each: _order(each[1])):
        ordered = sorted(some, key=lambda line: (line.rank, line.head.id))
        if open_for[who] and len(parcels) < room:
            open_for[who] = False  # one digest, though there may be two channels
            parcel, ordered = _folded(ordered)
            parcels.append(parcel)
        if ordered:
            enough = who in capped and not open_for[who]
            reason = Reason.ENOUGH_FOR_NOW if enough else Reason.WAITS_FOR_BUDGET
            hold(ordered, reason, made)
            made.wake(budget.opens_at(who, urgent=urgent) if enough else budget.frees_at)
    return parcels


def _first_choice(
    lines: Sequence[Line], budget: Budget
) -> tuple[list[Line], list[Line], set[str]]:
    """Return what would be told by itself and what not, and who has had enough of the former.

    Everybody's first goes before anybody's second.
    """
    counted: Counter[str] = Counter()
    singles: list[tuple[tuple[int, int, int], Line]] = []
    folded: list[Line] = []
    capped: set[str] = set()
    for line in lines:
        who = line.head.who
        if line.stale:
            folded.append(line)
        elif counted[who] >= budget.singles_for(who, line.rank):
            folded.append(line)
            capped.add(who)
        else:
            singles.append(((line.rank, counted[who], line.head.id), line))
            counted[who] += 1
    return [line for _, line in sorted(singles, key=lambda each: each[0])], folded, capped


def _put(
    line: Line,
    groups: dict[tuple[str, str], list[Line]],
    open_for: Mapping[str, bool],
) -> int:
    """Put a line to those that go together; return how many messages that adds."""
    group = (line.head.who, line.head.channel)
    is_new = group not in groups
    groups.setdefault(group, []).append(line)
    return int(is_new and open_for[line.head.who])


def _order(lines: Sequence[Line]) -> tuple[int, int]:
    return min((line.rank, line.head.id) for line in lines)


def _folded(lines: Sequence[Line]) -> tuple[Parcel, list[Line]]:
    """Return one message of as many lines as fit in, and the others."""
    taken: list[Due] = []
    for number, line in enumerate(lines):
        if taken and len(taken) + len(line.items) > FOLDED_MAX:
            return _parcel(taken, lines), list(lines[number:])
        taken += line.items
    return _parcel(taken, lines), []


def _parcel(items: Sequence[Due], lines: Sequence[Line]) -> Parcel:
    return Parcel(items=tuple(items), is_digest=True, rank=lines[0].rank)
