"""The latch of a socket that was cut for safety, and what is known of its switching."""

from datetime import datetime

import msgspec

from rules.cutting import Command
from rules.readings import DeviceId


class Latch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A socket that was cut for safety: nobody may charge there until a person clears it."""

    id: str
    """The id of the command that set it."""
    device: DeviceId
    channel: int | None
    since: datetime
    by: str
    reason: str
    episode: str
    dark_at: datetime | None = None
    """When the power was first known to be gone: what flows later is somebody's new try."""
    cleared_at: datetime | None = None
    cleared_by: str = ""
    clear_reason: str = ""


class Cut(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a socket's last command, and of its latch while it is in force."""

    command: Command
    latch: Latch | None = None
