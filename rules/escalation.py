"""Who must be told again while an alert goes on: a tier more, or those who know of it.

If nobody acknowledges it, one tier more is told each interval. When there is no tier left, or
somebody has acknowledged it, and it still fires, all who were told so far are reminded: after
`remind_after`, and then each time that it has lasted twice as long. Nothing that somebody must
act on goes on for ever with nobody hearing of it.

Whoever hands an alert over is done with it, and the other may not have seen that yet: until
they take it, it counts as not acknowledged, and escalates as if nobody had ever answered.

Only what somebody must act on does this, and only while people know of it: never what is
withheld, nor what is clear again and about to end. When an alert becomes worse, it is to be
acknowledged anew: whoever acknowledged it saw to something less. Its tier stays, for those
who were told know of it.
"""

from datetime import datetime

from msgspec.structs import replace

from rules.alerts import Alert, Change, State, Transition
from rules.limits.alert_life import EscalationLimits
from rules.verdict import Severity

NEWS = frozenset({Transition.FIRING, Transition.RAISED, Transition.RELEASED})


def answered(
    alert: Alert, before: Alert | None, news: Transition | None, now: datetime
) -> Alert:
    """Return the alert with whether it is still to be acknowledged, and since when."""
    if alert.state is not State.FIRING:
        return alert
    fired = before is not None and before.state is State.FIRING
    if fired and before is not None and alert.severity is not before.severity:
        alert = replace(alert, raised_at=now, acknowledged_at=None, unanswered_since=None)
    if news not in NEWS or alert.acknowledged_at is not None or not _must_be_seen_to(alert):
        return alert
    return replace(alert, unanswered_since=now)


def told_again(
    alert: Alert, withhold: str, limits: EscalationLimits, now: datetime
) -> Change | None:
    """Return the alert at its next tier, or as one of which people are reminded, if due."""
    due = due_at(alert, withhold, limits)
    if due is None or now < due:
        return None
    if alert.unanswered_since is not None and alert.tier < limits.tiers:
        higher = replace(alert, tier=alert.tier + 1, unanswered_since=now)
        return Change(higher, Transition.ESCALATED)
    return Change(replace(alert, reminded_at=now), Transition.REMINDED)


def due_at(alert: Alert, withhold: str, limits: EscalationLimits) -> datetime | None:
    """Return when people are to be told again; None while there is no reason to."""
    if withhold or alert.clear_since is not None or alert.state is not State.FIRING:
        return None
    if alert.unanswered_since is not None and alert.tier < limits.tiers:
        return alert.unanswered_since + limits.after
    if not _must_be_seen_to(alert):
        return None
    known = (alert.unanswered_since, alert.acknowledged_at, alert.reminded_at)
    last = max((at for at in known if at is not None), default=alert.since)
    return last + max(limits.remind_after, last - alert.since)


def _must_be_seen_to(alert: Alert) -> bool:
    return alert.told is not None and alert.told.rank >= Severity.CRITICAL.rank


def acknowledged(alert: Alert, at: datetime) -> Alert:
    """Return the alert as seen to at `at`; one that became worse since then stays open."""
    if alert.state is not State.FIRING or alert.acknowledged_at is not None:
        return alert
    if alert.raised_at is not None and at < alert.raised_at:
        return alert
    return replace(alert, acknowledged_at=at, unanswered_since=None)


def handed(alert: Alert, at: datetime) -> Alert:
    """Return the alert as handed over at `at`: it is to be acknowledged anew."""
    if alert.state is not State.FIRING:
        return alert
    since = at if _must_be_seen_to(alert) else None
    return replace(alert, acknowledged_at=None, unanswered_since=since)
