"""When which subject wants to be judged again, message or no message."""

import heapq
from datetime import datetime

from rules.alerts import Subject


class Deadlines:
    """The next moment of each subject, in order.

    A deadline moves at nearly every message, nearly always to a later moment. So the heap
    may hold a subject too early: when such an entry comes to the top it is put back to
    where it belongs, which costs less than a judgement that is not due, and less than an
    entry for every message.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Subject]] = []
        self._at: dict[Subject, datetime] = {}
        self._queued: dict[Subject, datetime] = {}
        """The entry of each subject in the heap; all others are void."""
        self._pushed = 0

    def wake(self, subject: Subject, at: datetime) -> None:
        """Wake a subject at `at`, or at what is scheduled already if that is earlier."""
        known = self._at.get(subject)
        if known is None or at < known:
            self.set(subject, at)

    def set(self, subject: Subject, at: datetime | None) -> None:
        """Wake a subject at `at`, whatever was scheduled before; None: not at all."""
        if at is None:
            self._at.pop(subject, None)
            return
        self._at[subject] = at
        queued = self._queued.get(subject)
        if queued is None or at < queued:
            self._push(subject, at)

    def pop_due(self, now: datetime) -> Subject | None:
        """Take out the next subject whose moment has come; None if there is none."""
        at = self.next()
        if at is None or at > now:
            return None
        subject = heapq.heappop(self._heap)[2]
        del self._at[subject], self._queued[subject]
        return subject

    def next(self) -> datetime | None:
        """Return the first moment at which somebody wants to be woken."""
        heap = self._heap
        while heap:
            at, _, subject = heap[0]
            wanted, queued = self._at.get(subject), self._queued.get(subject)
            if wanted == at and queued == at:
                return at
            heapq.heappop(heap)
            if queued == at:
                del self._queued[subject]
                if wanted is not None:
                    self._push(subject, wanted)
        return None

    def _push(self, subject: Subject, at: datetime) -> None:
        self._queued[subject] = at
        self._pushed += 1
        heapq.heappush(self._heap, (at, self._pushed, subject))


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the earlier of two moments; None is never."""
    if one is None or other is None:
        return one or other
    return min(one, other)
