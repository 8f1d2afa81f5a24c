"""The life of an alert: pending while a breach lasts, firing once it has lasted, resolved.

Every transition is in `next_alert`, and nowhere else:

| state   | Breach                 | Between | Clear                           | Unknown |
|---------|------------------------|---------|---------------------------------|---------|
| none    | pending, or firing if  | none    | none                            | none    |
|         | there is no hold, or   |         |                                 |         |
|         | it is said `at_once`   |         |                                 |         |
| pending | firing once held       | none    | none                            | stays   |
| firing  | stays                  | stays   | resolved once clear long enough | stays   |

A breach, a value between the thresholds, and silence all interrupt the clear time.

A rule may have levels. An alert fires at the level that was held; a higher one that is
held raises it; a lower one never lowers it, for "better" is no news while it is not well.
What is not known interrupts no hold, of the first level or of a higher one; all else does.

Whether people are told is a fact beside the state: `told` is the highest level they have
heard of, `withheld` why they have not. They hear of the end only if they heard of the
alarm. That it flaps (rules/flapping.py), that somebody has acknowledged it and how far it has
escalated if nobody has (rules/escalation.py) are such facts too, and no states.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from rules.readings import DeviceId
from rules.verdict import Between, Breach, Clear, Evidence, Severity, Timing, Unknown, Verdict


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Transition(StrEnum):
    """What happened to an alert."""

    FIRING = "firing"
    RAISED = "raised"
    """It fires already, and has become worse."""
    RELEASED = "released"
    """It fires already, and what kept it from people is over."""
    ESCALATED = "escalated"
    """It fires already, and nobody has acknowledged it."""
    REMINDED = "reminded"
    """It still fires, though somebody has acknowledged it or nobody further can be told."""
    HANDED = "handed"
    """It fires already, and somebody is asked to take it over. People order it, no rule."""
    RESOLVED = "resolved"


class GroupKind(StrEnum):
    """What devices may have in common, the narrowest first."""

    SITE = "site"
    CARRIER = "carrier"
    ALL = "all"


class Group(NamedTuple):
    """A site, a carrier, or (with an empty name) everything."""

    kind: GroupKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


EVERYTHING = Group(GroupKind.ALL)

Subject = DeviceId | Group


class AlertKey(NamedTuple):
    """There is at most one open alert for each rule and socket, device, or group.

    A group's alert has no device; any other has no group.
    """

    rule: str
    device: DeviceId | None
    channel: int | None = None
    group: Group | None = None

    @property
    def subject(self) -> Subject:
        """The device or the group that is judged."""
        if self.device is not None:
            return self.device
        return self.group or EVERYTHING


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One episode: from the moment a breach was first seen until it is resolved."""

    key: AlertKey
    severity: Severity
    within: tuple[Group, ...] = ()
    """Where it belongs, from the narrowest to the widest; a group's own is the first."""
    state: State
    began_at: datetime
    """When the breach was first seen; with the key it names the episode."""
    since: datetime
    """When the present state began."""
    clear_since: datetime | None = None
    evidence: Evidence
    raise_to: Severity | None = None
    """A higher level, while it is being held ..."""
    raise_since: datetime | None = None
    """... and since when."""
    told: Severity | None = None
    withheld: str = ""
    flaps: bool = False
    """It has fired so often of late that it ends only after a longer quiet."""
    tier: int = 1
    """Who is to be told: 1 are those who are told first."""
    unanswered_since: datetime | None = None
    """Since when this tier is to acknowledge it; None: nobody has to, or somebody has."""
    acknowledged_at: datetime | None = None
    reminded_at: datetime | None = None
    """When people were last reminded that it still fires."""
    raised_at: datetime | None = None
    """When it last became worse while it fired."""
    drill: bool = False
    """It was ordered by us, to see whether people are told; nothing is wrong."""

    @property
    def site(self) -> str:
        """The id of its site; empty if it concerns several."""
        for group in self.within:
            if group.kind is GroupKind.SITE:
                return group.name
        return ""

    @property
    def episode(self) -> str:
        """The same for the whole life of this alert, after any restart too."""
        rule, device, channel, group = self.key
        subject = str(group) if device is None else device
        if channel is not None:
            subject += f":{channel}"
        return f"{rule}@{subject}@{int(self.began_at.timestamp() * 1_000_000)}"

    def due(self, verdict: Verdict, timing: Timing) -> datetime | None:
        """Return when this alert changes by itself if `verdict` stays as it is."""
        if isinstance(verdict, Breach):
            if self.state is State.PENDING:
                return self.since + timing.hold
            return self.raise_since and self.raise_since + timing.hold
        if self.state is State.FIRING and self.clear_since is not None:
            return self.clear_since + timing.keep_firing
        return None  # one that is pending waits for data, however long that takes


