"""A month of fifty sites, made up, with everything in it that a score can show."""

from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from api.backtest.episodes import Episode
from api.backtest.truth import Incident
from api.score.told import Alarms, Watched

FIRST = datetime(2026, 5, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
KINDS = {
    "overload": ("overload",),
    "thermal_runaway": ("smoke", "fire"),
    "after_hours": ("after_hours",),
    "dead_device": ("silence",),
    "steam": (),
}


def site_of(number: int) -> str:
    return f"area-{number % 5}/site-{number:02}"


def month(seed: int = 3, sites: int = 50, days: int = 30) -> tuple[Alarms, list[Incident]]:
    """Return alarms and incidents: most found, some missed, some alarms about nothing."""
    chance = Random(seed)
    truth, said = [], []
    for number in range(sites):
        for _ in range(chance.choice((0, 0, 0, 1, 2, 4)) if number else 6):
            incident = _incident(chance, site_of(number), days)
            truth.append(incident)
            said += _alarms_of(chance, incident)
        for _ in range(chance.choice((0,) * 9 + (1, 2))):
            said.append(_false(chance, site_of(number), days))
    said.sort(key=lambda each: each.fired_at)
    watched = Watched(begins=FIRST, ends=FIRST + days * DAY, sites=sites)
    return Alarms(watched=watched, episodes=said), truth


def _incident(chance: Random, site: str, days: int) -> Incident:
    kind = chance.choice(list(KINDS))
    begins = FIRST + chance.random() * (days - 1) * DAY
    socket = kind in {"overload", "after_hours"}
    return Incident(
        kind=kind,
        begins=begins,
        ends=None if kind == "dead_device" else begins + chance.randint(10, 90) * MINUTE,
        site=site,
        device=f"{site}/{'pile' if socket else 'smoke'}-{chance.randint(1, 4)}",
        channel=chance.randint(1, 10) if socket else None,
        earliest=begins + chance.choice((0, 1, 8)) * MINUTE,
        expected_rules=KINDS[kind],
        must_not_rules=() if KINDS[kind] else ("smoke",),
    )


def _alarms_of(chance: Random, incident: Incident) -> list[Episode]:
    luck = chance.random()
    if not incident.expected_rules:
        return [_episode(incident, "smoke", 2)] if luck < 0.2 else []
    if luck < 0.1:
        return []
    found = [_episode(incident, rule, chance.random() * 3) for rule in incident.expected_rules]
    if luck < 0.2:
        for each in found:
            each.told_at, each.withheld = None, "inhibited:site_outage"
    elif luck < 0.3:
        again = _episode(incident, incident.expected_rules[0], 6)
        again.fired_at += MINUTE
        found.append(again)
    return found


def _episode(incident: Incident, rule: str, after_min: float) -> Episode:
    at = incident.knowable_at + after_min * MINUTE
    return Episode(
        rule=rule,
        severity="critical",
        site=incident.place,
        device=incident.device,
        channel=incident.channel,
        fired_at=at,
        told_at=at,
        resolved_at=at + 2 * MINUTE if after_min == 6 else incident.ends,
        measured=1203.4 if rule == "overload" else None,
        limit=1000.0 if rule == "overload" else None,
        unit="W" if rule == "overload" else "",
        notifications=2,
    )


def _false(chance: Random, site: str, days: int) -> Episode:
    at = FIRST + chance.random() * (days - 1) * DAY
    return Episode(
        rule=chance.choice(("warm", "power_step")),
        severity="warning",
        site=site,
        device=f"{site}/pile-1",
        channel=chance.randint(1, 10),
        fired_at=at,
        told_at=at,
        resolved_at=at + chance.randint(1, 200) * MINUTE,
        measured=61.5,
        limit=60.0,
        unit="\N{DEGREE SIGN}C",
        notifications=1,
    )


def as_lines(incidents: list[Incident]) -> bytes:
    return msgspec.json.Encoder().encode_lines(incidents)
