"""What happens to a batch of messages, without any I/O: decode, recognise, time, judge.

`Intake.digest` is the whole of it. Its result is a `Commit`, which the pipeline writes to
the ledger in one transaction; nothing else leaves this file.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from ingest.desk import HandedIn
from ingest.drills import TOPICS as DRILL_TOPICS
from ingest.drills import Drills
from ingest.journal import packed
from ingest.ledger.commit import Commit, Refused, Stored, ToTell, identity_in_all
from ingest.registry import Device, Registry
from ingest.replay import Seen
from ingest.switching import Switching
from ingest.timing import BEHIND_MAX, in_utc, timed
from ingest.wire import (
    PAYLOAD_BYTES_MAX,
    Codec,
    Ignored,
    Message,
    Profile,
    Refusal,
    Rejected,
    Reply,
    Said,
)
from rules.alerts import Change, Subject
from rules.engine import Engine
from rules.readings import ClockState, Report, Standing
from rules.retrospect import Hazard, Retrospect

ROUTES_MAX = 200_000
"""Topics remembered; when there are more, all are forgotten and found again."""

DIGEST = "="
"""Begins an identity that is only a digest. Two messages with the same one are the same if
the broker says that it repeats itself; else they may be two of a sensor that says "no
smoke" once an hour, in the same words."""

Announce = Callable[[Change, datetime], Iterable[ToTell]]
"""Says who is to be told of an alert's transition now; asked before the commit."""

_pack = msgspec.msgpack.Encoder().encode


class Route(msgspec.Struct):
    """Who speaks on a topic."""

    codec: Codec
    name: str
    device: Device | None
    profile: Profile


class OfADrill(NamedTuple):
    """A message on the reserved topics: of a drill that we ordered, or of nobody."""


class Understood(NamedTuple):
    """A message of a device that is known by now."""

    report: Report
    reply: Reply | None


