"""Devices that a tester can do something to while they run, and the player of such a village.

What is done is done in virtual time, between two acts of the village, so that the stream is
in order; what follows of it at once is said at once.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from rules.readings import Kind
from simulator.emissions import Emission
from simulator.ills import (
    BatteryLow,
    ClockAt1970,
    CutOff,
    Dropped,
    Garbled,
    Heating,
    Ill,
    Overload,
    Said,
    Silent,
    SmokeSeen,
    Voice,
    Welded,
)
from simulator.links import Speaker
from simulator.player import Player
from simulator.skins.skin import Skin
from simulator.truth import Incident

RATE_OVER = timedelta(seconds=30)
ILLS_MAX = 500
"""Of one run; a tester's patience ends earlier."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be done. `expected` are the alarms that ought to follow."""

    key: str
    ill: type[Ill]
    at: str
    """To whom: a "socket", a "pile", a "sensor", or the "site"."""
    expected: tuple[str, ...]


CHOICES = (
    Choice(key="o", ill=Overload, at="socket", expected=("overload",)),
    Choice(key="s", ill=SmokeSeen, at="sensor", expected=("smoke", "fire")),
    Choice(key="h", ill=Heating, at="socket", expected=("heat", "warm", "fire")),
    Choice(key="w", ill=Welded, at="socket", expected=("relay_welded",)),
    Choice(key="p", ill=CutOff, at="site", expected=("site_outage", "silence")),
    Choice(key="l", ill=Silent, at="pile", expected=("silence", "site_outage")),
    Choice(key="d", ill=Dropped, at="pile", expected=("silence", "site_outage")),
    Choice(key="c", ill=ClockAt1970, at="pile", expected=("clock_wrong",)),
    Choice(key="b", ill=BatteryLow, at="sensor", expected=("sensor_battery",)),
    Choice(key="g", ill=Garbled, at="pile", expected=("silence", "site_outage")),
)


class Deed(msgspec.Struct, kw_only=True):
    """What was done, to whom, when, and until when."""

    ill: Ill
    choice: Choice
    devices: tuple[str, ...]
    site: str
    ended_at: datetime | None = None

    @property
    def since(self) -> datetime:
        return self.ill.since

    def incident(self) -> Incident:
        """Return it as a line of truth: the first of the alarms ought to fire."""
        whole = self.choice.at == "site"
        return Incident(
            kind=self.ill.name,
            site=self.site,
            device=None if whole else self.devices[0],
            channel=self.ill.channel,
            severity="",
            begins=self.since,
            ends=self.ended_at,
            earliest=self.since,
            expected_rules=self.choice.expected[:1],
        )


class Meddled:
    """A device that may have ills. To whoever listens it is the device."""

    def __init__(self, device: Speaker) -> None:
        self.device = device
        self.ills: list[Ill] = []

    @property
    def id(self) -> str:
        return self.device.id

    @property
    def kind(self) -> Kind:
        return self.device.kind

    @property
    def own_connection(self) -> bool:
        return self.device.own_connection

    @property
    def skin(self) -> Skin | None:
        return self.device.skin

    def next_at(self) -> datetime | None:
        return self.device.next_at()

    def act(self) -> Said:
        return self._through(self.device.act())

    def obey(self, payload: bytes, now: datetime) -> Said:
        if any(isinstance(ill, Silent) for ill in self.ills):
            return []  # no order reaches a device that nobody hears
        return self._through(self.device.obey(payload, now))

    def last_will(self, at: datetime) -> Emission:
        return self.device.last_will(at)

    def suffer(self, ill: Ill) -> Said:
        """Begin an ill; return what the device says of it at once."""
        said = self._through(ill.at_once(self._voice(ill.since)))
        self.ills.append(ill)
        return said

    def recover(self, ill: Ill, now: datetime) -> Said:
        self.ills.remove(ill)
        return self._through(ill.at_last(self._voice(now)))

    def _voice(self, now: datetime) -> Voice:
        return Voice(self.id, self.kind, now, self.last_will(now))

    def _through(self, said: Iterable[Emission]) -> Said:
        """Return what is left of messages after all ills, the oldest first."""
        passing = list(said)
        for ill in self.ills:
            passing = [each for emission in passing for each in ill.changes(emission)]
        return passing


class MeddledPlayer(Player):
    """Plays a village, and lets somebody interfere."""

    def __init__(self, devices: Iterable[Speaker]) -> None:
        self.meddled = {device.id: Meddled(device) for device in devices}
        super().__init__(self.meddled.values())
        self.deeds: list[Deed] = []
        self.said = 0
        self.last: dict[str, Emission] = {}
        """The last telemetry of each device, before it was dressed in a dialect."""
        self._recent: deque[datetime] = deque(maxlen=10_000)

    def step(self) -> Said:
        return self._noted(super().step())

    def obey(self, topic: str, payload: bytes, now: datetime) -> Said:
        said = list(self.play(now))  # noted as it is played
        return said + self._noted(super().obey(topic, payload, now))

    def dressed(self, said: Iterable[Emission]) -> Said:
        said = list(said)
        for emission in said:
            if emission.topic.endswith("/telemetry"):
                self.last[emission.device] = emission
        return super().dressed(said)

    @property
    def is_tired(self) -> bool:
        """Whether so much was done that no more is taken."""
        return len(self.deeds) >= ILLS_MAX

    def devices_of(self, site: str) -> list[Meddled]:
        return [each for name, each in self.meddled.items() if name.startswith(f"{site}/")]

    def do(self, choice: Choice, device: str, channel: int | None, now: datetime) -> Said:
        """Do something to a device, or to its whole site, at `now`."""
        if self.is_tired:
            return []
        said = list(self.play(now))
        site = device.rpartition("/")[0]
        whom = self.devices_of(site) if choice.at == "site" else [self.meddled[device]]
        ill = choice.ill(since=now, channel=channel if choice.at == "socket" else None)
        names = tuple(each.id for each in whom)
        self.deeds.append(Deed(ill=ill, choice=choice, devices=names, site=site))
        for each in whom:
            said += self._noted(self.dressed(each.suffer(ill)))
        return said

    def end(self, deed: Deed, now: datetime) -> Said:
        """End what was done; the devices go on as they are."""
        said = list(self.play(now))
        if deed.ended_at is None:
            deed.ended_at = now
            for name in deed.devices:
                said += self._noted(self.dressed(self.meddled[name].recover(deed.ill, now)))
        return said

    def rate(self, now: datetime) -> float:
        """Return messages a second, of late."""
        while self._recent and now - self._recent[0] > RATE_OVER:
            self._recent.popleft()
        return len(self._recent) / RATE_OVER.total_seconds()

    def _noted(self, said: Said) -> Said:
        for emission in said:
            self.said += 1
            self._recent.append(emission.at)
        return said

    def open_deeds(self) -> Iterator[Deed]:
        return (deed for deed in self.deeds if deed.ended_at is None)
