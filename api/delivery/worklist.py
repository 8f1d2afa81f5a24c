"""What waits, lane by lane, as far as it is in memory; and what everybody had of late."""

import asyncio
from collections.abc import Collection, Iterable

from api.channels.lanes import Lane
from api.delivery.lanework import Ears, LaneWork
from api.delivery.plans import HEARD_WITHIN
from api.delivery.recipients import Recipients, Unreachable, is_no_call
from ingest.clock import Now
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import Due, Reason

LOADED_MAX = 20_000
"""Notifications of one urgency in memory; the others wait in the ledger for their turn."""


class Worklist:
    def __init__(self, recipients: Recipients, now: Now) -> None:
        self.lanes: dict[str, LaneWork] = {}
        self.ears = Ears()
        self.posted = asyncio.Event()
        """Set when there may be more in the ledger, or a lane that is not served."""
        self.is_full = False
        """Whether there is more in the ledger than there was room for."""
        self._recipients, self._now = recipients, now

    def wake_all(self) -> None:
        self.posted.set()
        for work in self.lanes.values():
            work.wake.set()

    def room(self, urgency: int) -> int:
        """Return how much more of an urgency may be taken up."""
        left = LOADED_MAX - sum(work.loaded(urgency) for work in self.lanes.values())
        self.is_full = self.is_full or left <= 0
        return max(0, left)

    def place(self, item: Due) -> None:
        """Put a notification to the lane by which its recipient is reached now.

        Raises Unreachable.
        """
        if is_no_call(item.channel, item.recipient, item.urgency):
            raise Unreachable(Reason.NO_CALL)
        lane = self._recipients.reached(item.channel, item.recipient).lane
        work = self.work_of(lane)
        work.put(item, self._now())
        work.wake.set()

    def place_digest(self, digest: Digest, items: Iterable[Due]) -> None:
        """Put a digest to its lane; `items` are what it tells of. Raises Unreachable."""
        lane = self._recipients.reached(digest.channel, digest.recipient).lane
        work = self.work_of(lane)
        work.put_digest(digest, items)
        work.wake.set()

    def work_of(self, lane: Lane) -> LaneWork:
        work = self.lanes.get(lane.name)
        if work is None:
            work = self.lanes[lane.name] = LaneWork(lane)
        work.lane = lane  # the limit may be another by now
        return work

    def drop(self, numbers: Iterable[int]) -> None:
        """Take out what need not be told; what is on its way just now goes on."""
        for number in numbers:
            for work in self.lanes.values():
                if work.take_out(number):
                    work.wake.set()
                    break

    def forget(self, served: Collection[str]) -> list[str]:
        """Forget lanes that nothing waits for, and what people heard long ago.

        Returns the lanes' names.
        """
        now = self._now()
        self.ears.forget(now)
        old = [
            name
            for name, work in self.lanes.items()
            if name not in served
            and not work.has_work
            and (work.last_used is None or work.last_used < now - HEARD_WITHIN)
        ]
        for name in old:
            del self.lanes[name]
        return old
