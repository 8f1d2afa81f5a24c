"""Who must be told next if nobody acknowledges an alert: one tier more each interval.

Whoever hands an alert over is done with it, and the other may not have seen that yet: until
they take it, it counts as not acknowledged, and escalates as if nobody had ever answered.

Only what somebody must act on escalates, and only while people know of it: never what is
withheld, nor what is clear again and about to end. When an alert becomes worse, it is to be
acknowledged anew: whoever acknowledged it saw to something less. Its tier stays, for those
who were told know of it.
"""

from datetime import datetime

from msgspec.structs import replace

from rules.alerts import Alert, State, Transition
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
    if news not in NEWS or alert.acknowledged_at is not None or alert.told is None:
        return alert
    if alert.told.rank < Severity.CRITICAL.rank:
        return alert
    return replace(alert, unanswered_since=now)


def escalated(
    alert: Alert, withhold: str, limits: EscalationLimits, now: datetime
) -> Alert | None:
    """Return the alert at its next tier if that is due; None: it is not."""
    due = due_at(alert, withhold, limits)
    if due is None or now < due:
        return None
    return replace(alert, tier=alert.tier + 1, unanswered_since=now)


def due_at(alert: Alert, withhold: str, limits: EscalationLimits) -> datetime | None:
    """Return when the next tier is to be told; None while there is no reason to."""
    if alert.unanswered_since is None or alert.tier >= limits.tiers:
        return None
    if withhold or alert.clear_since is not None or alert.state is not State.FIRING:
        return None
    return alert.unanswered_since + limits.after


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
    must = alert.told is not None and alert.told.rank >= Severity.CRITICAL.rank
    return replace(alert, acknowledged_at=None, unanswered_since=at if must else None)
