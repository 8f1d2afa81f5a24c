"""Puts every message, and every moment that matters, before every rule.

The engine owns what is known of the devices and the open alerts. It does no I/O: it is
told what was said and what time it is, and returns which alerts changed. What it touched
since it was last asked is in `touched`, so that the caller can write down exactly that.

Time is our own clock, at arrival: a device's clock may be minutes off (docs/decisions/
003), and a hold measured on it would be too long or no hold at all.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from rules.alerts import (
    EVERYTHING,
    Alert,
    Change,
    Group,
    GroupKind,
    State,
    Subject,
    Transition,
)
from rules.book import AlertBook
from rules.court import Court
from rules.deadlines import Deadlines, earlier
from rules.flapping import Firings
from rules.groups import EVENTS, SIGNS, GroupState
from rules.latch import Cut
from rules.places import Places
from rules.plausible import believed
from rules.readings import DeviceId, Kind, Report
from rules.rule import DeviceRule, GroupRule, SocketRule
from rules.self_health import SelfHealth
from rules.session import EndedSession
from rules.sessions import follow, lose
from rules.silences import Silence
from rules.stirring import STIRRED_BY
from rules.subject import DeviceState

WIDENING = {kind: rank for rank, kind in enumerate(GroupKind)}


class Engine:
    """Holds what is known of each device; returns the alerts that changed."""

    def __init__(
        self,
        socket_rules: Iterable[SocketRule],
        device_rules: Iterable[DeviceRule],
        group_rules: Iterable[GroupRule],
        places: Places,
    ) -> None:
        self._places = places
        self._devices: dict[DeviceId, DeviceState] = {}
        self._book = AlertBook()
        self._deadlines = Deadlines()
        self._court = Court(
            socket_rules, device_rules, group_rules, places, self._book, self._deadlines
        )
        self._blind_since: datetime | None = None
        self._ended: list[EndedSession] = []
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
        self._court.judge(state, now)
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
                self._court.judge(state, now)
        return self._settled(now)

    def take_ended(self) -> list[EndedSession]:
        """Return the sessions that ended since this was last asked; one may come again."""
        ended, self._ended = self._ended, []
        return ended

    def next_deadline(self) -> datetime | None:
        """Return the first moment at which an alert may change without a new message."""
        return earlier(self._deadlines.next(), self._book.silences.next_boundary())

    def silence(self, silence: Silence, now: datetime) -> None:
        """Be told of a silence, or that a known one ends at another time."""
        self._book.silences.put(silence, now)

    def acknowledge(self, episode: str, at: datetime) -> None:
        """Be told that somebody sees to an alert: it escalates no further."""
        if (alert := self._book.acknowledge(episode, at)) is not None:
            self._deadlines.wake(alert.key.subject, at)

    def hand(self, episode: str, at: datetime) -> Alert | None:
        """Be told that an alert was handed over: it escalates unless somebody takes it.

        Returns it if it is open, for whoever is to be told.
        """
        alert = self._book.hand(episode, at)
        if alert is not None:
            self._deadlines.wake(alert.key.subject, at)
        return alert

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
        self._court.judge(state, now)
        return self._settled(now)

    def blind(self, now: datetime) -> None:
        """Be told that nothing can be heard (the broker is gone): silence means nothing."""
        if self._blind_since is None:
            self._blind_since = now
            self._court.hearing = False
            self._deadlines.wake(EVERYTHING, now)

    def sighted(self, now: datetime) -> None:
        """Be told that messages come again; every device gets the blind time as a grace."""
        if self._blind_since is None:
            return
        self._excuse(now - self._blind_since, now)
        self._blind_since = None
        self._court.hearing = True
        self.judge_all(now)

    def note_health(self, health: SelfHealth, now: datetime) -> None:
        """Be told how the service itself is doing; it counts at the next `advance`."""
        if health != self._court.health:
            self._court.health = health
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
            self._court.enrol(state, self._places.profile_of(state.id))
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
                self._court.judge_group(group, now)
                unsettled.discard(group)
        for subject in self._book.take_freed():
            self._deadlines.wake(subject, now)
        return self._book.take_changes()

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
                    self._court.judge(device, now)


def _widest_first(group: Group) -> tuple[int, str]:
    return -WIDENING[group.kind], group.name
