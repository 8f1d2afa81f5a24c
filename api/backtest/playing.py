"""Plays messages through the live path, in the time in which they arrived.

Messages are understood once, by `ingest.intake` as in the service, and judged by one engine
for each policy. Between two messages every engine wakes at each of its deadlines, so that
what fires without a message does so at its very moment.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from api.backtest.episodes import Episodes
from ingest.codecs import all_codecs
from ingest.intake import Intake
from ingest.registry import Registry
from ingest.replay import Seen
from ingest.wire import Message
from rules.alerts import Change
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.places import Places
from rules.readings import Report


class Tally(msgspec.Struct, kw_only=True):
    """What became of the messages."""

    messages: int = 0
    """Understood, and news."""
    readings: int = 0
    ignored: int = 0
    repeated: int = 0
    out_of_order: int = 0
    """Arrived, by the recording, before the one above; taken to have arrived with it."""
    refused: dict[str, int] = {}


class Side:
    """One policy: its engine, and what it would have raised."""

    def __init__(self, places: Places) -> None:
        self.engine = Engine(*rules_in_force(), places)
        self.episodes = Episodes()

    def pass_time(self, until: datetime) -> None:
        """Wake at every deadline up to and at `until`."""
        engine = self.engine
        while (due := engine.next_deadline()) is not None and due <= until:
            self.note(engine.advance(due), due)

    def observe(self, report: Report, now: datetime) -> None:
        self.note(self.engine.observe(report, now), now)

    def note(self, changes: Iterable[Change], now: datetime) -> None:
        """Keep what happened to alerts; sessions that ended would only pile up."""
        self.episodes.note(changes, now)
        self.engine.take_ended()


class Playing:
    """One run: the same messages before all policies, from `begins` on.

    As at the start of a service, every declared device is expected to report.
    """

    def __init__(self, registry: Registry, others: Iterable[Places], begins: datetime) -> None:
        """The policy in force is the registry's own; `others` are tried beside it."""
        self.registry = registry
        self.tally = Tally()
        self.begins = self.now = begins
        self.heard: set[str] = set()
        """Sites of which something was heard."""
        self.sides = tuple(map(Side, (registry, *others)))
        self._first, self._others = self.sides[0], self.sides[1:]
        engine = self._first.engine
        self._intake = Intake(all_codecs(), registry, engine, Seen(), lambda *_: ())
        for device in registry.devices.values():
            for side in self.sides:
                if device.declared:
                    side.engine.expect(device.id, begins)

    def hear(self, message: Message) -> None:
        """Take the next message of a recording."""
        now = self._moved_on(message.received_at)
        if now != message.received_at:
            message = msgspec.structs.replace(message, received_at=now)
        batch = self._intake.judged((message,), now)
        self._first.note(batch.changes, now)
        for report in batch.reports:
            self._count(report)
            for side in self._others:
                side.observe(report, now)
        tally = self.tally
        tally.ignored += batch.ignored
        tally.repeated += batch.repeated
        for refused in batch.refused:
            self.refuse(refused.reason)

    def observe(self, report: Report) -> None:
        """Take the next message of a history, understood long ago."""
        now = self._moved_on(report.received_at)
        self._count(report)
        for side in self.sides:
            side.observe(report, now)

    def refuse(self, reason: str) -> None:
        """Count a message that cannot be judged."""
        refused = self.tally.refused
        refused[reason] = refused.get(reason, 0) + 1

    def _moved_on(self, at: datetime) -> datetime:
        if at < self.now:
            self.tally.out_of_order += 1
            return self.now
        self.now = at
        for side in self.sides:
            side.pass_time(at)
        return at

    def _count(self, report: Report) -> None:
        self.tally.messages += 1
        self.tally.readings += len(report.readings)
        self.heard.add(self.registry.devices[report.device].site)
