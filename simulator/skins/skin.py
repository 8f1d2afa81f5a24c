"""What a skin is: what a device says in our own format, said in another dialect.

It is a pure function each way: a native message becomes any number of the dialect's, and an
order in the dialect becomes a native one. What the dialect has no words for is left out.
"""

from collections.abc import Iterator
from typing import ClassVar, Protocol

import msgspec

from ingest.codecs.native import Event, Reply, Status, Telemetry
from simulator.emissions import Emission


class Skin(Protocol):
    """The dialect of one device."""

    dialect: ClassVar[str]
    hears: ClassVar[tuple[str, ...]]
    """Topic filters of the orders to all devices of the dialect."""
    bridge: ClassVar[str]
    """Who speaks for all of them, over one connection; "": each speaks for itself."""

    @property
    def device(self) -> str:
        """Our own id of it."""

    @property
    def name(self) -> str:
        """What the dialect calls the device."""

    def own_ears(self) -> tuple[str, ...]:
        """Return the topic filters of the orders to this device alone."""

    def worn(self, emission: Emission) -> Iterator[Emission]:
        """Yield what a native message is in the dialect; often nothing."""

    def order(self, topic: str, payload: bytes, number: int) -> bytes:
        """Return the native order; what has no meaning becomes one that no device understands.

        `number` makes it another one than all before.
        """


Body = Telemetry | Event | Status | Reply
_DECODERS: dict[str, msgspec.json.Decoder[Body]] = {
    "telemetry": msgspec.json.Decoder(Telemetry),
    "event": msgspec.json.Decoder(Event),
    "status": msgspec.json.Decoder(Status),
    "reply": msgspec.json.Decoder(Reply),
}


def said(emission: Emission) -> Body | None:
    """Return what a native message says; None: it is broken, and must stay so."""
    decoder = _DECODERS.get(emission.topic.rpartition("/")[2])
    if decoder is None:
        return None
    try:
        return decoder.decode(emission.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def meaningless(number: int) -> bytes:
    """Return an order that no device understands, and each answers."""
    return b'{"id":"%d"}' % number


def again(emission: Emission, topic: str, payload: bytes, *, retain: bool = False) -> Emission:
    """Return the same word of the same device on another topic."""
    return msgspec.structs.replace(emission, topic=topic, payload=payload, retain=retain)
