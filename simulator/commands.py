"""What a device understands when it is told to do something, and how it answers."""

import msgspec

from ingest.codecs.native import Command, Reply
from rules.readings import Text

DETAIL_MAX = 200
"""As long as the text of a reply may be."""


class _Identified(msgspec.Struct, frozen=True):
    id: Text


def understood(payload: bytes) -> Command | Reply:
    """Return the command, or the refusal to send; never raises, whatever the bytes."""
    try:
        return msgspec.json.decode(payload, type=Command)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Reply(_id_in(payload), ok=False, detail=f"not understood: {error}"[:DETAIL_MAX])


def _id_in(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Identified).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
