"""What the pages and the API may see of the running service: one frozen handful.

The HTTP side asks, and never decides: the engine belongs to the pipeline and is only read
here (both live on one event loop), the ledger is asked through its queries.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

import msgspec

from api.channels.guard import Guard
from api.channels.ways import Reached
from api.drills import DrillRunner
from api.links import Links
from api.post_checks import PostChecks
from api.workings import Workings
from ingest.clock import Now
from ingest.desk import Desk
from ingest.history import History
from ingest.ledger.audit import Audited
from ingest.ledger.policy_log import How
from ingest.ledger.store import Ledger
from ingest.people import Directory, Via, Way
from ingest.registry import Registry
from ingest.switching import Switching
from rules.engine import Engine

WAITING_CHANGES_MAX = 100
LATE_CHANGES_MAX = 1_000
"""How many are kept for a page that begins to listen only after it was made."""


class Part(msgspec.Struct, frozen=True):
    """How one part of the service is doing; `reason` is empty while it is well."""

    name: str
    ok: bool
    reason: str = ""
    since: datetime | None = None
    vital: bool = True
    """False for a part whose failure loses and delays nothing that matters at once."""


class Change(msgspec.Struct, frozen=True):
    """Something on the pages is out of date: alerts of a site, or just its readings."""

    site: str
    alerts: bool


class Changes:
    """Tells every open page what changed. A page that does not listen misses, never blocks.

    A page is made first and listens a little later: it says up to which `number` it knows
    everything, and is told what came in between.
    """

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[Change], str] = {}
        self._late: deque[Change] = deque(maxlen=LATE_CHANGES_MAX)
        self.number = secrets.randbits(48)
        """Of the newest change; it begins where no other process began."""

    def since(self, number: int) -> Sequence[Change] | None:
        """Return what came after a number; None: that is not known, so it may be anything."""
        count = self.number - number
        if not 0 <= count <= len(self._late):
            return None
        return list(self._late)[len(self._late) - count :]

    def tell(self, change: Change) -> None:
        self.number += 1
        self._late.append(change)
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(change)

    def listeners(self, session: str | None = None) -> int:
        """Return how many pages are open (in one session)."""
        if session is None:
            return len(self._listeners)
        return sum(whose == session for whose in self._listeners.values())

    @contextmanager
    def listening(self, session: str = "") -> Iterator[asyncio.Queue[Change]]:
        queue: asyncio.Queue[Change] = asyncio.Queue(WAITING_CHANGES_MAX)
        self._listeners[queue] = session
        try:
            yield queue
        finally:
            del self._listeners[queue]


class PolicyState(msgspec.Struct, kw_only=True):
    """Which policy is in force, since when, and what was wrong with the file when last read."""

    file: str = ""
    """Empty: there is none, and the built-in limits are in force everywhere."""
    digest: str = ""
    """SHA-256 of the file, in hexadecimal."""
    since: datetime | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""
    error_at: datetime | None = None


class PolicyHere(Protocol):
    """The keeper of the policy file, as far as it may be asked."""

    @property
    def state(self) -> PolicyState: ...

    async def reload(self, deed: Audited, how: How) -> None:
        """Read the file and put it in force; raises PolicyFileWrong or DeskBusy."""
        ...


class PeopleHere(Protocol):
    """Whoever keeps the directory up to date."""

    async def refresh(self) -> None:
        """Return when all that is in the ledger by now is in the directory."""
        ...


class WaysHere(Protocol):
    """Whoever makes channels of the ways of people and posts."""

    @property
    def set_up(self) -> frozenset[Via]:
        """The kinds for which the settings have what it takes."""
        ...

    @property
    def guard(self) -> Guard:
        """What stands before addresses that people entered."""
        ...

    def channel_for(self, way: Way, recipient: str) -> Reached:
        """Return the channel of a way of `person:{id}` or `post:{id}`. Raises WayNotSetUp."""
        ...


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    history: History
    registry: Registry
    directory: Directory
    engine: Engine
    now: Now
    health: Callable[[], tuple[Part, ...]]
    changes: Changes
    desk: Desk
    """Where orders to the task that owns the engine are handed in."""
    switching: Switching
    """Its verbs are for those orders."""
    workings: Callable[[], Workings]
    """How it does inside, for whoever serves it."""
    metrics: Callable[[], bytes]
    """The Prometheus exposition of the process."""
    policy: PolicyHere
    people: PeopleHere
    ways: WaysHere
    drills: DrillRunner
    post_checks: PostChecks
    house: frozenset[str]
    """The names of the channels of the settings."""
    links: Links
    """Makes and reads the signed links that go out with notifications."""
