"""What all devices have in common: an agenda in virtual time, a voice, and faults."""

import heapq
from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta
from functools import cached_property, partial
from random import Random
from typing import Generic, TypeVar

import msgspec

from ingest.codecs.native import ROOT, Command, Event, Reply, Status
from rules.readings import Kind
from simulator.clocks import shown
from simulator.commands import understood
from simulator.emissions import Emission, stream
from simulator.orders import Obedience
from simulator.plans import Happening, Plan
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


P = TypeVar("P", bound=Plan)


class Device(Generic[P]):
    """One device. It acts when `next_at` says so, and returns what it says.

    What it does next is decided in virtual time alone: `act`, `obey` and `change` are its only
    ways on, and their moments must not go back.
    """

    kind = Kind.UNKNOWN
    beat = timedelta(minutes=1)
    skin: Skin | None = None
    """The dialect that it speaks; None: our own."""
    obedience = Obedience()

    def __init__(
        self, name: str, starts: datetime, seed: int, plan: P, *, own_connection: bool
    ) -> None:
        self.id = name
        self.own_connection = own_connection
        self.chance = stream(seed, name)
        self.gone = False
        self.plan, self._starts = plan, starts
        self._boot = f"{self.chance.getrandbits(32):08x}"
        self._seq = 0
        self._topics = "/".join((*ROOT, name))
        self._said: list[Emission] = []
        self._agenda: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._planned = 0
        self._laid_down: set[int] = set()
        """The entries of the agenda that are the plan's own."""
        self._radio = stream(seed, name, "radio")
        self._seed = seed
        self._signal_pct = self._radio.uniform(*SIGNAL_PCT)
        self._done: dict[str, Reply] = {}
        """The last commands and what was answered: a repeated one is carried out once."""
        self._powered = True
        self._plan(starts + BOOTS_WITHIN * self.chance.random(), self._start)

    def next_at(self) -> datetime | None:
        """Return the moment of its next act; None: it will say nothing more by itself."""
        return self._agenda[0][0] if self._agenda else None

    def act(self) -> list[Emission]:
        """Do what is due at `next_at`; return what is said by it, often nothing."""
        at, _, deed = heapq.heappop(self._agenda)
        deed(at)
        return self._spoken()

    def change(self, plan: P, now: datetime) -> None:
        """Go by another plan from now on; what it says of the past must be what has been.

        What the plan would have let it do by now is done next. A device that died, and of
        which the plan does not say so any more, has been replaced, and reports again.
        """
        ended_at = self.plan.faults.ends_at if self.gone else None
        until = now if ended_at is None else min(now, ended_at)
        done = {(at, what) for at, what, _ in self._happenings() if at <= until}
        self._agenda = [each for each in self._agenda if each[1] not in self._laid_down]
        heapq.heapify(self._agenda)
        self._laid_down.clear()
        self._adopt(plan, now)
        if self.gone and plan.faults.ends_at is not None:
            return
        self._lay_down(now, done)
        if self.gone:
            self.gone = False
            self._plan(now + self.beat, self._beat)

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

    def _happenings(self) -> Iterator[Happening]:
        """Yield all that the plan lets it do, and when."""
        faults = self.plan.faults
        if faults.dies_at:
            yield Happening(faults.dies_at, "dies", self._die)
        if faults.drops_at:
            yield Happening(faults.drops_at, "drops", self._drop)
        for at in faults.reconnects_at:
            yield Happening(at, "reconnects", self._reconnect)
        for at in faults.willed_at:
            yield Happening(at, "is taken for gone", self._taken_for_gone)
        for span in faults.dark:
            yield Happening(span.since, "loses mains", self._lose_mains)
            if span.until is not None:
                yield Happening(span.until, "regains mains", self._regain_mains)

    def _adopt(self, plan: P, now: datetime) -> None:  # noqa: ARG002  (piles need to know when)
        """Take another plan for what is looked up in it as time goes by."""
        self.plan = plan

    def _lay_down(self, since: datetime, done: Container[tuple[datetime, str]] = ()) -> None:
        """Put what the plan holds on the agenda, but for what is done."""
        for at, what, deed in self._happenings():
            if (at, what) not in done:
                self._plan(max(at, since), deed)
                self._laid_down.add(self._planned)

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
        clock = self.plan.faults.clock
        return shown(clock, now) if clock else now

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
