"""What all devices have in common: an agenda in virtual time, a voice, and faults."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import msgspec

from ingest.codecs.native import ROOT, Command, Event, Reply, Status, Telemetry
from rules.readings import Kind
from simulator.commands import understood

BOOTS_WITHIN = timedelta(seconds=20)
"""A village does not switch on at once; every device connects a moment of its own later."""
SIGNAL_PCT = 42.0, 94.0
"""How well devices are received, the worst and the best of them ..."""
SIGNAL_MOVES_PCT = 2.0
"""... and how far that moves from one report to the next."""
DONE_MAX = 32
"""Commands that a device remembers."""
JITTER_S = 0.4
"""No device's timer is exact; each beat comes up to this much late."""


class Emission(msgspec.Struct, frozen=True):
    """One message on its way to the broker, at a virtual moment (UTC)."""

    at: datetime
    device: str
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    last_will: bool = False
    """The broker says this one, because the device's connection has broken."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with a device besides what it measures; each independent of the rest."""

    dies_at: datetime | None = None
    """From now on it says nothing, and nobody says so for it."""
    drops_at: datetime | None = None
    """Its connection breaks for good; the broker publishes its last will."""
    repeats_at: tuple[datetime, ...] = ()
    """It sends its last message once more, byte for byte."""
    garbles_at: tuple[datetime, ...] = ()
    """It sends half a message, which no one can read; then the whole."""
    clock_behind: timedelta = timedelta(0)
    """How much its own clock lags the truth ..."""
    clock_set_at: datetime | None = None
    """... and when somebody sets it right."""


def stream(seed: int, device: str, purpose: str = "") -> Random:
    """Return the random stream of one device: of nobody else's, and the same for ever."""
    return Random(f"{seed}/{device}/{purpose}" if purpose else f"{seed}/{device}")  # noqa: S311


class Device:
    """One device. It acts when `next_at` says so, and returns what it says.

    What it does next is decided in virtual time alone: `act` and `obey` are its only ways
    on, and their moments must not go back.
    """

    kind = Kind.UNKNOWN
    beat = timedelta(minutes=1)

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
        self._said: list[Emission] = []
        self._last: Emission | None = None
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._planned = 0
        self._radio = stream(seed, name, "radio")
        self._signal_pct = self._radio.uniform(*SIGNAL_PCT)
        self._done: dict[str, Reply] = {}
        """The last commands and what was answered: a repeated one is carried out once."""
        self._plan(starts + BOOTS_WITHIN * self.chance.random(), self._connect)
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
        if self.gone:
            return []
        command = understood(payload)
        if isinstance(command, Reply):
            self._say("reply", msgspec.json.encode(command), now)
        elif not self._loses(command):
            reply = self._done.get(command.id)
            if reply is None:
                detail = self._too_late(command, now) or self._refusal(command)
                reply = Reply(command.id, ok=not detail, detail=detail)
                self._remember(reply)
                self._say("reply", msgspec.json.encode(reply), now)
                if reply.ok:
                    self._carry_out(command, now)
            else:  # it was carried out, and its answer got lost on the way
                self._say("reply", msgspec.json.encode(reply), now)
        return self._spoken()

    def last_will(self, at: datetime) -> Emission:
        """Return what the broker is to say when this device's connection breaks."""
        will = msgspec.json.encode(Status(online=False, boot=self._boot))
        topic = self._topic("status")
        return Emission(at, self.id, topic, will, retain=True, last_will=True)

    # --- for the kinds of device ----------------------------------------------------

    def _status(self, now: datetime) -> Status:
        raise NotImplementedError

    def _measure(self, now: datetime) -> Telemetry:
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

    def _report(self, now: datetime) -> None:
        self._say("telemetry", self._encoded(self._measure(now), now), now)

    def _tell(self, event: Event, now: datetime) -> None:
        self._say("event", self._encoded(event, now), now)

    # --- inside ---------------------------------------------------------------------

    def _clock(self, now: datetime) -> datetime:
        """Return what the device's own clock shows."""
        set_at = self._faults.clock_set_at
        if set_at is not None and now >= set_at:
            return now
        return now - self._faults.clock_behind

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

    def _connect(self, now: datetime) -> None:
        self._say("status", self._encoded(self._status(now), now), now, retain=True)
        self._beat(now)

    def _beat(self, now: datetime) -> None:
        self._report(now)
        late = timedelta(seconds=self.chance.uniform(0, JITTER_S))
        self._plan(now + self.beat + late, self._beat)

    def _plan_faults(self, faults: Faults) -> None:
        if faults.dies_at:
            self._plan(faults.dies_at, self._die)
        if faults.drops_at:
            self._plan(faults.drops_at, self._drop)
        for at in faults.repeats_at:
            self._plan(at, self._repeat)
        for at in faults.garbles_at:
            self._plan(at, self._garble)

    def _die(self, now: datetime) -> None:  # noqa: ARG002  (a deed like any other)
        self.gone = True
        self._agenda.clear()

    def _drop(self, now: datetime) -> None:
        self._die(now)
        self._said.append(self.last_will(now))

    def _repeat(self, now: datetime) -> None:
        if self._last:
            self._said.append(msgspec.structs.replace(self._last, at=now))

    def _garble(self, now: datetime) -> None:
        whole = self._encoded(self._measure(now), now)
        self._say("telemetry", whole[: len(whole) // 2], now)
        self._say("telemetry", whole, now)

    def _encoded(self, body: Telemetry | Event | Status, now: datetime) -> bytes:
        """Return the message with its time, on the device's own clock, and its number."""
        self._seq += 1
        at = self._clock(now)
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        numbered = msgspec.structs.replace(body, at=at, boot=self._boot, seq=self._seq)
        return msgspec.json.encode(numbered)

    def _say(self, branch: str, payload: bytes, now: datetime, *, retain: bool = False) -> None:
        emission = Emission(now, self.id, self._topic(branch), payload, retain=retain)
        self._said.append(emission)
        self._last = emission

    def _topic(self, branch: str) -> str:
        return "/".join((*ROOT, self.id, branch))

    def _spoken(self) -> list[Emission]:
        said, self._said = self._said, []
        return said
