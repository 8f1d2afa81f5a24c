"""Runs drills: orders one, says its messages through the broker, and notes how far it came.

What a drill is and why nobody can pass a real alarm off as one is in ingest/drills.py.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import structlog

from ingest.clock import Now
from ingest.codecs.native import Event
from ingest.desk import Desk
from ingest.drills import LONGEST, Drill, Drills
from ingest.errors import ChargewatchError
from ingest.ledger.audit import Audited
from ingest.ledger.commit import Commit
from ingest.ledger.outbox import OutboxState
from ingest.ledger.queries import DeliveryRow
from ingest.mqtt_connection import BrokerAddress, BrokerUnusable
from ingest.mqtt_visit import visiting
from rules.alerts import Transition

PAUSE_BETWEEN = timedelta(seconds=5)
"""From the beginning of one drill to that of the next: drills must not become noise."""
LASTS_S = 2.0
"""Between the alarm and its end."""
HEARD_WITHIN_S = 20.0
UNDER_WAY = timedelta(seconds=30)
"""A drill that is neither over nor known to have failed is at an end by then."""

log = structlog.get_logger()


class DrillTooSoon(ChargewatchError):
    """There was one a moment ago; `again_in` says when there may be another."""

    def __init__(self, again_in: timedelta) -> None:
        super().__init__(f"the last drill was a moment ago; wait {again_in.seconds + 1} s")
        self.again_in = again_in


class Station(StrEnum):
    """The stations of the way, in order."""

    PUBLISHED = "published"
    HEARD = "heard"
    DECIDED = "decided"
    COMMITTED = "committed"
    TOLD = "told"
    OVER = "over"


class Progress(msgspec.Struct, kw_only=True):
    """How far a drill came; `failure` is why it goes no further, if the broker is why."""

    id: str
    site: str
    who: str
    began_at: datetime
    episode: str = ""
    published_at: datetime | None = None
    heard_at: datetime | None = None
    decided_at: datetime | None = None
    committed_at: datetime | None = None
    over_at: datetime | None = None
    failure: str = ""


class DrillRunner:
    """Orders drills, one at a time, and remembers the last one."""

    def __init__(
        self, desk: Desk, broker: BrokerAddress, client_id: str, now: Now, speed: float
    ) -> None:
        self.last: Progress | None = None
        self.drills = Drills()
        """For whoever takes the messages."""
        self._desk = desk
        self._broker, self._client_id = broker, client_id
        self._now, self._speed = now, speed
        self._ordered: asyncio.Queue[tuple[Drill, Progress]] = asyncio.Queue()
        self._committed = asyncio.Event()

    async def begin(self, site: str, deed: Audited) -> Progress:
        """Order a drill; it is on its way when this returns. `deed` is who wants it, how.

        Raises DrillTooSoon, or DeskBusy if the pipeline does not take it up.
        """
        now, who = self._now(), deed.who
        if (last := self.last) is not None:
            pause = PAUSE_BETWEEN if last.over_at or last.failure else UNDER_WAY
            again_in = (last.began_at + pause * self._speed - now) / self._speed
            if again_in > timedelta(0):
                raise DrillTooSoon(again_in)
        progress = Progress(id=secrets.token_hex(4), site=site, who=who, began_at=now)
        self.last = progress
        drill = Drill(secrets.token_hex(16), site, who, now + LONGEST * self._speed)
        area = site.partition("/")[0]
        done = msgspec.structs.replace(deed, about=progress.id, area=area, detail=site)

        def begin(batch: Commit) -> None:
            self.drills.begin(drill, batch)
            batch.audited.append(done)

        await self._desk.ask(begin)
        self._ordered.put_nowait((drill, progress))
        log.info("drill.begun", id=progress.id, site=site, who=who)
        return progress

    def committed(self, batch: Commit) -> None:
        """Be told of a batch that is on the disk."""
        for alert, transition in batch.changes:
            if not alert.drill or self.last is None:
                continue
            if transition is Transition.FIRING:
                self.last.episode = alert.episode
                self.last.heard_at = batch.arrived[alert.episode]
                self.last.decided_at, self.last.committed_at = batch.now, self._now()
                self._committed.set()
            elif transition is Transition.RESOLVED and alert.episode == self.last.episode:
                self.last.over_at = self._now()

    async def run(self) -> None:
        """Say the messages of whatever drill is ordered, for ever."""
        while True:
            drill, progress = await self._ordered.get()
            self._committed.clear()
            try:
                await self._go(drill, progress)
            except (OSError, BrokerUnusable) as error:  # a TimeoutError is an OSError
                progress.failure = str(error) or "no answer"
                log.warning("drill.failed", id=progress.id, reason=progress.failure)

    async def _go(self, drill: Drill, progress: Progress) -> None:
        await self._say(drill, active=True)
        progress.published_at = self._now()
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                await self._committed.wait()
        except TimeoutError as error:
            raise BrokerUnusable(f"not back within {HEARD_WITHIN_S:g} s") from error
        await asyncio.sleep(LASTS_S)
        await self._say(drill, active=False)

    async def _say(self, drill: Drill, *, active: bool) -> None:
        event = Event(event="smoke", active=active, boot=drill.nonce, seq=int(not active))
        client_id = f"{self._client_id}-drill-{secrets.token_hex(4)}"
        async with visiting(self._broker, client_id) as visit:
            await visit.publish(
                drill.topic, msgspec.json.encode(event), int(LONGEST.total_seconds())
            )


def stuck_at(progress: Progress, told: Sequence[DeliveryRow]) -> Station | None:
    """Return the first station that is not reached; None when the drill is complete."""
    for station in (Station.PUBLISHED, Station.HEARD, Station.DECIDED, Station.COMMITTED):
        if getattr(progress, f"{station}_at") is None:
            return station
    firing = [each for each in told if each.transition == Transition.FIRING]
    if not firing or any(each.state != OutboxState.TOLD for each in firing):
        return Station.TOLD
    return Station.OVER if progress.over_at is None else None
