"""The life of an alert: pending while a breach lasts, firing once it has lasted, resolved.

Every transition is in `next_alert`, and nowhere else:

| state   | Breach                 | Between | Clear                           | Unknown |
|---------|------------------------|---------|---------------------------------|---------|
| none    | pending, or firing if  | none    | none                            | none    |
|         | there is no hold, or   |         |                                 |         |
|         | it is said `at_once`   |         |                                 |         |
| pending | firing once held       | none    | none                            | stays   |
| firing  | stays                  | stays   | resolved once clear long enough | stays   |

A breach, a value between the thresholds, and silence all interrupt the clear time. Being
acknowledged is a fact beside the state, kept with the alert in the ledger.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from rules.readings import DeviceId
from rules.rule import Breach, Clear, Evidence, Severity, Timing, Unknown, Verdict


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class AlertKey(NamedTuple):
    """There is at most one open alert for each rule and socket (or device: None)."""

    rule: str
    device: DeviceId
    channel: int | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One episode: from the moment a breach was first seen until it is resolved."""

    key: AlertKey
    severity: Severity
    site: str
    state: State
    began_at: datetime
    """When the breach was first seen; with the key it names the episode."""
    since: datetime
    """When the present state began."""
    clear_since: datetime | None = None
    evidence: Evidence

    @property
    def episode(self) -> str:
        """The same for the whole life of this alert, after any restart too."""
        rule, device, channel = self.key
        subject = device if channel is None else f"{device}:{channel}"
        return f"{rule}@{subject}@{int(self.began_at.timestamp() * 1_000_000)}"

    def due(self, verdict: Verdict, timing: Timing) -> datetime | None:
        """Return when this alert changes by itself if `verdict` stays as it is."""
        if self.state is State.PENDING and isinstance(verdict, Breach):
            return self.since + timing.hold
        if self.state is State.FIRING and self.clear_since is not None:
            return self.clear_since + timing.keep_firing
        return None  # one that is pending waits for data, however long that takes


def opened(
    key: AlertKey, severity: Severity, site: str, evidence: Evidence, now: datetime
) -> Alert:
    """Begin an episode: pending, from this moment on."""
    return Alert(
        key=key,
        severity=severity,
        site=site,
        state=State.PENDING,
        began_at=now,
        since=now,
        evidence=evidence,
    )


def next_alert(alert: Alert, verdict: Verdict, timing: Timing, now: datetime) -> Alert | None:
    """Return what the open `alert` becomes at `now` (None: as if it had never been)."""
    match alert, verdict:
        case Alert(state=State.PENDING), Breach(evidence, at_once=at_once):
            if at_once or now - alert.since >= timing.hold:
                return replace(alert, state=State.FIRING, since=now, evidence=evidence)
            return replace(alert, evidence=evidence)
        case Alert(state=State.PENDING), Unknown():
            return alert
        case Alert(state=State.PENDING), _:
            return None
        case Alert(state=State.FIRING), Clear():
            clear_since = alert.clear_since or now
            if now - clear_since >= timing.keep_firing:
                return replace(alert, state=State.RESOLVED, since=now, clear_since=clear_since)
            return replace(alert, clear_since=clear_since)
        case Alert(state=State.FIRING), Breach(evidence):
            return replace(alert, clear_since=None, evidence=worse(alert.evidence, evidence))
        case Alert(state=State.FIRING, clear_since=datetime()), _:
            return replace(alert, clear_since=None)
        case _:
            return alert


def worse(known: Evidence, new: Evidence) -> Evidence:
    """Return the evidence with the higher measurement: people want to know the peak."""
    if known.measured is None or new.measured is None or new.measured > known.measured:
        return new
    return known
