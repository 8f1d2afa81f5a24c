"""What one batch caused, all of it, in the form in which it is written down."""

from datetime import datetime

import msgspec

from ingest.ledger.audit import Audited
from ingest.ledger.outbox import Reason
from ingest.ledger.policy_log import PolicyChange
from ingest.registry import Entry
from rules.alerts import Alert, Change
from rules.cut_log import Logged
from rules.cutting import Command
from rules.flapping import Firings
from rules.latch import Latch
from rules.readings import Report
from rules.retrospect import Hazard
from rules.session import EndedSession
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
    """A notification to send: one per alert transition and channel, written with it.

    `recipient` is `person:{id}` or `post:{id}`, and `channel` then `{via}:{id}`; empty for a
    channel of the settings, which tells everybody that it reaches.

    It may also be one that is not sent, and says why; or an end, for all the people and posts
    that were told of the alarm: they are found in the ledger.
    """

    idempotency_key: str
    episode: str
    transition: str
    channel: str
    urgency: int
    """0 goes first."""
    alert: Alert
    recipient: str = ""
    tier: int = 1
    not_told: Reason | None = None
    """Why it is only written down; None: it is sent."""
    to_all_who_heard: bool = False
    """It is an end, and `channel` and `recipient` are open."""


class Stored(msgspec.Struct, frozen=True):
    """What the engine knows of one subject, to be taken up again after a restart."""

    state: DeviceState | None
    """None: it is a group, of which only the alerts are kept."""
    alerts: tuple[Alert, ...]
    firings: tuple[Firings, ...] = ()
    """How often its alerts fired of late."""


class Acknowledged(msgspec.Struct, frozen=True):
    """Somebody has seen to an alert."""

    episode: str
    at: datetime
    who: str
    note: str


class Handled(msgspec.Struct, frozen=True):
    """Somebody has taken an alert over, or handed it to somebody."""

    episode: str
    at: datetime
    who: str
    to: str
    """Whom it was handed to, as `person:{id}` or `post:{id}`; empty: `who` has taken it."""
    note: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What was done by a signed link: all of it, or nothing if the link was used before."""

    link: str
    at: datetime
    who: str
    acknowledged: Acknowledged
    handled: Handled | None
    audited: Audited


class Commit(msgspec.Struct, kw_only=True):
    """Everything one batch caused, in the order in which it is written down."""

    now: datetime
    registered: list[Entry] = []
    policy_changes: list[PolicyChange] = []
    reports: list[Report] = []
    journal: bytes = b""
    """The reports, packed."""
    states: list[tuple[str, bytes]] = []
    """Packed `Stored` of each device or group that changed."""
    acknowledged: list[Acknowledged] = []
    handled: list[Handled] = []
    answered: list[Answered] = []
    changes: list[Change] = []
    arrived: dict[str, datetime] = {}
    """By episode, when the message arrived that made an alert change; or its deadline."""
    hazards: list[Hazard] = []
    commands: list[Command] = []
    """As they are now; whoever sends them finds in the ledger what is waiting."""
    latches: list[Latch] = []
    audited: list[Audited] = []
    log: list[Logged] = []
    """What happened to commands and latches, for the log that is never changed."""
    sessions: list[EndedSession] = []
    """Those that ended; one that is known by now better than before comes again."""
    to_tell: list[ToTell] = []
    refused: list[Refused] = []
    ignored: int = 0
    repeated: int = 0
    hearing: bool = True
    """False while the broker is out of reach: then the service counts as away."""

    @property
    def is_empty(self) -> bool:
        """Say whether nothing happened but time."""
        return not (
            self.registered
            or self.policy_changes
            or self.audited
            or self.reports
            or self.states
            or self.acknowledged
            or self.handled
            or self.answered
            or self.changes
            or self.commands
            or self.latches
            or self.refused
            or self.ignored
            or self.repeated
        )


def identity_in_all(device: str, identity: str) -> str:
    """Return a message's identity among the messages of all devices."""
    return f"{device}\x00{identity}"
