"""What belongs together: the devices of a site, of a carrier, and all of them.

A group knows its members and the open alerts among them, kept up to date with each change
and never counted anew: a site of a hundred thousand devices costs no more than one of ten.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from rules.absence import Absence
from rules.alerts import Alert, AlertKey, Group, State
from rules.readings import DeviceId, Kind

EVENTS = frozenset({"abrupt_end"})
"""Rules whose alert is about one moment, however long it stays open."""

SIGNS = EVENTS | {"smoke", "heat", "warm"}
"""Rules whose alerts are remembered after their end: signs of one fire come one by one."""

SILENCE = "silence"
"""The rule whose alerts say which chargers are missed."""

NOTHING: Mapping[DeviceId, datetime] = MappingProxyType({})


class GroupState:
    """The facts about one group; the engine alone changes them."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.members: dict[DeviceId, Kind] = {}
        """The devices that are waited for."""
        self.kinds: Counter[Kind] = Counter()
        """How many members there are of each kind."""
        self.absence = Absence()
        """Which of the chargers have an alert of `silence`, pending ones included."""
        self.detector_heard_at: datetime | None = None
        """When one of its smoke detectors, which have batteries, was last heard."""
        self.power_w = 0.0
        """What all members draw, as far as it is known."""
        self._powers_w: dict[DeviceId, float] = {}
        self._open: dict[str, dict[AlertKey, Alert]] = {}
        self._past: dict[str, dict[DeviceId, datetime]] = {}

    def enrol(self, device: DeviceId, kind: Kind) -> bool:
        """Take a member in, or note its new kind; return whether anything changed.

        Of chargers that are expected to be heard `absence` keeps count.
        """
        before = self.members.get(device)
        if before is kind:
            return False
        if before is not None:
            self._count_out(device, before)
        self.members[device] = kind
        self.kinds[kind] += 1
        if kind is Kind.CHARGER:
            self.absence.expect(device)
        return True

    def hear_detector(self, at: datetime) -> None:
        """Note that a detector was heard, now or before a restart."""
        if self.detector_heard_at is None or at > self.detector_heard_at:
            self.detector_heard_at = at

    def dismiss(self, device: DeviceId) -> None:
        """Forget a member that belongs elsewhere now."""
        kind = self.members.pop(device, None)
        if kind is not None:
            self._count_out(device, kind)
        self.draws(device, 0.0)
        for devices in self._past.values():
            devices.pop(device, None)

    def _miss(self, device: DeviceId, since: datetime) -> None:
        if self.members.get(device) is Kind.CHARGER:
            self.absence.miss(device, since)

    def _count_out(self, device: DeviceId, kind: Kind) -> None:
        self.kinds[kind] -= 1
        if kind is Kind.CHARGER:
            self.absence.dismiss(device)

    def remember(self, rule: str, device: DeviceId, at: datetime) -> None:
        """Note when a member's alert about a sign of fire was last over."""
        self._past.setdefault(rule, {})[device] = at

    def past(self, rule: str) -> Mapping[DeviceId, datetime]:
        """Return by device when its last alert of one of the `SIGNS` was over."""
        return self._past.get(rule, NOTHING)

    def draws(self, device: DeviceId, power_w: float) -> bool:
        """Note what a member draws; return whether the sum changed."""
        change_w = power_w - self._powers_w.get(device, 0.0)
        if not change_w:
            return False
        if power_w:
            self._powers_w[device] = power_w
        else:
            self._powers_w.pop(device, None)
        self.power_w = self.power_w + change_w if self._powers_w else 0.0
        return True

    def note(self, alert: Alert) -> None:
        """Keep an alert that is open, forget one that is over."""
        if alert.state is State.RESOLVED:
            self.forget(alert.key)
        else:
            self._open.setdefault(alert.key.rule, {})[alert.key] = alert
            device = alert.key.device
            if device and alert.key.rule == SILENCE:
                self._miss(device, alert.evidence.since or alert.began_at)

    def forget(self, key: AlertKey) -> None:
        alerts = self._open.get(key.rule, {})
        alerts.pop(key, None)
        if not alerts:
            self._open.pop(key.rule, None)
        if key.rule == SILENCE and key.device is not None:
            self.absence.found(key.device)

    def open(self, rule: str) -> list[Alert]:
        """Return the open alerts of a rule in this group, pending ones included."""
        return list(self._open.get(rule, {}).values())

    def how_many_open(self, rule: str) -> int:
        return len(self._open.get(rule, ()))

    def fires(self, rule: str) -> bool:
        """Say whether any alert of a rule fires in this group."""
        return any(a.state is State.FIRING for a in self._open.get(rule, {}).values())
