"""What late data would have meant: a hazard found afterwards, which sirens for nobody.

A device that was cut off sends later what it kept. That must never raise an alarm for what
was hours ago, nor end one; but smoke at night that nobody heard of has to be looked into.
Late values are judged against the limits of now, at the higher level only, and a run of them
is one hazard. A run is measured on the device's own clock: there is no other.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from rules.alerts import worse
from rules.plausible import cleaned
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Reading, Report
from rules.verdict import Evidence

RUN_GAP = timedelta(minutes=30)
"""Readings further apart than this are two runs, and two hazards (ours)."""
RUNS_MAX = 10_000
"""Runs remembered; when there are more, the oldest is forgotten, and has to last anew."""


class Hazard(msgspec.Struct, frozen=True, kw_only=True):
    """A breach that was found out too late to act on; `began_at` <= `ended_at`."""

    rule: str
    device: DeviceId
    channel: int | None
    site: str
    began_at: datetime
    ended_at: datetime
    """The last late reading that showed it."""
    evidence: Evidence


class _Subject(NamedTuple):
    rule: str
    device: DeviceId
    channel: int | None


class _Found(NamedTuple):
    """What one reading says about one rule; no evidence: that all was well."""

    rule: str
    evidence: Evidence | None
    hold: timedelta = timedelta(0)


class Retrospect:
    """Follows the runs of late breaches, in bounded memory.

    A restart begins them anew; whoever keeps the hazards joins those that overlap.
    """

    def __init__(self) -> None:
        self._runs: dict[_Subject, Hazard] = {}

    def judge(self, report: Report, policy: Policy, profile: DeviceProfile) -> list[Hazard]:
        """Take a late report; return the hazards that it shows, each as far as it is known."""
        return [
            hazard
            for reading in map(cleaned, report.readings)
            for found in _findings(reading, policy, profile)
            if (hazard := self._followed(report, reading.channel, profile.site, found))
        ]

    def _followed(
        self, report: Report, channel: int | None, site: str, found: _Found
    ) -> Hazard | None:
        subject = _Subject(found.rule, report.device, channel)
        run = self._runs.pop(subject, None)
        if found.evidence is None:
            return None
        at = report.at
        if run is None or not run.began_at - RUN_GAP <= at <= run.ended_at + RUN_GAP:
            run = Hazard(
                rule=found.rule,
                device=report.device,
                channel=channel,
                site=site,
                began_at=at,
                ended_at=at,
                evidence=found.evidence,
            )
        run = msgspec.structs.replace(
            run,
            began_at=min(run.began_at, at),
            ended_at=max(run.ended_at, at),
            evidence=worse(run.evidence, found.evidence),
        )
        self._runs[subject] = run
        if len(self._runs) > RUNS_MAX:
            del self._runs[next(iter(self._runs))]
        return run if run.ended_at - run.began_at >= found.hold else None


def _findings(reading: Reading, policy: Policy, profile: DeviceProfile) -> Iterator[_Found]:
    """Yield what a reading says, of each rule about which it says anything."""
    if reading.smoke_alarm is not None:
        smokes = reading.smoke_alarm and not reading.self_test
        yield _Found("smoke", Evidence() if smokes else None)
    heat_c, said = reading.device_temperature_c, bool(reading.overtemperature)
    if said or heat_c is not None:
        limit_c = policy.heat.act_c
        hot = said or (heat_c is not None and heat_c >= limit_c)
        evidence = Evidence(heat_c, limit_c, "°C") if hot else None
        yield _Found("heat", evidence, timedelta(0) if said else policy.heat.hold)
    if reading.power_w is not None and profile.kind is Kind.CHARGER:
        limit_w = policy.overload.act_w
        over = reading.power_w > limit_w and reading.channel is not None
        evidence = Evidence(reading.power_w, limit_w, "W") if over else None
        yield _Found("overload", evidence, policy.overload.hold)
