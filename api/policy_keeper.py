"""The policy in force: that of its file, read again whenever the file has changed.

A file that is in order is in force from the next judgement on, and written down with what
it causes. One that is not is refused with its mistakes, and the policy stays as it is.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from api.policy_file import (
    KnownPlaces,
    PolicyFileWrong,
    PolicyText,
    nowhere,
    policies_of,
    read_policy_text,
)
from api.watch import Part, PolicyState
from ingest.clock import Now
from ingest.desk import Desk, Order
from ingest.ledger.audit import Audited
from ingest.ledger.commit import Commit
from ingest.ledger.policy_log import How, PolicyChange
from ingest.registry import Registry
from rules.engine import Engine
from rules.policies import BUILT_IN, Settings, changed

LOOK_S = 3.0
"""How often the file is looked at, in real time; it is read when it has rested for as long,
so that one which is still being written is not."""
ITSELF = "chargewatch"

Stamp = tuple[int, int, int]

log = structlog.get_logger()


class AtStart(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that a new process begins with."""

    text: PolicyText
    file: Path | None
    last: PolicyChange | None = None
    """What was written down last."""
    stamp: Stamp | None = None
    error: str = ""


def policy_at_start(file: Path | None, last: PolicyChange | None) -> AtStart:
    """Read the policy file. If it is wrong, the last policy stays in force.

    Raises PolicyFileWrong if there is no such thing.
    """
    if file is None:
        return AtStart(text=PolicyText(), file=None, last=last)
    stamp = stamp_of(file)
    try:
        return AtStart(text=read_policy_text(file), file=file, last=last, stamp=stamp)
    except PolicyFileWrong as error:
        policies = None if last is None else policies_of(last.settings)
        if last is None or policies is None:
            raise
        text = PolicyText(policies, last.file, last.digest)
        return AtStart(text=text, file=file, last=last, stamp=stamp, error=str(error))


def stamp_of(file: Path) -> Stamp | None:
    """Return what changes when a file does; None: it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Read(msgspec.Struct, frozen=True):
    """A file that is in order, and what is to be known of it."""

    text: PolicyText
    settings: Settings
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, text: PolicyText, known: KnownPlaces) -> "Read":
        return cls(text, text.policies.settings(), tuple(nowhere(text.policies, known)))


class PolicyKeeper:
    """Reads the file, and has what it says put in force; `state` is how that went."""

    def __init__(
        self,
        start: AtStart,
        registry: Registry,
        engine: Engine,
        desk: Desk,
        now: Now,
    ) -> None:
        self._file, self._seen = start.file, start.stamp
        self._registry, self._engine, self._desk, self._now = registry, engine, desk, now
        self._settings = BUILT_IN.settings() if start.last is None else start.last.settings
        self._signal, self._reading = asyncio.Event(), asyncio.Lock()
        self.state = PolicyState(since=None if start.last is None else start.last.at)
        if start.error:
            self._refused(start.error)
        read = Read.of(start.text, self._known())
        self._first = self._noted(now(), read, ITSELF, How.START)

    def look_now(self) -> None:
        """Have the file read again, changed or not; what SIGHUP means."""
        self._signal.set()

    async def run(self) -> None:
        """Write down what the start has changed, and look at the file for ever."""
        first, before = self._first, self._seen
        if first is not None:
            self._desk.hand_in(lambda batch: batch.policy_changes.append(first))
        while self._file is not None:
            how = await self._next_look()
            stamp = await asyncio.to_thread(stamp_of, self._file)
            rests, before = stamp == before, stamp
            if how is How.SIGNAL or (rests and stamp != self._seen):
                with suppress(PolicyFileWrong):  # it is said already, and stays in `state`
                    async with self._reading:
                        self._desk.hand_in(await self._read_anew(ITSELF, how))

    async def reload(self, deed: Audited, how: How) -> None:
        """Read the file and put it in force; returns when that is on the disk, with the deed.

        Raises PolicyFileWrong, and leaves everything as it is; DeskBusy, if that takes long.
        """
        async with self._reading:
            put_in_force = await self._read_anew(deed.who, how)

            def order(batch: Commit) -> None:
                put_in_force(batch)
                batch.audited.append(deed)

            await self._desk.ask(order)

    def part(self) -> Part:
        """Say how the policy file is, for `ready`: its first mistake will do."""
        state = self.state
        first, *more = state.error.splitlines() or [""]
        reason = f"{first} (and {len(more)} more)" if more else first
        return Part("policy", not state.error, reason, state.error_at, vital=False)

    # --- inside ----------------------------------------------------------------------

    async def _next_look(self) -> How:
        """Wait until it is time to look at the file again."""
        try:
            async with asyncio.timeout(LOOK_S):
                await self._signal.wait()
        except TimeoutError:
            return How.FILE
        self._signal.clear()
        return How.SIGNAL

    async def _read_anew(self, who: str, how: How) -> Order[None]:
        """Read the file; return the order that puts it in force. Raises PolicyFileWrong."""
        if self._file is None:
            raise PolicyFileWrong("there is no policy file: set CHARGEWATCH_POLICY_FILE")
        known = self._known()
        try:
            read = await asyncio.to_thread(self._read, self._file, known)
        except PolicyFileWrong as error:
            self._refused(str(error))
            raise
        return lambda batch: self._put_in_force(batch, read, who, how)

    def _read(self, file: Path, known: KnownPlaces) -> Read:
        """Read the file, in a thread: the engine must not wait for a long one."""
        self._seen = stamp_of(file)
        return Read.of(read_policy_text(file), known)

    def _put_in_force(self, batch: Commit, read: Read, who: str, how: How) -> None:
        self.state.error, self.state.error_at = "", None
        change = self._noted(batch.now, read, who, how)
        if change is not None:
            self._registry.apply(read.text.policies)
            self._engine.judge_all(batch.now)
            batch.policy_changes.append(change)

    def _noted(self, now: datetime, read: Read, who: str, how: How) -> PolicyChange | None:
        """Return what is to be written down: None if all is as it was before."""
        changes = tuple(changed(self._settings, read.settings))
        self._settings = read.settings
        state, text = self.state, read.text
        if changes or state.since is None:
            state.since = now
        state.file, state.digest = text.file, text.digest
        state.warnings = read.warnings
        for warning in state.warnings:
            log.warning("policy.nowhere", reason=warning)
        log.info("policy.in_force", who=who, how=how, file=text.file, changes=len(changes))
        if not changes:
            return None
        return PolicyChange(
            at=now,
            who=who,
            how=how,
            file=text.file,
            digest=text.digest,
            changes=changes,
            settings=read.settings,
        )

    def _refused(self, error: str) -> None:
        if self.state.error != error:
            log.error("policy.refused", reason=error)
        self.state.error, self.state.error_at = error, self._now()

    def _known(self) -> KnownPlaces:
        """Return who there is now, for another thread to look at."""
        known = self._registry
        return KnownPlaces(
            *(frozenset(each) for each in (known.areas, known.sites, known.devices))
        )
