"""What all devices have in common: an agenda in virtual time, a voice, and faults."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property, partial
from random import Random

import msgspec

from ingest.codecs.native import ROOT, Command, Event, Reply, Status
from rules.readings import Kind
from simulator.clocks import ClockFault, shown
from simulator.commands import understood
from simulator.emissions import Emission, stream
from simulator.links import Step
from simulator.orders import Obedience
from simulator.skins.skin import Skin

BOOTS_WITHIN = timedelta(seconds=20)
"""A village does not switch on at once; every device connects a moment of its own later."""
SIGNAL_PCT = 42.0, 94.0
"""How well devices are received, the worst and the best of them ..."""
SIGNAL_MOVES_PCT = 2.0
"""... and how far that moves from one report to the next."""
DONE_MAX = 32
"""Commands that a device remembers."""
TELEMETRY = b'{"at":%b,"boot":"%b","seq":%d,"readings":[%b]}'
"""As `Telemetry` is encoded; put together by hand, because most messages are some."""
JITTER_S = 0.4
"""No device's timer is exact; each beat comes up to this much late."""


class Span(msgspec.Struct, frozen=True):
    """A time in which something is so: [since, until)."""

    since: datetime
    until: datetime | None = None
    """None: for ever."""

    def has(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with a device besides what it measures; each independent of the rest."""

    dies_at: datetime | None = None
    """From now on it says nothing, and nobody says so for it."""
    drops_at: datetime | None = None
    """Its connection breaks for good; the broker publishes its last will."""
    dark: tuple[Span, ...] = ()
    """The mains are away: it neither measures nor speaks, and starts anew afterwards."""
    reconnects_at: tuple[datetime, ...] = ()
    """It connects again, and says its birth and how things are."""
    willed_at: tuple[datetime, ...] = ()
    """The broker takes it for gone, though it lives, and publishes its last will."""
    clock: tuple[ClockFault, ...] = ()
    link: tuple[Step, ...] = ()
    """What happens to its messages on their way, in this order."""


class Device:
    """One device. It acts when `next_at` says so, and returns what it says.

    What it does next is decided in virtual time alone: `act` and `obey` are its only ways
    on, and their moments must not go back.
    """

    kind = Kind.UNKNOWN
    beat = timedelta(minutes=1)
    skin: Skin | None = None
    """The dialect that it speaks; None: our own."""
    obedience = Obedience()

    def __init__(
        self, name: str, starts: datetime, seed: int, faults: Faults, *, own_connection: bool
    ) -> None:
        self.id = name
        self.own_connection = own_connection
        self.chance = stream(seed, name)
        self.gone = False
        self._faults = faults
        self._boot = f"{self.chance.getrandbits(32):08x}"
        self._seq = 0
        self._topics = "/".join((*ROOT, name))
        self._said: list[Emission] = []
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._planned = 0
        self._radio = stream(seed, name, "radio")
        self._seed = seed
        self._signal_pct = self._radio.uniform(*SIGNAL_PCT)
        self._done: dict[str, Reply] = {}
        """The last commands and what was answered: a repeated one is carried out once."""
        self._powered = True
        self._plan(starts + BOOTS_WITHIN * self.chance.random(), self._start)
        self._plan_faults(faults)

    def next_at(self) -> datetime | None:
        """Return the moment of its next act; None: it will say nothing more by itself."""
        return self._agenda[0][0] if self._agenda else None

    def act(self) -> list[Emission]:
        """Do what is due at `next_at`; return what is said by it, often nothing."""
        at, _, deed = heapq.heappop(self._agenda)
        deed(at)
        return self._spoken()

    def obey(self, payload: bytes, now: datetime) -> list[Emission]:
        """Take a command at `now`; whatever it is, a device that lives answers it."""
        late = self.obedience.latency(self._orders)
        if late is None or self.gone or not self._powered:
            return []
        if late:
            self._plan(now + late, partial(self._take, payload))
        else:
            self._take(payload, now)
        return self._spoken()

    @cached_property
    def _orders(self) -> Random:
        """What decides how orders are taken; most devices never have any."""
        return stream(self._seed, self.id, "orders")

    def _take(self, payload: bytes, now: datetime) -> None:
        if self.gone or not self._powered:
            return
        command = understood(payload)
        if isinstance(command, Reply):
            self._say("reply", msgspec.json.encode(command), now)
        elif not self._loses(command):
            reply = self._done.get(command.id)
            if reply is None:
                detail = self._too_late(command, now) or self._refusal(command)
                detail = detail or self.obedience.refusal(self._orders)
                reply = Reply(command.id, ok=not detail, detail=detail)
                self._remember(reply)
                self._say("reply", msgspec.json.encode(reply), now)
                if reply.ok:
                    self._carry_out(command, now)
            else:  # it was carried out, and its answer got lost on the way
                self._say("reply", msgspec.json.encode(reply), now)

    def last_will(self, at: datetime) -> Emission:
        """Return what the broker is to say when this device's connection breaks."""
        will = msgspec.json.encode(Status(online=False, boot=self._boot))
        topic = self._topic("status")
        return Emission(at, self.id, topic, will, retain=True, last_will=True)

    # --- for the kinds of device ----------------------------------------------------

    def _status(self, now: datetime) -> Status:
        raise NotImplementedError

    def _measured(self, now: datetime) -> list[bytes]:
        """Return its readings, each as JSON."""
        raise NotImplementedError

    def _refusal(self, command: Command) -> str:
        """Say why this command cannot be carried out; an empty text: it can."""
        raise NotImplementedError

    def _carry_out(self, command: Command, now: datetime) -> None:
        raise NotImplementedError

    def _loses(self, command: Command) -> bool:  # noqa: ARG002  (most devices lose nothing)
        """Say whether this command never gets through to the device."""
        return False

    def _plan(self, at: datetime, deed: Callable[[datetime], None]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (at, self._planned, deed))

    def _switch_mains(self, now: datetime, *, on: bool) -> None:
        """Do what the mains going away or coming back does, besides silence."""

    def _report(self, now: datetime) -> None:
        if self._powered:
            at = msgspec.json.encode(self._stamp(now))
            said = (at, self._boot.encode(), self._seq, b",".join(self._measured(now)))
            self._say("telemetry", TELEMETRY % said, now)

    def _tell(self, event: Event, now: datetime) -> None:
        if self._powered:
            self._say("event", self._encoded(event, now), now)

    # --- inside ---------------------------------------------------------------------

    def _clock(self, now: datetime) -> datetime:
        """Return what the device's own clock shows."""
        return shown(self._faults.clock, now) if self._faults.clock else now

    def _received_pct(self) -> float:
        """Return how well the device is received just now."""
        return round(self._signal_pct + self._radio.uniform(-1, 1) * SIGNAL_MOVES_PCT)

    def _too_late(self, command: Command, now: datetime) -> str:
        clock = self._clock(now)
        expired = command.expires_at is not None and clock >= command.expires_at
        return "expired" if expired else ""

    def _remember(self, reply: Reply) -> None:
        self._done[reply.id] = reply
        if len(self._done) > DONE_MAX:
            del self._done[next(iter(self._done))]

    def _start(self, now: datetime) -> None:
        self._connect(now)
        self._beat(now)

    def _connect(self, now: datetime) -> None:
        if self._powered:
            self._say("status", self._encoded(self._status(now), now), now, retain=True)

    def _reconnect(self, now: datetime) -> None:
        self._connect(now)
        self._report(now)

    def _beat(self, now: datetime) -> None:
        self._report(now)
        late = timedelta(seconds=self.chance.uniform(0, JITTER_S))
        self._plan(now + self.beat + late, self._beat)

    def _plan_faults(self, faults: Faults) -> None:
        if faults.dies_at:
            self._plan(faults.dies_at, self._die)
        if faults.drops_at:
            self._plan(faults.drops_at, self._drop)
        for at in faults.reconnects_at:
            self._plan(at, self._reconnect)
        for at in faults.willed_at:
            self._plan(at, self._taken_for_gone)
        for span in faults.dark:
            self._plan(span.since, self._lose_mains)
            if span.until is not None:
                self._plan(span.until, self._regain_mains)

    def _die(self, now: datetime) -> None:  # noqa: ARG002  (a deed like any other)
        self.gone = True
        self._agenda.clear()

    def _drop(self, now: datetime) -> None:
        self._die(now)
        self._said.append(self.last_will(now))

    def _taken_for_gone(self, now: datetime) -> None:
        self._said.append(self.last_will(now))

    def _lose_mains(self, now: datetime) -> None:
        self._switch_mains(now, on=False)
        self._powered = False

    def _regain_mains(self, now: datetime) -> None:
        self._powered = True
        self._switch_mains(now, on=True)
        self._boot, self._seq = f"{self.chance.getrandbits(32):08x}", 0
        self._plan(now + BOOTS_WITHIN * self.chance.random(), self._reconnect)

    def _encoded(self, body: Event | Status, now: datetime) -> bytes:
        """Return the message with its time, on the device's own clock, and its number."""
        at = self._stamp(now)
        numbered = msgspec.structs.replace(body, at=at, boot=self._boot, seq=self._seq)
        return msgspec.json.encode(numbered)

    def _stamp(self, now: datetime) -> datetime:
        """Number the next message, and return what its time is."""
        self._seq += 1
        at = self._clock(now)
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    def _say(self, branch: str, payload: bytes, now: datetime, *, retain: bool = False) -> None:
        self._said.append(Emission(now, self.id, self._topic(branch), payload, retain=retain))

    def _topic(self, branch: str) -> str:
        return f"{self._topics}/{branch}"

    def _spoken(self) -> list[Emission]:
        said, self._said = self._said, []
        return said
