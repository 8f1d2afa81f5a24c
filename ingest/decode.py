"""What the codecs make of messages, line by line: the inside of `chargewatch decode --jsonl`.

A line holds a topic and a payload as they would come from the broker, the answer what would
be booked. It is the way to try a device before it hangs on the wall, and to write a codec.
"""

from collections.abc import Container, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from ingest.clock import Now
from ingest.codecs import all_codecs
from ingest.codecs.native import Native
from ingest.lines import Line, in_utc, message_of, read_line
from ingest.timing import timed
from ingest.wire import (
    PAYLOAD_BYTES_MAX,
    Codec,
    Ignored,
    Message,
    Profile,
    Refusal,
    Rejected,
    Said,
)
from rules.readings import QUANTITIES, Kind

BASE_LEVELS_MAX = 4
"""How deep in the topics of a broker a bridge may be."""


class Trial(Line, frozen=True, kw_only=True):
    """One message to try."""

    format: str | None = None
    """The name of a codec; without it, the first that claims the topic."""
    kind: Kind | None = None
    received_at: str | None = None
    """ISO 8601, in UTC unless it says otherwise; without it, now."""


class Decoded(msgspec.Struct, frozen=True):
    """One value, in the words of the table of quantities in docs/messages.md."""

    quantity: str
    channel: int | None
    value: float | bool | str
    at: datetime
    device: str


class _Answer(msgspec.Struct, frozen=True):
    readings: tuple[Decoded, ...]


_trial = msgspec.json.Decoder(Trial)


def decode_lines(lines: Iterable[bytes], now: Now) -> Iterator[bytes]:
    """Yield one line of JSON, its newline included, for each line that is not blank."""
    codecs = {codec.name: codec for codec in all_codecs()}
    for line in lines:
        if not line.strip():
            continue
        decoded = _decoded(line, codecs, now)
        if isinstance(decoded, Rejected):
            # A reason may quote what it refuses, even text that cannot be written as UTF-8.
            reason = str(decoded).encode(errors="replace").decode()
            yield msgspec.json.encode({"rejected": reason}) + b"\n"
        else:
            yield msgspec.json.encode(_Answer(decoded)) + b"\n"


def _decoded(raw: bytes, codecs: dict[str, Codec], now: Now) -> tuple[Decoded, ...] | Rejected:
    line = read_line(raw, _trial)
    if isinstance(line, Rejected):
        return line
    message = _message(line, now)
    if isinstance(message, Rejected):
        return message
    if line.format is not None and line.format not in codecs:
        there_are = ", ".join(codecs)
        return Rejected(Refusal.WRONG_TYPE, f"no format {line.format!r} among {there_are}")
    asked = codecs.values() if line.format is None else (codecs[line.format],)
    for codec in asked:
        name = codec.address(line.topic, _known(message))
        if name is not None:
            return _answer(codec, message, name, Profile(line.kind or Kind.UNKNOWN))
    return Rejected(Refusal.UNKNOWN_TOPIC, f"not of {', '.join(c.name for c in asked)}")


def _known(message: Message) -> Container[str]:
    """Stand in for the registry: what has a bare value below its topic is a device."""
    if message.payload.lstrip().startswith(b"{"):
        return ()
    levels = message.topic.split("/")[:-1]
    return {"/".join(levels[start:]) for start in range(1, 1 + BASE_LEVELS_MAX)}


def _answer(
    codec: Codec, message: Message, name: str | Rejected | Ignored, profile: Profile
) -> tuple[Decoded, ...] | Rejected:
    if isinstance(name, Rejected):
        return name
    if isinstance(name, Ignored):
        return ()
    if len(message.payload) > PAYLOAD_BYTES_MAX:
        return Rejected(Refusal.TOO_LARGE, f"{len(message.payload)} bytes")
    said = codec.decode(message, name, profile)
    if isinstance(said, Rejected):
        return said
    if isinstance(said, Ignored):
        return ()
    own_name = name.rpartition("/")[2] if isinstance(codec, Native) else name
    return _flat(said, message, own_name)


def _flat(said: Said, message: Message, device: str) -> tuple[Decoded, ...]:
    at = timed(said, message.received_at, None, retained=message.retained).at.astimezone(UTC)
    return tuple(
        Decoded(quantity, reading.channel, value, at, device)
        for reading in said.readings
        for quantity in QUANTITIES
        if (value := getattr(reading, quantity)) is not None
    )


def _message(line: Trial, now: Now) -> Message | Rejected:
    try:
        said = line.received_at
        received_at = now() if said is None else in_utc(datetime.fromisoformat(said))
    except (ValueError, OverflowError) as error:
        return Rejected(Refusal.WRONG_TYPE, f"the line: received_at: {error}")
    return message_of(line, received_at)