class Change(NamedTuple):
    """What happened to an alert, and what it is now."""

    alert: Alert
    transition: Transition


def opened(
    key: AlertKey,
    severity: Severity,
    within: tuple[Group, ...],
    evidence: Evidence,
    now: datetime,
) -> Alert:
    """Begin an episode: pending, from this moment on."""
    return Alert(
        key=key,
        severity=severity,
        within=within,
        state=State.PENDING,
        began_at=now,
        since=now,
        evidence=evidence,
    )


def next_alert(alert: Alert, verdict: Verdict, timing: Timing, now: datetime) -> Alert | None:
    """Return what the open `alert` becomes at `now` (None: as if it had never been)."""
    match alert, verdict:
        case Alert(state=State.PENDING), Breach(evidence, at_once=at_once) as breach:
            alert = at_level(alert, breach, timing, now)
            if at_once or now - alert.since >= timing.hold:
                return replace(alert, state=State.FIRING, since=now, evidence=evidence)
            return replace(alert, evidence=evidence)
        case Alert(state=State.PENDING), Unknown():
            return alert
        case Alert(state=State.PENDING), _:
            return None
        case Alert(state=State.FIRING), Clear():
            clear_since = alert.clear_since or now
            alert = _not_raised(alert)
            if now - clear_since >= timing.keep_firing:
                return replace(alert, state=State.RESOLVED, since=now, clear_since=clear_since)
            return replace(alert, clear_since=clear_since)
        case Alert(state=State.FIRING), Breach(evidence) as breach:
            raised = at_level(alert, breach, timing, now)
            if raised.severity is not alert.severity:
                return replace(raised, clear_since=None, evidence=evidence)
            return replace(raised, clear_since=None, evidence=worse(alert.evidence, evidence))
        case Alert(state=State.FIRING), Between():
            return _not_clear(_not_raised(alert))
        case _:
            return _not_clear(alert)


def at_level(alert: Alert, breach: Breach, timing: Timing, now: datetime) -> Alert:
    """Return the alert at the level that was held for as long as its rule wants.

    One that is pending falls to the lowest level seen; one that fires never falls.
    """
    level = breach.severity or alert.severity
    if level.rank <= alert.severity.rank:
        alert = _not_raised(alert)
        if alert.state is State.PENDING and level is not alert.severity:
            return replace(alert, severity=level)
        return alert
    raise_to, raise_since = alert.raise_to, alert.raise_since
    if raise_to is None or raise_since is None:
        raise_to, raise_since = level, now
    elif level.rank < raise_to.rank:
        raise_to = level
    if not (breach.at_once or now - raise_since >= timing.hold):
        return replace(alert, raise_to=raise_to, raise_since=raise_since)
    alert = replace(alert, severity=raise_to, raise_to=None, raise_since=None)
    if level.rank > raise_to.rank:
        return replace(alert, raise_to=level, raise_since=now)
    return alert


def _not_raised(alert: Alert) -> Alert:
    if alert.raise_since is None:
        return alert
    return replace(alert, raise_to=None, raise_since=None)


def _not_clear(alert: Alert) -> Alert:
    return alert if alert.clear_since is None else replace(alert, clear_since=None)


def worse(known: Evidence, new: Evidence) -> Evidence:
    """Return the evidence with the worse measurement: people want to know the peak."""
    if known.measured is None or new.measured is None:
        return new
    if new.lower_is_worse or known.lower_is_worse:
        return new if new.measured < known.measured else known
    return new if new.measured > known.measured else known


def heard_of(
    alert: Alert, before: Alert | None, withhold: str
) -> tuple[Alert, Transition | None]:
    """Return the alert with what people know of it, and what there is to write down.

    `withhold` says why they are not to be told now; empty if they are.
    """
    if alert.state is State.RESOLVED:
        return alert, Transition.RESOLVED
    if alert.state is State.PENDING:
        return alert, None
    begins = before is None or before.state is State.PENDING
    raised = not begins and before is not None and alert.severity is not before.severity
    if withhold:
        news = Transition.FIRING if begins else Transition.RAISED if raised else None
        known = alert.told is not None and alert.told.rank >= alert.severity.rank
        if known or alert.withheld == withhold:
            return alert, news
        return replace(alert, withheld=withhold), news
    if alert.told is None and alert.clear_since is not None:
        return alert, None  # it is about to end: no news, unless it comes back
    told = alert.severity
    if begins:
        news = Transition.FIRING
    elif alert.told is None:
        news = Transition.RELEASED
    else:
        news = Transition.RAISED if told.rank > alert.told.rank else None
    if news is None and not alert.withheld:
        return alert, None
    return replace(alert, told=told, withheld=""), news
