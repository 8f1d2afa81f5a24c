"""Puts every message, and every moment that matters, before every rule.

The engine owns what is known of the devices and the open alerts. It does no I/O: it is
told what was said and what time it is, and returns which alerts changed. What it touched
since it was last asked is in `touched`, so that the caller can write down exactly that.

Time is our own clock, at arrival: a device's clock may be minutes off (docs/decisions/
003), and a hold measured on it would be too long or no hold at all.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from rules.alerts import (
    EVERYTHING,
    Alert,
    AlertKey,
    Change,
    Group,
    GroupKind,
    State,
    Subject,
    Transition,
)
from rules.book import AlertBook
from rules.deadlines import Deadlines
from rules.flapping import Firings
from rules.groups import EVENTS, SIGNS, GroupState
from rules.latch import Cut
from rules.plausible import believed
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Report
from rules.rule import DeviceRule, GroupMoment, GroupRule, Moment, PartRule, Rule, SocketRule
from rules.schedule import Calendar
from rules.self_health import SelfHealth
from rules.session import EndedSession
from rules.sessions import follow, lose
from rules.silences import Silence
from rules.stirring import STIRRED_BY
from rules.subject import DeviceState, Values
from rules.verdict import CLEAR, Breach, Verdict

R = TypeVar("R", bound=PartRule)

WIDENING = {kind: rank for rank, kind in enumerate(GroupKind)}


class Places(Protocol):
    """Who is who and what is allowed where; asked at each judgement, so that a change of
    the registry or the policy is in force from the next message on.
    """

    def profile_of(self, device: DeviceId) -> DeviceProfile: ...

    def policy_of(self, device: DeviceId) -> Policy: ...

    def group_policy_of(self, group: Group) -> Policy:
        """Return the policy of a site; of any wider group the default one."""
        ...

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        """Return the site and the groups that it belongs to itself."""
        ...


class Engine:
    """Holds what is known of each device; returns the alerts that changed."""

    def __init__(
        self,
        socket_rules: Iterable[SocketRule],
        device_rules: Iterable[DeviceRule],
        group_rules: Iterable[GroupRule],
        places: Places,
    ) -> None:
        self._socket_rules = _by_kind(socket_rules)
        self._device_rules = _by_kind(device_rules)
        group_rules = tuple(group_rules)
        self._group_rules = {
            kind: tuple(rule for rule in group_rules if rule.group is kind)
            for kind in GroupKind
        }
        self._places = places
        self._devices: dict[DeviceId, DeviceState] = {}
        self._book = AlertBook()
        self._deadlines = Deadlines()
        self._calendar = Calendar()
        self._within: dict[DeviceId, tuple[Group, ...]] = {}
        self._blind_since: datetime | None = None
        self._ended: list[EndedSession] = []
        self._health: SelfHealth | None = None
        self.touched: set[Subject] = self._book.touched
        """Devices and groups whose state changed; the caller empties it when it has stored
        them."""

    # --- what is known -------------------------------------------------------------

    def device(self, device: DeviceId) -> DeviceState | None:
        return self._devices.get(device)

    def state_of(self, subject: Subject) -> DeviceState | None:
        """Return what is remembered of a device; None of a group, which has no memory."""
        return None if isinstance(subject, Group) else self._devices.get(subject)

    def devices(self) -> Iterator[DeviceState]:
        return iter(self._devices.values())

    def group(self, group: Group) -> GroupState:
        return self._book.group(group)

    def alerts_of(self, subject: Subject) -> tuple[Alert, ...]:
        """Return the open alerts of a device or a group, pending ones included."""
        return self._book.of(subject)

    def firings_of(self, subject: Subject) -> tuple[Firings, ...]:
        """Return how often the alerts of a device or a group fired of late."""
        return self._book.firings_of(subject)

    def has_alerts(self, subject: Subject) -> bool:
        return subject in self._book

    def open_alerts(self) -> Iterator[Alert]:
        return iter(self._book)

    # --- what happens --------------------------------------------------------------

    def observe(self, report: Report, now: datetime) -> list[Change]:
        """Take one message; return what happened to alerts by it."""
        state = self._devices.get(report.device)
        profile = self._places.profile_of(report.device)
        if state is None:
            state = DeviceState(report.device, profile.site)
            self._devices[report.device] = state
        state.site, state.kind = profile.site, profile.kind
        report = believed(report, state)
        state.take(report)
        if profile.kind is Kind.CHARGER:
            self._ended += follow(state, report, self._places.policy_of(report.device))
        self.touched.add(report.device)
        self._judge(state, profile, now)
        return self._settled(now)

    def advance(self, now: datetime) -> list[Change]:
        """Let time pass to `now`; call it at `next_deadline` or later."""
        for alert in self._book.silences.turn(self._book, now):
            self._deadlines.wake(alert.key.subject, now)
        while (subject := self._deadlines.pop_due(now)) is not None:
            if isinstance(subject, Group):
                self._book.unsettled.add(subject)
            elif (state := self._devices.get(subject)) is not None:
                if self._blind_since is None:
                    self._lose_sessions(state, now)
                self._judge(state, self._places.profile_of(subject), now)
        return self._settled(now)

    def take_ended(self) -> list[EndedSession]:
        """Return the sessions that ended since this was last asked; one may come again."""
        ended, self._ended = self._ended, []
        return ended

    def next_deadline(self) -> datetime | None:
        """Return the first moment at which an alert may change without a new message."""
        return _earlier(self._deadlines.next(), self._book.silences.next_boundary())

    def silence(self, silence: Silence, now: datetime) -> None:
        """Be told of a silence, or that a known one ends at another time."""
        self._book.silences.put(silence, now)

    def acknowledge(self, episode: str, at: datetime) -> None:
        """Be told that somebody sees to an alert: it escalates no further."""
        self._book.acknowledge(episode, at)

    def expect(self, device: DeviceId, now: datetime) -> None:
        """Wait for a device that ought to be there; it is silent if it is never heard."""
        if device not in self._devices:
            profile = self._places.profile_of(device)
            self._devices[device] = DeviceState(
                device, profile.site, profile.kind, waiting_since=now
            )
            self.touched.add(device)
            self._deadlines.wake(device, now)

    def note_cut(
        self, device: DeviceId, channel: int | None, cut: Cut, now: datetime
    ) -> list[Change]:
        """Be told what became of a socket's switching; return what happened to alerts by it."""
        profile = self._places.profile_of(device)
        state = self._devices.get(device)
        if state is None:
            state = self._devices[device] = DeviceState(device, profile.site, profile.kind)
        state.values(channel).cut = cut
        self.touched.add(device)
        self._judge(state, profile, now)
        return self._settled(now)

    def blind(self, now: datetime) -> None:
        """Be told that nothing can be heard (the broker is gone): silence means nothing."""
        if self._blind_since is None:
            self._blind_since = now
            self._deadlines.wake(EVERYTHING, now)

    def sighted(self, now: datetime) -> None:
        """Be told that messages come again; every device gets the blind time as a grace."""
        if self._blind_since is None:
            return
        self._excuse(now - self._blind_since, now)
        self._blind_since = None
        self.judge_all(now)

    def note_health(self, health: SelfHealth, now: datetime) -> None:
        """Be told how the service itself is doing; it counts at the next `advance`."""
        if health != self._health:
            self._health = health
            self._deadlines.wake(EVERYTHING, now)

    def judge_all(self, now: datetime) -> None:
        """Judge everything at the next `advance`: the policy has changed, or hearing has."""
        for device in self._devices:
            self._deadlines.wake(device, now)
        for group in self._book.groups:
            self._deadlines.wake(group, now)

    def restore(
        self,
        devices: Iterable[DeviceState],
        alerts: Iterable[Alert],
        firings: Iterable[Firings] = (),
        *,
        now: datetime,
        away: timedelta,
    ) -> None:
        """Take up what was stored; `away` is how long nobody listened."""
        self._devices = {state.id: state for state in devices}
        for state in self._devices.values():
            self._enrol(state, self._places.profile_of(state.id))
        self._book.restore(alerts, firings)
        self.touched.clear()
        if away > timedelta(0):
            self._excuse(away, now)
        self.judge_all(now)

    # --- inside --------------------------------------------------------------------

    def _lose_sessions(self, state: DeviceState, now: datetime) -> None:
        lost = tuple(lose(state, now, self._places.policy_of(state.id)))
        if lost:
            self._ended += lost
            self.touched.add(state.id)

    def _excuse(self, gap: timedelta, now: datetime) -> None:
        for state in self._devices.values():
            if state.waiting_since is not None:
                # One heard within the gap, on the other connection, starts from now.
                state.waiting_since = min(state.waiting_since + gap, now)
                self.touched.add(state.id)

    def _judge(self, state: DeviceState, profile: DeviceProfile, now: datetime) -> None:
        """Ask every rule for the device's kind; `_apply` only for what may change an alert."""
        policy = self._places.policy_of(state.id)
        fresh_for = profile.silent_after or policy.silent_after(profile.kind)
        hearing = self._blind_since is None
        within = self._enrol(state, profile)
        site = self._book.group(within[0])
        span = self._calendar.span(profile.site, policy.schedule, now)
        moment = Moment(now, policy, profile, fresh_for, span, site, hearing)
        parts, wake = state.metered_parts, None
        alerted = state.id in self._book
        for rule in self._socket_rules[state.kind]:
            judge = rule.judge
            for part in parts:
                verdict = judge(part, state, moment)
                if verdict is CLEAR and not alerted:
                    continue
                due = verdict.recheck_at
                if alerted or type(verdict) is Breach:
                    key = AlertKey(rule.name, state.id, part.channel)
                    due = self._apply(rule, key, within, policy, verdict, now)
                if due is not None and (wake is None or due < wake):
                    wake = due
        for device_rule in self._device_rules[state.kind]:
            verdict = device_rule.judge(state, moment)
            due = verdict.recheck_at
            if alerted or type(verdict) is Breach:
                key = AlertKey(device_rule.name, state.id)
                due = self._apply(device_rule, key, within, policy, verdict, now)
            if due is not None and (wake is None or due < wake):
                wake = due
        self._deadlines.set(state.id, wake)
        self._draw(state, parts, moment, within)
        if state.id in self._book:
            self._let_go(state, parts, now)

    def _apply(  # noqa: PLR0913, PLR0917  (one judgement, written down)
        self,
        rule: Rule,
        key: AlertKey,
        within: tuple[Group, ...],
        policy: Policy,
        verdict: Verdict,
        now: datetime,
    ) -> datetime | None:
        """Move one alert on; return when it, or its rule, wants to be asked again."""
        due = self._book.move(
            key,
            within,
            verdict,
            severity=rule.severity,
            timing=rule.timing(policy),
            policy=policy,
            now=now,
        )
        wake = _earlier(verdict.recheck_at, due)
        if wake is not None and wake <= now:  # else the caller would wake for ever
            raise ValueError(f"{rule.name} asked at {now} to be asked again at {wake}")
        return wake

    def _settled(self, now: datetime) -> list[Change]:
        """Ask the rules of the groups whose facts changed; return all that is news.

        From the widest group to the narrowest: no rule looks at the alerts of a group, and
        what speaks for all the sites of a carrier must be there before them.
        """
        if self._book.changes:
            self._remember_signs(now)
        unsettled = self._book.unsettled
        while unsettled:
            for group in sorted(unsettled, key=_widest_first):
                self._stir(group, now)
                self._judge_group(group, now)
                unsettled.discard(group)
        changes = self._book.take_changes()
        for change in changes:
            if change.transition is Transition.RELEASED:  # from now on it may escalate
                self._deadlines.wake(change.alert.key.subject, now)
        return changes

    def _remember_signs(self, now: datetime) -> None:
        """Keep with the device, and so over a restart, that it showed a sign of fire."""
        for alert, transition in self._book.changes:
            rule, device = alert.key.rule, alert.key.device
            if transition is not Transition.RESOLVED or device is None or rule not in SIGNS:
                continue
            if (state := self._devices.get(device)) is not None:
                at = alert.began_at if rule in EVENTS else now
                state.signs[rule] = at
                self._book.group(alert.within[0]).remember(rule, device, at)

    def _stir(self, group: Group, now: datetime) -> None:
        """Judge the devices whose alerts wait for what fires here now, or lived on it."""
        if group.kind is not GroupKind.SITE:
            return
        state = self._book.group(group)
        for rule, causes in STIRRED_BY.items():
            if not state.how_many_open(rule):
                continue
            fires = any(state.fires(cause) for cause in causes)
            for alert in state.open(rule):
                device = self._devices.get(alert.key.device) if alert.key.device else None
                if device is not None and fires is (alert.state is State.PENDING):
                    self._judge(device, self._places.profile_of(device.id), now)

    def _judge_group(self, group: Group, now: datetime) -> None:
        rules = self._group_rules[group.kind]
        if not rules:
            return
        state, policy = self._book.group(group), self._places.group_policy_of(group)
        moment = GroupMoment(now, policy, self._blind_since is None, self._health)
        within, wake = self._within_group(group), None
        for rule in rules:
            key = AlertKey(rule.name, None, None, group)
            due = self._apply(rule, key, within, policy, rule.judge(state, moment), now)
            wake = _earlier(wake, due)
        self._deadlines.set(group, wake)

    def _within_group(self, group: Group) -> tuple[Group, ...]:
        if group.kind is GroupKind.SITE:
            return self._places.groups_of_site(group.name)
        return (group,) if group == EVERYTHING else (group, EVERYTHING)

    def _enrol(self, state: DeviceState, profile: DeviceProfile) -> tuple[Group, ...]:
        """Return the groups of a device, where it is a member as soon as it is waited for."""
        within = self._places.groups_of_site(profile.site)
        known = self._within.get(state.id)
        if known is not within and known != within:
            for group in known or ():
                self._book.group(group).dismiss(state.id)
            self._within[state.id] = within
            for rule, at in state.signs.items():
                self._book.group(within[0]).remember(rule, state.id, at)
        if state.kind is Kind.SMOKE and state.heard_at is not None:
            self._book.group(within[0]).hear_detector(state.heard_at)
        if state.waiting_since is not None:
            for group in within:
                if self._book.group(group).enrol(state.id, state.kind):
                    self._book.unsettled.add(group)
        return within

    def _draw(
        self,
        state: DeviceState,
        parts: Iterable[Values],
        moment: Moment,
        within: tuple[Group, ...],
    ) -> None:
        """Add what the device draws to what its site draws, if anybody wants to know."""
        if not moment.policy.site_overload.feeder_w:
            return
        power_w = sum(part.fresh_power_w(moment.now, moment.fresh_for) or 0.0 for part in parts)
        if self._book.group(within[0]).draws(state.id, power_w):
            self._book.unsettled.add(within[0])

    def _let_go(self, state: DeviceState, parts: Iterable[Values], now: datetime) -> None:
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
        for alert in self.alerts_of(state.id):
            if (alert.key.rule, alert.key.channel) not in asked:
                self._book.end(alert, now)


def _by_kind(rules: Iterable[R]) -> dict[Kind, tuple[R, ...]]:
    rules = tuple(rules)
    return {kind: tuple(rule for rule in rules if kind in rule.kinds) for kind in Kind}


def _widest_first(group: Group) -> tuple[int, str]:
    return -WIDENING[group.kind], group.name


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)
