"""Puts one device, or one group, before the rules, and its alerts into the book.

Nothing here remembers anything: the devices are the engine's, the alerts the book's.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from rules.alerts import EVERYTHING, AlertKey, Group, GroupKind
from rules.book import AlertBook
from rules.deadlines import Deadlines, earlier
from rules.places import Places
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind
from rules.rule import DeviceRule, GroupMoment, GroupRule, Moment, PartRule, Rule, SocketRule
from rules.schedule import Calendar
from rules.self_health import SelfHealth
from rules.subject import DeviceState, Values
from rules.verdict import CLEAR, Breach, Verdict

R = TypeVar("R", bound=PartRule)


class Court:
    """All the rules in force, and whom they may ask."""

    def __init__(  # noqa: PLR0913, PLR0917  (rules by scope, and their tools)
        self,
        socket_rules: Iterable[SocketRule],
        device_rules: Iterable[DeviceRule],
        group_rules: Iterable[GroupRule],
        places: Places,
        book: AlertBook,
        deadlines: Deadlines,
    ) -> None:
        self.hearing = True
        """False while the broker is out of reach: then silence means nothing."""
        self.health: SelfHealth | None = None
        """How the service itself is doing, as far as it knows."""
        self._socket_rules = _by_kind(socket_rules)
        self._device_rules = _by_kind(device_rules)
        group_rules = tuple(group_rules)
        self._group_rules = {
            kind: tuple(rule for rule in group_rules if rule.group is kind)
            for kind in GroupKind
        }
        self._places, self._book, self._deadlines = places, book, deadlines
        self._calendar = Calendar()
        self._within: dict[DeviceId, tuple[Group, ...]] = {}

    def judge(self, state: DeviceState, now: datetime) -> None:
        """Ask every rule for the device's kind; `_apply` only for what may change an alert."""
        profile, policy = self._places.profile_of(state.id), self._places.policy_of(state.id)
        fresh_for = profile.silent_after or policy.silent_after(profile.kind)
        within = self.enrol(state, profile)
        site = self._book.group(within[0])
        span = self._calendar.span(profile.site, policy.schedule, now)
        moment = Moment(now, policy, profile, fresh_for, span, site, self.hearing)
        parts, wake = state.metered_parts, None
        alerted = state.id in self._book
        awake = parts if alerted or state.oddities else _awake(parts, policy)
        for rule in self._socket_rules[state.kind]:
            judge = rule.judge
            for part in awake:
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
        wake = earlier(verdict.recheck_at, due)
        if wake is not None and wake <= now:  # else the caller would wake for ever
            raise ValueError(f"{rule.name} asked at {now} to be asked again at {wake}")
        return wake

    def judge_group(self, group: Group, now: datetime) -> None:
        rules = self._group_rules[group.kind]
        if not rules:
            return
        state, policy = self._book.group(group), self._places.group_policy_of(group)
        moment = GroupMoment(now, policy, self.hearing, self.health)
        within, wake = self._within_group(group), None
        for rule in rules:
            key = AlertKey(rule.name, None, None, group)
            due = self._apply(rule, key, within, policy, rule.judge(state, moment), now)
            wake = earlier(wake, due)
        self._deadlines.set(group, wake)

    def _within_group(self, group: Group) -> tuple[Group, ...]:
        if group.kind is GroupKind.SITE:
            return self._places.groups_of_site(group.name)
        return (group,) if group == EVERYTHING else (group, EVERYTHING)

    def enrol(self, state: DeviceState, profile: DeviceProfile) -> tuple[Group, ...]:
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
            kind = state.kind if profile.declared else Kind.UNKNOWN  # nobody misses a stranger
            for group in within:
                if self._book.group(group).enrol(state.id, kind):
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
        for alert in self._book.of(state.id):
            if (alert.key.rule, alert.key.channel) not in asked:
                self._book.end(alert, now)


def _awake(parts: Sequence[Values], policy: Policy) -> list[Values]:
    """Return the parts of which a rule of sockets might say anything but that all is well."""
    floor_w = min(policy.charging.min_w, policy.overload.clear_w)
    return [part for part in parts if not part.rests(floor_w)]


def _by_kind(rules: Iterable[R]) -> dict[Kind, tuple[R, ...]]:
    rules = tuple(rules)
    return {kind: tuple(rule for rule in rules if kind in rule.kinds) for kind in Kind}
