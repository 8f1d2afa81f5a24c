"""The open alerts: which there are, what becomes of each, and what people are to hear.

The engine asks the rules and hands their verdicts in; everything that happens to an alert
happens here, through `rules.alerts.next_alert`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from rules.alerts import (
    Alert,
    AlertKey,
    Change,
    Group,
    State,
    Subject,
    Transition,
    heard_of,
    next_alert,
    opened,
)
from rules.deadlines import earlier
from rules.escalation import acknowledged, answered, due_at, handed, told_again
from rules.flapping import Firings, counted, damped, flaps
from rules.groups import GroupState
from rules.inhibition import INHIBITED_BY, INHIBITS
from rules.limits.alert_life import FlappingLimits
from rules.policy import Policy
from rules.silences import Silences
from rules.verdict import Breach, Severity, Timing, Verdict

MICROSECOND = timedelta(microseconds=1)


class AlertBook:
    """Holds the open alerts by subject, and the groups that they concern."""

    def __init__(self) -> None:
        self.groups: dict[Group, GroupState] = {}
        self.changes: list[Change] = []
        """What is news since it was last taken."""
        self.touched: set[Subject] = set()
        """Subjects whose open alerts changed."""
        self.unsettled: set[Group] = set()
        """Groups whose facts changed since their rules were last asked."""
        self.silences = Silences()
        self._freed: set[Subject] = set()
        self._open: dict[Subject, dict[AlertKey, Alert]] = {}
        self._firings: dict[Subject, dict[AlertKey, tuple[datetime, ...]]] = {}
        self._last_now: datetime | None = None
        self._begun_now = 0

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._open

    def __iter__(self) -> Iterator[Alert]:
        for alerts in self._open.values():
            yield from alerts.values()

    def of(self, subject: Subject) -> tuple[Alert, ...]:
        """Return the open alerts of a device or a group, pending ones included."""
        return tuple(self._open.get(subject, {}).values())

    def group(self, group: Group) -> GroupState:
        """Return what is known of a group (made when first asked for)."""
        found = self.groups.get(group)
        if found is None:
            found = self.groups[group] = GroupState(group)
        return found

    def take_changes(self) -> list[Change]:
        changes, self.changes = self.changes, []
        return changes

    def take_freed(self) -> set[Subject]:
        """Return whose alerts another one has ceased to speak for: they may escalate now."""
        freed, self._freed = self._freed, set()
        return freed

    def firings_of(self, subject: Subject) -> tuple[Firings, ...]:
        """Return how often the alerts of a device or a group fired of late."""
        return tuple(Firings(key, at) for key, at in self._firings.get(subject, {}).items())

    def restore(self, alerts: Iterable[Alert], firings: Iterable[Firings]) -> None:
        """Take up open alerts that were stored, and how often which fired."""
        for alert in alerts:
            self._keep(alert)
        for each in firings:
            self._firings.setdefault(each.key.subject, {})[each.key] = each.at

    def acknowledge(self, episode: str, at: datetime) -> Alert | None:
        """Note that somebody has seen to an alert; return it if it is open."""
        if (alert := self.find(episode)) is not None:
            seen = acknowledged(alert, at)
            if seen is not alert:
                self._keep(seen)
        return alert

    def hand(self, episode: str, at: datetime) -> Alert | None:
        """Note that an alert was handed over; return it if it is open."""
        if (alert := self.find(episode)) is not None:
            self._keep(handed(alert, at))
        return alert

    def find(self, episode: str) -> Alert | None:
        """Return the open alert of that episode."""
        return next((alert for alert in self if alert.episode == episode), None)

    def move(  # noqa: PLR0913  (one judgement, written down)
        self,
        key: AlertKey,
        within: tuple[Group, ...],
        verdict: Verdict,
        *,
        severity: Severity,
        timing: Timing,
        policy: Policy,
        now: datetime,
    ) -> datetime | None:
        """Move one alert on; return when it wants to be asked again by itself."""
        if type(verdict) is Breach and verdict.severity is None:
            verdict = replace(verdict, severity=severity)
        before = known = self._open.get(key.subject, {}).get(key)
        if known is None:
            if type(verdict) is not Breach:
                return None
            level = verdict.severity or severity
            known = opened(key, level, within, verdict.evidence, self._beginning(now))
            known = replace(known, since=now)
        timing = damped(known, timing, policy.flapping)
        after = next_alert(known, verdict, timing, now)
        if after is None:
            self._forget(key, known.within)
            return None
        if known.state is State.PENDING and after.state is State.FIRING:
            after = self._counted(after, policy.flapping, now)
        withhold = self._withholding(after, now)
        after, news = heard_of(after, before, withhold)
        after = answered(after, before, news, now)
        again = told_again(after, withhold, policy.escalation, now)
        if news is None and again is not None:
            after, news = again
        if after is not before:
            self._keep(after)
            if news is not None:
                self.changes.append(Change(after, news))
            if after.state is State.RESOLVED:
                self._release(after, now)
        return earlier(after.due(verdict, timing), due_at(after, withhold, policy.escalation))

    def end(self, alert: Alert, now: datetime) -> None:
        """End an alert that no rule asks about any more."""
        over = replace(alert, state=State.RESOLVED, since=now)
        self._keep(over)
        if alert.state is State.FIRING:
            self.changes.append(Change(over, Transition.RESOLVED))
            self._release(over, now)

    def _counted(self, alert: Alert, limits: FlappingLimits, now: datetime) -> Alert:
        """Count that an alert fires; return it as one that flaps if that was too often."""
        known = self._firings.setdefault(alert.key.subject, {})
        known[alert.key] = counted(known.get(alert.key, ()), limits, now)
        return replace(alert, flaps=True) if flaps(known[alert.key], limits) else alert

    def _withholding(self, alert: Alert, now: datetime) -> str:
        """Return why people are not to be told of an alert now; empty if they are."""
        if alert.severity is Severity.EMERGENCY:
            return ""
        for speaker in INHIBITED_BY.get(alert.key.rule, ()):
            if any(self._fires_about(group, speaker) for group in alert.within):
                return f"inhibited:{speaker}"
        silence = self.silences.over(alert, now)
        return f"silenced:{silence}" if silence else ""

    def _fires_about(self, group: Group, rule: str) -> bool:
        """Say whether a group's own alert of a rule fires, and not that of a narrower one."""
        alert = self._open.get(group, {}).get(AlertKey(rule, None, None, group))
        return alert is not None and alert.state is State.FIRING

    def _release(self, speaker: Alert, now: datetime) -> None:
        """Tell what an alert that has ended held back, unless something else does."""
        if speaker.key.group is None:
            return
        for rule in INHIBITS.get(speaker.key.rule, ()):
            for held in self.group(speaker.key.group).open(rule):
                self._freed.add(held.key.subject)
                if not held.withheld or held.state is not State.FIRING:
                    continue
                after, news = heard_of(held, held, self._withholding(held, now))
                after = answered(after, held, news, now)
                if after is not held:
                    self._keep(after)
                    if news is not None:
                        self.changes.append(Change(after, news))

    def _keep(self, alert: Alert) -> None:
        if alert.state is State.RESOLVED:
            self._forget(alert.key, alert.within)
            return
        subject = alert.key.subject
        self._open.setdefault(subject, {})[alert.key] = alert
        self.touched.add(subject)
        for group in alert.within:
            self.group(group).note(alert)
        self.unsettled.update(alert.within)

    def _forget(self, key: AlertKey, within: tuple[Group, ...]) -> None:
        subject = key.subject
        alerts = self._open.get(subject, {})
        alerts.pop(key, None)
        if not alerts:
            self._open.pop(subject, None)
        self.touched.add(subject)
        for group in within:
            self.group(group).forget(key)
        self.unsettled.update(within)

    def _beginning(self, now: datetime) -> datetime:
        """Return a moment that names no other episode.

        In one batch an alert may fire, end and fire again, all of it judged at one `now`.
        """
        if now != self._last_now:
            self._last_now, self._begun_now = now, 0
        self._begun_now += 1
        return now + (self._begun_now - 1) * MICROSECOND
