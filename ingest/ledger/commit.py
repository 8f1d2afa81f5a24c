"""What one batch caused, all of it, in the form in which it is written down."""

from datetime import datetime

import msgspec

from ingest.registry import Area, Device, Site
from rules.alerts import Alert
from rules.readings import Report
from rules.subject import DeviceState


class Refused(msgspec.Struct, frozen=True):
    """A message for the quarantine."""

    received_at: datetime
    topic: str
    payload: bytes
    reason: str
    detail: str
    identity: str


class ToTell(msgspec.Struct, frozen=True):
    """A notification to send: one per alert transition and channel, written with it."""

    idempotency_key: str
    episode: str
    transition: str
    channel: str
    urgency: int
    """0 goes first."""
    alert: Alert


class Stored(msgspec.Struct, frozen=True):
    """What the engine knows of one device, to be taken up again after a restart."""

    state: DeviceState
    alerts: tuple[Alert, ...]


class Commit(msgspec.Struct, kw_only=True):
    """Everything one batch caused."""

    now: datetime
    reports: list[Report] = []
    stored: list[Stored] = []
    changes: list[Alert] = []
    to_tell: list[ToTell] = []
    refused: list[Refused] = []
    registered: list[Area | Site | Device] = []
    ignored: int = 0
    repeated: int = 0


def identity_in_all(device: str, identity: str) -> str:
    """Return a message's identity among the messages of all devices."""
    return f"{device}\x00{identity}"
