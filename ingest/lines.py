"""Messages as lines of JSON: what a recording is made of, and what `decode` is given.

    {"at": "2026-11-23T14:00:00Z", "topic": "chargewatch/v1/…", "payload": {"readings": []}}

A payload is any JSON value and stands for its own bytes, a text for what it says; bytes that
are neither come as `payload_base64`. Files and their line numbers are the reader's business.
"""

import base64
import json
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from ingest.wire import Message, Refusal, Rejected

YEARS = range(1970, 3000)
"""When a message may have arrived: far enough from the ends of the calendar to add to."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message. Exactly one of `payload` and `payload_base64` must be there."""

    topic: str
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload_base64: str | None = None
    retained: bool = False
    """The broker had kept it, and sent it to a new subscriber."""
    again: bool = False
    """The broker had sent it before, and was not told that it had arrived."""


class Recorded(Line, frozen=True, kw_only=True):
    """A line of a recording."""

    at: datetime
    """When it arrived; in UTC unless it says otherwise."""


L = TypeVar("L", bound=Line)

_recorded = msgspec.json.Decoder(Recorded)
_text = msgspec.json.Decoder(str)


def recorded_message(raw: bytes) -> Message | Rejected:
    """Read one line of a recording; never raises, whatever the bytes."""
    line = read_line(raw, _recorded)
    if isinstance(line, Rejected):
        return line
    try:
        return message_of(line, in_utc(line.at))
    except (ValueError, OverflowError) as error:
        return Rejected(Refusal.WRONG_TYPE, f"the line: at: {error}")


def recorded_line(message: Message, *, retain: bool = False) -> bytes:
    """Return the line that `recorded_message` reads back, byte for byte the same payload.

    `retain`: the broker was to keep it. Only who plays the recording to a broker asks for that.
    """
    line = {"at": message.received_at, "topic": message.topic} | _shown(message.payload)
    if message.retained:
        line["retained"] = True
    if retain:
        line["retain"] = True
    return msgspec.json.encode(line) + b"\n"


def read_line(raw: bytes, decoder: msgspec.json.Decoder[L]) -> L | Rejected:
    """Read a line as the type of `decoder`.

    What it cannot read, Python's JSON may: it lets the NaN of a payload through to its
    codec. It is also the one that says what is wrong.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_slowly(raw, decoder.type)


def message_of(line: Line, received_at: datetime) -> Message | Rejected:
    """Return the message that a line stands for."""
    raw, coded = line.payload, line.payload_base64
    try:
        if coded is not None and isinstance(raw, msgspec.UnsetType):
            payload = base64.b64decode(coded, validate=True)
        elif coded is None and not isinstance(raw, msgspec.UnsetType):
            payload = _payload(bytes(raw))
        else:
            return Rejected(Refusal.WRONG_TYPE, "the line: payload or payload_base64?")
    except ValueError as error:
        return Rejected(Refusal.WRONG_TYPE, f"the line: {error}")
    return Message(line.topic, payload, received_at, line.retained, line.again)


def in_utc(moment: datetime) -> datetime:
    """Return an arrival in UTC; raises ValueError or OverflowError for what can be none."""
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    if moment.year not in YEARS:
        raise ValueError(f"nothing arrived in the year {moment.year}")
    return moment


def _payload(raw: bytes) -> bytes:
    """Return what stands in a line as a payload: a text says it, all other JSON is it."""
    if not raw.startswith(b'"'):
        return raw
    try:
        return _text.decode(raw).encode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text: str = json.loads(raw)  # half a pair of surrogates
        return text.encode(errors="surrogatepass")


def _read_slowly(raw: bytes, kind: type[L]) -> L | Rejected:
    try:
        found = json.loads(raw.decode())
        if isinstance(found, dict) and "payload" in found:
            found["payload"] = msgspec.Raw(_json(found["payload"]))
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        return Rejected(Refusal.WRONG_TYPE, f"the line: {error}")
    except UnicodeDecodeError as error:
        return Rejected(Refusal.NOT_UTF8, f"the line: {error}")
    except RecursionError:
        return Rejected(Refusal.TOO_DEEP, "the line")
    except ValueError as error:
        return Rejected(Refusal.NOT_JSON, f"the line: {error}")


def _json(payload: Any) -> bytes:
    if isinstance(payload, str):
        return json.dumps(payload).encode()
    return json.dumps(payload, ensure_ascii=False).encode(errors="surrogatepass")


def _shown(payload: bytes) -> dict[str, object]:
    """Return the payload as a line's field: itself where it is JSON, text, or base64."""
    if payload.startswith((b"{", b"[")) and b"\n" not in payload and _is_json(payload):
        return {"payload": msgspec.Raw(payload)}
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(payload).decode()}


def _is_json(payload: bytes) -> bool:
    try:
        payload.decode()
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
