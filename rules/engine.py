"""Puts every message, and every moment that matters, before every rule.

The engine owns what is known of the devices and the open alerts. It does no I/O: it is
told what was said and what time it is, and returns which alerts changed. What it touched
since it was last asked is in `touched`, so that the caller can write down exactly that.

Time is our own clock, at arrival: a device's clock may be minutes off (docs/decisions/
003), and a hold measured on it would be too long or no hold at all.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec.structs import replace

from rules.alerts import Alert, AlertKey, State, next_alert, opened
from rules.cutting import Cut
from rules.policy import DeviceProfile, SitePolicy
from rules.readings import DeviceId, Kind, Report
from rules.rule import Breach, DeviceRule, Moment, Rule, SocketRule, Verdict
from rules.schedule import Calendar
from rules.subject import DeviceState, Values

R = TypeVar("R", bound=Rule)
ProfileOf = Callable[[DeviceId], DeviceProfile]
PolicyOf = Callable[[str], SitePolicy]

MICROSECOND = timedelta(microseconds=1)


class Engine:
    """Holds what is known of each device; returns the alerts that changed.

    `profile_of` and `policy_of` are asked at each judgement, so that a change of the
    registry or the policy is in force from the next message on.
    """

    def __init__(
        self,
        socket_rules: Iterable[SocketRule],
        device_rules: Iterable[DeviceRule],
        profile_of: ProfileOf,
        policy_of: PolicyOf,
    ) -> None:
        self._socket_rules = _by_kind(socket_rules)
        self._device_rules = _by_kind(device_rules)
        self._profile_of, self._policy_of = profile_of, policy_of
        self._devices: dict[DeviceId, DeviceState] = {}
        self._alerts: dict[DeviceId, dict[AlertKey, Alert]] = {}
        self._deadlines: list[tuple[datetime, DeviceId]] = []
        self._scheduled: dict[DeviceId, datetime] = {}
        self._calendar = Calendar()
        self._blind_since: datetime | None = None
        self._last_now: datetime | None = None
        self._begun_now = 0
        self.touched: set[DeviceId] = set()
        """Devices whose state changed; the caller empties it when it has stored them."""

    # --- what is known -------------------------------------------------------------

    def device(self, device: DeviceId) -> DeviceState | None:
        return self._devices.get(device)

    def devices(self) -> Iterator[DeviceState]:
        return iter(self._devices.values())

    def alerts_of(self, device: DeviceId) -> tuple[Alert, ...]:
        """Return the open alerts of a device, pending ones included."""
        return tuple(self._alerts.get(device, {}).values())

    def open_alerts(self) -> Iterator[Alert]:
        for alerts in self._alerts.values():
            yield from alerts.values()

    # --- what happens --------------------------------------------------------------

    def observe(self, report: Report, now: datetime) -> list[Alert]:
        """Take one message; return the alerts that fired or were resolved by it."""
        state = self._devices.get(report.device)
        profile = self._profile_of(report.device)
        if state is None:
            state = DeviceState(report.device, profile.site)
            self._devices[report.device] = state
        state.site, state.kind = profile.site, profile.kind
        state.take(report)
        self.touched.add(report.device)
        return self._judge(state, profile, now)

    def advance(self, now: datetime) -> list[Alert]:
        """Let time pass to `now`; call it at `next_deadline` or later."""
        changes: list[Alert] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            at, device = heapq.heappop(self._deadlines)
            if self._scheduled.get(device) == at:
                del self._scheduled[device]
                changes += self._judge(self._devices[device], self._profile_of(device), now)
        return changes

    def next_deadline(self) -> datetime | None:
        """Return the first moment at which an alert may change without a new message."""
        while (
            self._deadlines
            and self._scheduled.get(self._deadlines[0][1]) != (self._deadlines[0][0])
        ):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def expect(self, device: DeviceId, now: datetime) -> None:
        """Wait for a device that ought to be there; it is silent if it is never heard."""
        if device not in self._devices:
            profile = self._profile_of(device)
            self._devices[device] = DeviceState(
                device, profile.site, profile.kind, waiting_since=now
            )
            self.touched.add(device)
            self._schedule(device, now)

    def note_cut(
        self, device: DeviceId, channel: int | None, cut: Cut, now: datetime
    ) -> list[Alert]:
        """Be told what became of a socket's switching; return the alerts that changed."""
        profile = self._profile_of(device)
        state = self._devices.get(device)
        if state is None:
            state = self._devices[device] = DeviceState(device, profile.site, profile.kind)
        state.values(channel).cut = cut
        self.touched.add(device)
        return self._judge(state, profile, now)

    def blind(self, now: datetime) -> None:
        """Be told that nothing can be heard (the broker is gone): silence means nothing."""
        self._blind_since = self._blind_since or now

    def sighted(self, now: datetime) -> None:
        """Be told that messages come again; every device gets the blind time as a grace."""
        if self._blind_since is None:
            return
        self._excuse(now - self._blind_since, now)
        self._blind_since = None
        self._judge_all_soon(now)

    def restore(
        self,
        devices: Iterable[DeviceState],
        alerts: Iterable[Alert],
        *,
        now: datetime,
        away: timedelta,
    ) -> None:
        """Take up what was stored; `away` is how long nobody listened."""
        self._devices = {state.id: state for state in devices}
        self._alerts = {}
        for alert in alerts:
            self._alerts.setdefault(alert.key.device, {})[alert.key] = alert
        if away > timedelta(0):
            self._excuse(away, now)
        self._judge_all_soon(now)

    # --- inside --------------------------------------------------------------------

    def _excuse(self, gap: timedelta, now: datetime) -> None:
        for state in self._devices.values():
            if state.waiting_since is not None:
                # One heard within the gap, on the other connection, starts from now.
                state.waiting_since = min(state.waiting_since + gap, now)
                self.touched.add(state.id)

    def _judge_all_soon(self, now: datetime) -> None:
        for device in self._devices:
            self._schedule(device, now)

    def _judge(self, state: DeviceState, profile: DeviceProfile, now: datetime) -> list[Alert]:
        """Ask every rule for the device's kind; `_apply` only for what may change an alert."""
        policy = self._policy_of(state.site)
        fresh_for = profile.silent_after or policy.silent_after(profile.kind)
        hearing = self._blind_since is None
        moment = Moment(now, policy, profile, fresh_for, self._calendar, hearing)
        changes: list[Alert] = []
        parts, wake = state.metered_parts, None
        alerted = state.id in self._alerts
        for rule in self._socket_rules[state.kind]:
            for part in parts:
                verdict = rule.judge(part, state, moment)
                if alerted or type(verdict) is Breach:
                    due = self._apply(rule, part.channel, state, moment, verdict, changes)
                else:
                    due = verdict.recheck_at
                if due is not None and (wake is None or due < wake):
                    wake = due
        for device_rule in self._device_rules[state.kind]:
            verdict = device_rule.judge(state, moment)
            if alerted or type(verdict) is Breach:
                due = self._apply(device_rule, None, state, moment, verdict, changes)
            else:
                due = verdict.recheck_at
            if due is not None and (wake is None or due < wake):
                wake = due
        if wake is not None:
            self._schedule(state.id, wake)
        if state.id in self._alerts:
            changes += self._let_go(state, parts, now)
        return changes

    def _let_go(
        self, state: DeviceState, parts: Iterable[Values], now: datetime
    ) -> list[Alert]:
        """End what no rule asks about any more, which would else be open for ever.

        The device turned out to be of another kind, or to have sockets.
        """
        channels = [part.channel for part in parts]
        asked: set[tuple[str, int | None]] = {
            (rule.name, channel)
            for rule in self._socket_rules[state.kind]
            for channel in channels
        }
        asked |= {(rule.name, None) for rule in self._device_rules[state.kind]}
        over = [
            alert
            for alert in self.alerts_of(state.id)
            if (alert.key.rule, alert.key.channel) not in asked
        ]
        for alert in over:
            self._remember(alert.key, None)
            self.touched.add(state.id)
        return [
            replace(alert, state=State.RESOLVED, since=now)
            for alert in over
            if alert.state is State.FIRING
        ]

    def _apply(  # noqa: PLR0913, PLR0917  (one judgement, written down)
        self,
        rule: Rule,
        channel: int | None,
        state: DeviceState,
        moment: Moment,
        verdict: Verdict,
        changes: list[Alert],
    ) -> datetime | None:
        """Move one alert on; return when it, or its rule, wants to be asked again."""
        key, now = AlertKey(rule.name, state.id, channel), moment.now
        before = self._alerts.get(state.id, {}).get(key)
        if before is None and type(verdict) is not Breach:
            return verdict.recheck_at
        timing = rule.timing(moment.policy)
        after = before
        if after is None and type(verdict) is Breach:
            after = opened(key, rule.severity, state.site, verdict.evidence, now)
            after = replace(after, began_at=self._beginning(now))
        if after is not None:
            after = next_alert(after, verdict, timing, now)
        if after is not before:
            self._remember(key, after)
            self.touched.add(state.id)
            if after is not None and _is_news(before, after):
                changes.append(after)
        due = after.due(verdict, timing) if after else None
        wake = _earlier(verdict.recheck_at, due)
        if wake is not None and wake <= now:  # else the caller would wake for ever
            raise ValueError(f"{rule.name} asked at {now} to be asked again at {wake}")
        return wake

    def _beginning(self, now: datetime) -> datetime:
        """Return a moment that names no other episode.

        In one batch an alert may fire, end and fire again, all of it judged at one `now`.
        """
        if now != self._last_now:
            self._last_now, self._begun_now = now, 0
        self._begun_now += 1
        return now + (self._begun_now - 1) * MICROSECOND

    def _remember(self, key: AlertKey, alert: Alert | None) -> None:
        alerts = self._alerts.setdefault(key.device, {})
        if alert is None or alert.state is State.RESOLVED:
            alerts.pop(key, None)
        else:
            alerts[key] = alert
        if not alerts:
            del self._alerts[key.device]

    def _schedule(self, device: DeviceId, at: datetime) -> None:
        """Wake at `at`, or at what is scheduled already if that is earlier.

        Waking too early costs one judgement; moving a deadline at every message would
        fill the heap with old ones.
        """
        known = self._scheduled.get(device)
        if known is None or at < known:
            self._scheduled[device] = at
            heapq.heappush(self._deadlines, (at, device))


def _by_kind(rules: Iterable[R]) -> dict[Kind, tuple[R, ...]]:
    rules = tuple(rules)
    return {kind: tuple(rule for rule in rules if kind in rule.kinds) for kind in Kind}


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)


def _is_news(before: Alert | None, after: Alert) -> bool:
    """Say whether people are told: of firing and of its end, not of what is pending."""
    was = before.state if before else State.PENDING
    return after.state is not was
