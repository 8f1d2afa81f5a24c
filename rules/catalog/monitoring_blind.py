"""We ourselves do not hear, judge or tell as we should: what is quiet now need not be well.

Chargers of many sites that fall silent at once while our own connection is up, too: then it
is the broker that is deaf, or the way to it, and no site has to be gone to see.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.limits.watching import MonitoringBlindLimits
from rules.policy import Policy
from rules.rule import GroupMoment
from rules.self_health import SelfHealth
from rules.verdict import UNKNOWN, Breach, Clear, Evidence, Severity, Timing, Verdict


class Trouble(NamedTuple):
    """One thing that is wrong with us; `words` are a key of the catalogue and a number."""

    words: str
    since: datetime | None = None
    severity: Severity = Severity.CRITICAL
    at_once: bool = True


class MonitoringBlind(msgspec.Struct, frozen=True):
    name: str = "monitoring_blind"
    severity: Severity = Severity.CRITICAL
    group: GroupKind = GroupKind.ALL
    basis: str = "ours: nobody may take silence for safety"

    def timing(self, policy: Policy) -> Timing:
        limits = policy.monitoring_blind
        return Timing(limits.deaf_for, limits.keep_firing)

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:
        limits, health = moment.policy.monitoring_blind, moment.health
        troubles = [*_heard(group, moment, limits)]
        if health is not None:
            troubles += _troubles(health, moment.now, limits)
        recheck_at = None if health is None else _due(health, moment.now, limits)
        if troubles:
            return _breach(troubles, recheck_at)
        return UNKNOWN if health is None else Clear(recheck_at)


def _heard(
    group: GroupState, moment: GroupMoment, limits: MonitoringBlindLimits
) -> Iterator[Trouble]:
    """Yield what is wrong with our hearing."""
    absence = group.absence
    dark = len(absence.dark_sites)
    if not moment.hearing:
        yield Trouble("deaf", at_once=False)
    elif dark >= limits.sites and absence.share >= limits.share:
        yield Trouble(f"dark_sites {dark}", absence.since)


def _troubles(
    health: SelfHealth, now: datetime, limits: MonitoringBlindLimits
) -> Iterator[Trouble]:
    """Yield what is wrong behind our ears."""
    if health.lag >= limits.lag:
        yield Trouble(f"lag {health.lag.total_seconds():.0f}")
    if health.ledger_away >= limits.ledger_for:
        yield Trouble(f"ledger_away {health.ledger_away.total_seconds():.0f}")
    if (health.broker_dropped or 0) >= limits.dropped:
        yield Trouble(f"dropped {health.broker_dropped}")
    since = health.delivery_failing_since
    if since is not None and now - since >= limits.delivery_for:
        yield Trouble("delivery_failing", since)
    since = health.history_failing_since
    if since is not None and now - since >= limits.history_for:
        yield Trouble("history_failing", since, Severity.WARNING)


def _due(health: SelfHealth, now: datetime, limits: MonitoringBlindLimits) -> datetime | None:
    """Return when something that fails already has failed for too long."""
    due = [
        since + allowed
        for since, allowed in (
            (health.delivery_failing_since, limits.delivery_for),
            (health.history_failing_since, limits.history_for),
        )
        if since is not None
    ]
    return min((each for each in due if each > now), default=None)


def _breach(troubles: list[Trouble], recheck_at: datetime | None) -> Breach:
    since = [each.since for each in troubles if each.since is not None]
    evidence = Evidence(
        since=min(since, default=None), detail="; ".join(each.words for each in troubles)
    )
    return Breach(
        evidence,
        recheck_at,
        at_once=any(each.at_once for each in troubles),
        severity=max((each.severity for each in troubles), key=lambda each: each.rank),
    )
