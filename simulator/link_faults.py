"""What links do to messages: lose, keep, delay, double, break and change them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import ClassVar, Literal

import msgspec

from ingest.codecs.native import Telemetry
from ingest.wire import PAYLOAD_BYTES_MAX
from rules.readings import Reading
from simulator.emissions import Emission
from simulator.links import Memory, Step

Breakage = Literal["truncated", "not_json", "not_utf8", "wrong_type", "too_deep", "empty"]
BROKEN: dict[Breakage, bytes] = {
    "not_json": b"AT+QMTPUB=0,0,0,1",
    "not_utf8": b'{"readings":[{"fault":"\xc3\x28\xa0\xa1"}]}',
    "wrong_type": b'{"readings":[{"channel":"one","power_w":"lots"}]}',
    "too_deep": b'{"readings":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "empty": b"",
}
"""Half a message is made of each message anew; these are the same each time."""
BACKLOG_EVERY = timedelta(milliseconds=50)
"""Between two messages of a backlog: what a modem manages."""
BUFFERED = b',"buffered":true}'
Change = Callable[[Reading], Reading]


class Lost(Step, frozen=True, kw_only=True):
    """Messages are lost: all, or this share of them."""

    share: float = 1.0

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        if memory.chance.random() >= self.share:
            yield emission


class Kept(Step, frozen=True, kw_only=True):
    """The device keeps its messages, and sends them in one go when it is connected again."""

    marked: bool = True
    """It says of each that it was kept back; some firmware does not."""
    holds: ClassVar[bool] = True

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        if self.until is None:
            return
        memory.count += 1
        payload = buffered(emission.payload) if self.marked else emission.payload
        at = self.until + BACKLOG_EVERY * memory.count
        yield msgspec.structs.replace(emission, at=at, payload=payload)


class Marked(Step, frozen=True, kw_only=True):
    """Messages say that they were kept back, as those of a time that is filled up do."""

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:  # noqa: ARG002
        yield msgspec.structs.replace(emission, payload=buffered(emission.payload))


class Delayed(Step, frozen=True, kw_only=True):
    """A share of the messages comes later; if not all by the same time, out of order."""

    share: float = 1.0
    least: timedelta
    most: timedelta

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        late = timedelta(0)
        if memory.chance.random() < self.share:
            late = self.least + (self.most - self.least) * memory.chance.random()
        yield msgspec.structs.replace(emission, at=emission.at + late)


class Doubled(Step, frozen=True, kw_only=True):
    """A share of the messages comes twice, byte for byte: QoS 1 promises no less."""

    share: float = 1.0
    after: timedelta = timedelta(0)
    at_most: int | None = None
    """No more than so many in all; None: no limit."""

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        yield emission
        enough = self.at_most is not None and memory.count >= self.at_most
        if not enough and memory.chance.random() < self.share:
            memory.count += 1
            yield msgspec.structs.replace(emission, at=emission.at + self.after)


class Broken(Step, frozen=True, kw_only=True):
    """Before a share of the telemetry comes something that nobody can read."""

    how: Breakage = "truncated"
    share: float = 1.0
    at_most: int | None = None

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        enough = self.at_most is not None and memory.count >= self.at_most
        telemetry = emission.topic.endswith("/telemetry")
        if telemetry and not enough and memory.chance.random() < self.share:
            memory.count += 1
            whole = emission.payload
            half = BROKEN.get(self.how, whole[: len(whole) // 2])
            yield msgspec.structs.replace(emission, payload=half)
        yield emission


class Oversized(Step, frozen=True, kw_only=True):
    """Telemetry is padded beyond what anybody takes: a log that was sent by mistake."""

    bytes_more: int = PAYLOAD_BYTES_MAX

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:  # noqa: ARG002
        if emission.topic.endswith("/telemetry"):
            payload = emission.payload + b" " * self.bytes_more
            yield msgspec.structs.replace(emission, payload=payload)
        else:
            yield emission


class Misnamed(Step, frozen=True, kw_only=True):
    """Messages say that they are another device's: a copied configuration, or a lie."""

    device: str

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:  # noqa: ARG002
        said = b'{"device":' + msgspec.json.encode(self.device) + b"," + emission.payload[1:]
        yield msgspec.structs.replace(emission, payload=said)


class Scaled(Step, frozen=True, kw_only=True):
    """Readings come in another unit than was agreed, e.g. tenths of a watt."""

    factors: dict[str, float]
    """By quantity: what each reading is multiplied by ..."""
    offsets: dict[str, float] = msgspec.field(default_factory=dict)
    """... and what is added then."""

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:  # noqa: ARG002
        yield changed(emission, self._scaled)

    def _scaled(self, reading: Reading) -> Reading:
        return msgspec.structs.replace(
            reading,
            **{
                name: round(value * factor + self.offsets.get(name, 0.0), 3)
                for name, factor in self.factors.items()
                if (value := getattr(reading, name)) is not None
            },
        )


class Stuck(Step, frozen=True, kw_only=True):
    """A quantity of a socket (None: of the whole device) keeps its first value for good."""

    channel: int | None = None
    quantity: str = "power_w"

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        def frozen(reading: Reading) -> Reading:
            if reading.channel != self.channel:
                return reading
            if not memory.count:
                memory.count, memory.value = 1, getattr(reading, self.quantity)
            return msgspec.structs.replace(reading, **{self.quantity: memory.value})

        yield changed(emission, frozen)


class Drifting(Step, frozen=True, kw_only=True):
    """A quantity of a socket (None: of the whole device) goes up by so much an hour."""

    channel: int | None = None
    quantity: str = "device_temperature_c"
    an_hour: float

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:  # noqa: ARG002
        more = self.an_hour * ((emission.at - self.since) / timedelta(hours=1))

        def off(reading: Reading) -> Reading:
            value = getattr(reading, self.quantity)
            if reading.channel != self.channel or value is None:
                return reading
            return msgspec.structs.replace(reading, **{self.quantity: round(value + more, 1)})

        yield changed(emission, off)


class OldFirmware(Step, frozen=True, kw_only=True):
    """A firmware that says less: some quantities are missing, messages have no number."""

    omits: tuple[str, ...] = ()
    numbered: bool = True
    clocked: bool = True

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:  # noqa: ARG002
        said = changed(emission, lambda reading: _without(reading, self.omits))
        if self.numbered and self.clocked:
            yield said
            return
        body = msgspec.json.decode(said.payload)
        for name in (() if self.numbered else ("boot", "seq")) + (
            () if self.clocked else ("at",)
        ):
            body.pop(name, None)
        yield msgspec.structs.replace(said, payload=msgspec.json.encode(body))


def buffered(payload: bytes) -> bytes:
    """Return the message with word that it was kept back."""
    return payload[:-1] + BUFFERED if payload.endswith(b"}") else payload


def changed(emission: Emission, change: Change) -> Emission:
    """Return telemetry with each reading changed; everything else, and garbage, as it is."""
    if not emission.topic.endswith("/telemetry"):
        return emission
    try:
        said = _telemetry.decode(emission.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return emission
    telemetry = msgspec.structs.replace(said, readings=tuple(map(change, said.readings)))
    return msgspec.structs.replace(emission, payload=msgspec.json.encode(telemetry))


def _without(reading: Reading, names: tuple[str, ...]) -> Reading:
    return msgspec.structs.replace(reading, **dict.fromkeys(names))


_telemetry = msgspec.json.Decoder(Telemetry)
