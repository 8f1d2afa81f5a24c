"""When which subject wants to be judged again, message or no message."""

import heapq
from datetime import datetime

from rules.alerts import Subject


class Deadlines:
    """The earliest moment of each subject, in order.

    Waking too early costs one judgement; moving a deadline at every message would fill the
    heap with old ones. So an earlier moment replaces a later one, and never the reverse.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Subject]] = []
        self._at: dict[Subject, datetime] = {}
        self._pushed = 0

    def wake(self, subject: Subject, at: datetime) -> None:
        """Wake a subject at `at`, or at what is scheduled already if that is earlier."""
        known = self._at.get(subject)
        if known is None or at < known:
            self._at[subject] = at
            self._pushed += 1
            heapq.heappush(self._heap, (at, self._pushed, subject))

    def pop_due(self, now: datetime) -> Subject | None:
        """Take out the next subject whose moment has come; None if there is none."""
        while self._heap and self._heap[0][0] <= now:
            at, _, subject = heapq.heappop(self._heap)
            if self._at.get(subject) == at:
                del self._at[subject]
                return subject
        return None

    def next(self) -> datetime | None:
        """Return the first moment at which somebody wants to be woken."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
