"""Networks: outages, backlogs, half-open connections, storms, and messages on odd ways."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar, Literal

import msgspec

from simulator.faults.devices import NEIGHBOURS, note_silence
from simulator.faults.fault import Fault, Target
from simulator.faults.supply import note_outage
from simulator.hazards import SLACK
from simulator.link_faults import Delayed, Doubled, Kept, Lost
from simulator.scene import Scene, Subject
from simulator.truth import TRAP
from simulator.words import Length, Share, length

JITTER = timedelta(seconds=120)
"""How far apart devices with a back-off connect again: X10P, 0 to 2 min (DOMAIN §2.2)."""
AT_ONCE = timedelta(seconds=1)
"""How far apart those without one do."""
KEEP_ALIVE = timedelta(seconds=45)
"""A broker gives a connection up after 1.5 times its keep-alive of 30 s (FORMATS §1.4)."""
LIVE_ALARMS = ("overload", "power_step", "heat", "warm", "after_hours", "fire", "smoke")
"""What news of hours ago must not raise."""


class CarrierOutage(Fault, frozen=True, kw_only=True):
    """A carrier's network is down: every site on it falls silent, though all devices live."""

    lasts: Length = "2 h"
    keeps: bool = True
    """Devices keep what they say, and send it afterwards."""
    target: ClassVar[Target] = "carrier"
    source: ClassVar[str] = "AP3000 keeps settlements until they are acknowledged"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        until, carrier = at + length(self.lasts), subject.site.carrier
        sites = [site for site in scene.sites if site.carrier == carrier]
        for site in sites:
            for name in (*site.pile_ids(), *site.sensor_ids()):
                _away(scene, name, at, until, chance, keeps=self.keeps, within=JITTER)
            note_outage(scene, Subject(site), "carrier_outage_at_site", at, until)
            scene.incidents[-1] = msgspec.structs.replace(
                scene.incidents[-1],
                expected_rules=(),
                must_not_rules=LIVE_ALARMS,
                severity=TRAP,
            )
        beat = max(site.beat for site in sites)
        allowed = max(scene.limits.length("silent_pile"), 2.5 * beat)
        if until - at < allowed or len(sites) < 2:  # noqa: PLR2004
            return
        carried = msgspec.structs.replace(scene.incidents[-1], kind="carrier_outage", site="")
        scene.incidents.append(
            msgspec.structs.replace(
                carried,
                severity="critical",
                latest=at + allowed + beat + NEIGHBOURS + SLACK,
                expected_rules=("carrier_outage",),
                must_not_rules=("monitoring_blind",),
            )
        )


class LinkDown(Fault, frozen=True, kw_only=True):
    """One device is away for hours, and sends all that it kept at once: a backlog."""

    lasts: Length = "3 h"
    keeps: bool = True
    marked: bool = True
    """It says of each message that it was kept back; some firmware does not."""
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "AP3000: late, duplicated, hours-old data is normal"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        until = at + length(self.lasts)
        back_at = _away(
            scene,
            subject.device,
            at,
            until,
            chance,
            keeps=self.keeps,
            within=JITTER,
            marked=self.marked,
        )
        note_silence(scene, subject, "link_down", at, back_at)
        if self.keeps:
            ends = back_at + timedelta(minutes=10)
            scene.trap(subject, "backlog", back_at, ends, *LIVE_ALARMS)


class HalfOpen(Fault, frozen=True, kw_only=True):
    """A connection is dead, and the device does not know: what it says gets lost."""

    lasts: Length = "30 min"
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "thingsboard #15614: an open socket was active for ever"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        until = at + length(self.lasts)
        back_at = _away(scene, subject.device, at, until, chance, keeps=False, within=AT_ONCE)
        scene.on[subject.device].willed_at.append(at + KEEP_ALIVE)
        note_silence(scene, subject, "half_open", at, back_at)


class ReconnectStorm(Fault, frozen=True, kw_only=True):
    """The broker restarts, and everybody connects again: apart, or all at the same moment."""

    jitter: bool = True
    away: Length = "20 s"
    target: ClassVar[Target] = "site"
    source: ClassVar[str] = "emqx #2671, #11187; X10P waits up to 2 min"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        until, site = at + length(self.away), subject.site
        within = JITTER if self.jitter else AT_ONCE
        for name in (*site.pile_ids(), *site.sensor_ids()):
            _away(scene, name, at, until, chance, keeps=True, within=within)
        ends = until + within + timedelta(minutes=1)
        must_not = ("silence", "site_outage", "carrier_outage", "monitoring_blind")
        scene.trap(subject, "reconnect_storm", at, ends, *must_not)


class _OnTheWay(Fault, frozen=True, kw_only=True):
    """Something happens to messages on their way. Nobody need hear of it."""

    lasts: Length = "1 h"
    share: Share = 0.3
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"

    def _note(self, scene: Scene, subject: Subject, at: datetime, *must_not: str) -> datetime:
        until = at + length(self.lasts)
        name = str(type(self).__struct_config__.tag)
        scene.trap(subject, name, at, until, "silence", *must_not)
        return until


class Loss(_OnTheWay, frozen=True, kw_only=True):
    """A share of the messages is lost: bad radio, QoS 0."""

    source: ClassVar[str] = "AP3000's power report has no retry"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = self._note(scene, subject, at)
        scene.on[subject.device].link.append(Lost(since=at, until=until, share=self.share))


class Delay(_OnTheWay, frozen=True, kw_only=True):
    """A share of the messages comes late."""

    least: Length = "20 s"
    most: Length = "4 min"
    source: ClassVar[str] = "NB-IoT modems sleep; thingsboard #4207 on late data"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = self._note(scene, subject, at, "clock_wrong")
        least, most = length(self.least), length(self.most)
        step = Delayed(since=at, until=until, share=self.share, least=least, most=most)
        scene.on[subject.device].link.append(step)


class Reorder(Delay, frozen=True, kw_only=True):
    """Messages overtake each other by seconds."""

    share: Share = 0.5
    least: Length = "0 s"
    most: Length = "70 s"
    source: ClassVar[str] = "metron PR #1197; MQTT promises an order to one session only"


class Duplicate(_OnTheWay, frozen=True, kw_only=True):
    """A share of the messages comes twice."""

    after: Length = "0 s"
    at_most: Annotated[int, msgspec.Meta(ge=1)] | None = None
    source: ClassVar[str] = "MQTT: QoS 1 is at least once"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = self._note(scene, subject, at)
        step = Doubled(
            since=at,
            until=until,
            share=self.share,
            after=length(self.after),
            at_most=self.at_most,
        )
        scene.on[subject.device].link.append(step)


def _away(  # noqa: PLR0913
    scene: Scene,
    device: str,
    since: datetime,
    until: datetime,
    chance: Random,
    *,
    keeps: bool,
    within: timedelta,
    marked: bool = True,
) -> datetime:
    """Let a device not come through, and connect again; return when it does."""
    back_at = until + within * chance.random()
    doing = scene.on[device]
    if keeps:
        doing.link.append(Kept(since=since, until=back_at, marked=marked))
    else:
        doing.link.append(Lost(since=since, until=back_at))
    doing.reconnects_at.append(back_at)
    return back_at
