"""One message on a tape: what the backtest knows of it, and all that playing it back needs."""

import base64
from typing import Annotated

import msgspec

from ingest.lines import Recorded, in_utc, message_of, read_line, recorded_line
from ingest.wire import Message, Refusal, Rejected

QoS = Annotated[int, msgspec.Meta(ge=0, le=2)]


class MqttProperties(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What MQTT 5 lets a publisher say beside the payload."""

    content_type: str | None = None
    response_topic: str | None = None
    correlation_base64: str | None = None
    expiry_s: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    """How long it was still worth something when it arrived."""
    utf8: bool | None = None
    user: tuple[tuple[str, str], ...] = ()

    @property
    def correlation(self) -> bytes | None:
        if self.correlation_base64 is None:
            return None
        return base64.b64decode(self.correlation_base64)


class Taken(Message, frozen=True, gc=False):
    """A message with the flags that it was published with. `retained`: the broker kept it."""

    qos: int = 1
    retain: bool = False
    """The broker was to keep it."""
    properties: MqttProperties | None = None


class _Line(Recorded, frozen=True, kw_only=True):
    qos: QoS = 1
    retain: bool = False
    properties: MqttProperties | None = None


class _More(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a line has beyond that of the backtest."""

    again: bool = False
    qos: int = 1
    retain: bool = False
    properties: MqttProperties | None = None


_line = msgspec.json.Decoder(_Line)


def taken_message(raw: bytes) -> Taken | Rejected:
    """Read one line of a tape; never raises, whatever the bytes."""
    line = read_line(raw, _line)
    if isinstance(line, Rejected):
        return line
    try:
        message = message_of(line, in_utc(line.at))
        if line.properties is not None and line.properties.correlation_base64:
            base64.b64decode(line.properties.correlation_base64, validate=True)
    except (ValueError, OverflowError) as error:
        return Rejected(Refusal.WRONG_TYPE, f"the line: {error}")
    if isinstance(message, Rejected):
        return message
    return Taken(
        message.topic,
        message.payload,
        message.received_at,
        message.retained,
        message.again,
        line.qos,
        line.retain,
        line.properties,
    )


def taken_line(taken: Taken) -> bytes:
    """Return the line that `taken_message` reads back, and that the backtest reads too."""
    plain = recorded_line(taken)
    more = msgspec.json.encode(
        _More(
            again=taken.again, qos=taken.qos, retain=taken.retain, properties=taken.properties
        )
    )
    if more == b"{}":
        return plain
    return plain[:-2] + b"," + more[1:] + b"\n"
