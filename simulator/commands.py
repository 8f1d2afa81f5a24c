"""What a device understands when it is told to do something, and how it answers."""

from typing import Annotated, Literal

import msgspec

from rules.readings import Channel, Text

Order = Literal["switch_off", "switch_on", "self_test", "report_now"]


class Command(msgspec.Struct, frozen=True):
    """The payload of `…/command`. `channel` is the socket to switch, from 1."""

    id: Annotated[Text, msgspec.Meta(min_length=1)]
    command: Order
    channel: Channel | None = None


class Reply(msgspec.Struct, frozen=True):
    """The payload of `…/reply`: the command with this id was carried out, or why not."""

    id: str
    ok: bool
    detail: str = ""


class _Identified(msgspec.Struct, frozen=True):
    id: Text


def understood(payload: bytes) -> Command | Reply:
    """Return the command, or the refusal to send; never raises, whatever the bytes."""
    try:
        return msgspec.json.decode(payload, type=Command)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Reply(_id_in(payload), ok=False, detail=f"not understood: {error}")


def _id_in(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Identified).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
