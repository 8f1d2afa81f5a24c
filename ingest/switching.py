"""What a batch means for commands and latches: the bridge between intake and cutter."""

from collections.abc import Set as AbstractSet
from datetime import datetime

from ingest.ledger.commit import Commit
from ingest.registry import Registry
from ingest.wire import Reply
from rules.alerts import Change, Subject
from rules.cutter import Cutter
from rules.cutting import Command
from rules.engine import Engine
from rules.latch import Latch
from rules.readings import DeviceId


class Switching:
    """Takes what people, devices and the sender of commands say; fills in the commit.

    It belongs to the task that owns the engine: whoever else calls a verb of it does so in an
    order (ingest/desk.py).
    """

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._cutter = Cutter(engine, registry.policy_of)

    # --- verbs for orders --------------------------------------------------------------

    def cut(
        self, device: DeviceId, channel: int | None, *, who: str, reason: str, now: datetime
    ) -> Command:
        """Have a socket switched off and latched; return the command for it."""
        return self._cutter.order((device, channel), by=who, reason=reason, now=now)

    def clear(self, latch: Latch, *, who: str, reason: str, now: datetime) -> Latch | None:
        """Clear a latch and return it as it is then; None: it is in force no more."""
        socket = latch.device, latch.channel
        in_force = self._cutter.latched(socket)
        if in_force is None or in_force.id != latch.id:
            return None
        return self._cutter.clear(socket, by=who, reason=reason, now=now)

    def sent(self, command: str, at: datetime) -> None:
        """Be told that the broker has taken a command."""
        self._cutter.sent(command, at)

    def cannot_be_sent(self, command: str, detail: str, now: datetime) -> None:
        """Be told that there is no way to say a command to its device."""
        self._cutter.cannot_be_sent(command, detail, now)

    # --- for the batch -----------------------------------------------------------------

    def next_deadline(self) -> datetime | None:
        return self._cutter.next_deadline()

    def answered(self, device: DeviceId, reply: Reply, at: datetime) -> list[Change]:
        """Take a device's answer to a command; return what it meant for alerts."""
        self._cutter.answered(device, reply.id, ok=reply.ok, detail=reply.detail, at=at)
        return self._cutter.take_changes()

    def take_changes(self) -> list[Change]:
        """Return what the orders since the last call meant for alerts."""
        return self._cutter.take_changes()

    def settle(self, touched: AbstractSet[Subject], batch: Commit) -> list[Change]:
        """Judge what the batch has touched; return what that meant for alerts."""
        self._cutter.run(touched, batch.now)
        caused = self._cutter.take_caused()
        batch.commands += caused.commands.values()
        batch.latches += caused.latches.values()
        batch.log += caused.log
        return caused.changes