class Intake:
    """Owns the routes and what was seen; the engine and the registry are its tools."""

    def __init__(  # noqa: PLR0913  (it is where everything meets)
        self,
        codecs: Sequence[Codec],
        registry: Registry,
        engine: Engine,
        seen: Seen,
        announce: Announce,
        *,
        switching: Switching | None = None,
        drills: Drills | None = None,
    ) -> None:
        self._codecs, self._registry, self._engine = codecs, registry, engine
        self._seen, self._announce = seen, announce
        self._retrospect = Retrospect()
        self._routes: dict[str, Route | Rejected | Ignored] = {}
        self._switching = switching or Switching(engine, registry)
        self._drills = drills or Drills()

    def next_deadline(self) -> datetime | None:
        """Return the first moment at which something happens without a new message."""
        deadlines = (
            self._engine.next_deadline(),
            self._switching.next_deadline(),
            self._drills.next_deadline(),
        )
        return min((each for each in deadlines if each is not None), default=None)

    def digest(
        self,
        messages: Sequence[Message],
        now: datetime,
        orders: Iterable[HandedIn[Any]] = (),
    ) -> Commit:
        """Take a batch; return everything it causes, deadlines that have passed included.

        Orders are carried out first: whatever they change is in force for the whole batch.
        """
        batch = Commit(now=now)
        for order in orders:
            order.carry_out(batch)
        _changed(batch, self._switching.take_changes(), now)
        self._judge(messages, batch)
        self._switch(batch)
        self._sum_up(batch)
        return batch

    def judged(self, messages: Sequence[Message], now: datetime) -> Commit:
        """Only judge: switch nothing, pack nothing to be written down, and tell nobody."""
        batch = Commit(now=now)
        self._judge(messages, batch)
        return batch

    def _judge(self, messages: Sequence[Message], batch: Commit) -> None:
        _changed(batch, self._engine.advance(batch.now), batch.now)
        self._drills.advance(batch)
        for message in messages:
            match self._understood(message, batch.now):
                case Understood() as understood:
                    self._take(understood, message, batch)
                case Rejected() as rejected:
                    self._refuse(message, rejected, batch)
                case Ignored():
                    batch.ignored += 1
                case OfADrill():
                    refused = self._drills.take(message, batch)
                    if refused is not None:
                        self._refuse(message, refused, batch)

    def _switch(self, batch: Commit) -> None:
        """Cut what is a danger by now, and follow up what was ordered before."""
        touched = frozenset(self._engine.touched)
        _changed(batch, self._switching.settle(touched, batch), batch.now)

    def _understood(
        self, message: Message, now: datetime
    ) -> Understood | Rejected | Ignored | OfADrill:
        route = self._routes.get(message.topic) or self._find_route(message.topic)
        if not isinstance(route, Route):
            return route
        if len(message.payload) > PAYLOAD_BYTES_MAX:
            return Rejected(Refusal.TOO_LARGE, f"{len(message.payload)} bytes")
        said = route.codec.decode(message, route.name, route.profile)
        if not isinstance(said, Said):
            return said
        device = route.device or self._enter(route, now)
        if device is None:
            return Rejected(Refusal.TOO_MANY_DEVICES)
        learnt = self._registry.learn(device, said.readings)
        if learnt is not device:
            route.device, route.profile = learnt, self._registry.codec_profile(learnt)
        return self._report(message, said, learnt)

    def _report(self, message: Message, said: Said, device: Device) -> Understood | Rejected:
        before = self._engine.device(device.id)
        at, clock, standing = timed(
            said, message.received_at, before, retained=message.retained
        )
        if message.retained and not said.presence_only:
            age = message.received_at - at
            if clock is not ClockState.DEVICE or age > BEHIND_MAX:
                return Rejected(Refusal.RETAINED_OLD, "nobody knows when this was measured")
        report = Report(
            device=device.id,
            at=at,
            received_at=message.received_at,
            identity=said.identity or digest_of(message),
            readings=said.readings,
            standing=standing,
            clock=clock,
            claimed_at=None if said.at is None else in_utc(said.at),
        )
        return Understood(report, said.reply)

    def _take(self, understood: Understood, message: Message, batch: Commit) -> None:
        report, reply = understood
        identity = identity_in_all(report.device, report.identity)
        if identity in self._seen and self._is_repeated(report, message):
            batch.repeated += 1
            return
        self._seen.add(identity)
        before = self._engine.device(report.device)
        has_been_wrong = before is not None and before.clock is ClockState.WRONG
        if (
            report.clock is ClockState.WRONG
            and report.standing is Standing.LIVE  # what is late keeps its own time
            and not has_been_wrong
        ):
            shown = f"the device shows {report.claimed_at}; kept under its arrival time"
            self._quarantine(message, Rejected(Refusal.CLOCK_WRONG, shown), batch)
        batch.reports.append(report)
        if report.standing is Standing.LATE:
            batch.hazards += self._looked_back(report)
        if reply is not None:
            answered = self._switching.answered(report.device, reply, report.received_at)
            _changed(batch, answered, report.received_at)
        _changed(batch, self._engine.observe(report, batch.now), report.received_at)

    def _looked_back(self, report: Report) -> list[Hazard]:
        """Return what a late message would have meant, had it come in time."""
        device, registry = report.device, self._registry
        policy, profile = registry.policy_of(device), registry.profile_of(device)
        return self._retrospect.judge(report, policy, profile)

    def _is_repeated(self, report: Report, message: Message) -> bool:
        """Say whether a message whose identity is known is the same one again.

        Danger that the device does not show any more is none: "smoke", "no smoke", "smoke"
        are three messages, even if a lost connection makes the broker mark the last one.
        """
        if report.claimed_at is not None or not report.identity.startswith(DIGEST):
            return True
        if not message.again:
            return False
        state = self._engine.device(report.device)
        return state is not None and not any(
            (reading.smoke_alarm and not state.values(reading.channel).smoke_alarm)
            or (reading.overtemperature and not state.values(reading.channel).overtemperature)
            for reading in report.readings
        )

    def _refuse(self, message: Message, rejected: Rejected, batch: Commit) -> None:
        if message.again and digest_of(message) in self._seen:
            batch.repeated += 1
        else:
            self._quarantine(message, rejected, batch)

    def _quarantine(self, message: Message, rejected: Rejected, batch: Commit) -> None:
        identity = digest_of(message)
        self._seen.add(identity)
        batch.refused.append(
            Refused(
                message.received_at,
                message.topic,
                message.payload,
                rejected.reason,
                rejected.detail,
                identity,
            )
        )

    def _sum_up(self, batch: Commit) -> None:
        """Pack what is written down, now: the engine's state changes with the next batch.

        In the order of `Commit`; what is not here is in it already.
        """
        engine = self._engine
        batch.registered += self._registry.take_news()
        batch.journal = packed(batch.reports) if batch.reports else b""
        batch.states = [
            (str(subject), _pack(self._stored(subject))) for subject in engine.touched
        ]
        engine.touched.clear()
        batch.sessions = engine.take_ended()
        for change in batch.changes:
            batch.to_tell += self._announce(change, batch.now)

    def _stored(self, subject: Subject) -> Stored:
        engine = self._engine
        return Stored(
            engine.state_of(subject), engine.alerts_of(subject), engine.firings_of(subject)
        )

    def _find_route(self, topic: str) -> Route | Rejected | Ignored | OfADrill:
        if topic.startswith(DRILL_TOPICS):
            return OfADrill()
        if len(self._routes) >= ROUTES_MAX:
            self._routes.clear()
        for codec in self._codecs:
            name = codec.address(topic, self._registry.names(codec.name))
            if name is None:
                continue
            route: Route | Rejected | Ignored
            if isinstance(name, str):
                device = self._registry.find(codec.name, name)
                profile = Profile() if device is None else self._registry.codec_profile(device)
                route = Route(codec, name, device, profile)
            else:
                route = name
            self._routes[topic] = route
            return route
        return Rejected(Refusal.UNKNOWN_TOPIC, "no dialect of ours")

    def _enter(self, route: Route, now: datetime) -> Device | None:
        """Find the device of a route, entering it in the registry if nobody knows it."""
        registry = self._registry
        device = registry.find(route.codec.name, route.name)
        if device is None:
            device = registry.enter(route.codec.name, route.name, now)
            if route.codec.names_matter:
                self._routes.clear()  # some topic may be understood otherwise now
        if device is not None:
            route.device, route.profile = device, registry.codec_profile(device)
        return device


def _changed(batch: Commit, changes: list[Change], arrived: datetime) -> None:
    batch.changes += changes
    for change in changes:
        batch.arrived[change.alert.episode] = arrived


def digest_of(message: Message) -> str:
    """Return an identity for a message that has no number: what it says, and where."""
    digest = blake2b(message.payload, digest_size=12, person=b"chargewatch")
    digest.update(message.topic.encode())
    return DIGEST + digest.hexdigest()
