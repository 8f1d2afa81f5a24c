"""What a batch means for commands and latches: the bridge between intake and cutter."""

import asyncio
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial

from ingest.desk import Answer, CannotBeSent, ClearWanted, CutWanted, Desk, Request, WasSent
from ingest.ledger.commit import Commit
from ingest.registry import Registry
from ingest.wire import Reply
from rules.alerts import Change, Subject
from rules.cutter import Cutter
from rules.engine import Engine
from rules.readings import DeviceId


class Switching:
    """Takes what waits on the desk and what devices answer; fills in the commit."""

    def __init__(self, engine: Engine, registry: Registry, desk: Desk) -> None:
        self._desk = desk
        self._cutter = Cutter(engine, registry.policy_of)

    @property
    def waits(self) -> bool:
        """Say whether somebody has handed in what is to be taken up at once."""
        return self._desk.waits

    def next_deadline(self) -> datetime | None:
        return self._cutter.next_deadline()

    def answered(self, device: DeviceId, reply: Reply, at: datetime) -> None:
        """Take a device's answer to a command."""
        self._cutter.answered(device, reply.id, ok=reply.ok, detail=reply.detail, at=at)

    def settle(self, touched: AbstractSet[Subject], batch: Commit) -> list[Change]:
        """Take up the desk and judge what changed; return what it meant for alerts."""
        for request, waiting in self._desk.take():
            answer = self._take_up(request, batch.now)
            if waiting is not None:
                batch.answers.append(partial(_give, waiting, answer))
        self._cutter.run(touched, batch.now)
        caused = self._cutter.take_caused()
        batch.commands += caused.commands.values()
        batch.latches += caused.latches.values()
        batch.log += caused.log
        return caused.changes

    def _take_up(self, request: Request, now: datetime) -> Answer:
        cutter = self._cutter
        match request:
            case CutWanted(device, channel, who, reason):
                return cutter.order((device, channel), by=who, reason=reason, now=now)
            case ClearWanted(latch, device, channel, who, reason):
                in_force = cutter.latched((device, channel))
                if in_force is None or in_force.id != latch:
                    return None
                return cutter.clear((device, channel), by=who, reason=reason, now=now)
            case WasSent(command, at):
                cutter.sent(command, at)
            case CannotBeSent(command, detail):
                cutter.cannot_be_sent(command, detail, now)
        return None


def _give(waiting: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not waiting.done():  # else nobody waits any more
        waiting.set_result(answer)
