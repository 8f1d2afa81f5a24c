"""A score with all that belongs to it, and whether it will do."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from api.backtest.episodes import Episode
from api.backtest.matching import Matched, Miss, matched
from api.backtest.scoring import Score, summed_up
from api.backtest.truth import Incident
from api.score.told import Alarms, within
from ingest.errors import ChargewatchError

MUST_FIND = ("smoke", "fire", "overload")
"""Rules, and classes of incident, of which none may be missed."""
CLOSES = timedelta(minutes=1)
"""Added to the last moment that is known, if nobody says when watching ended."""


class NothingToScore(ChargewatchError):
    """Nobody says when it was, or how many sites there were."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints. The pages are made from it and from what it was made of."""

    ok: bool
    begins: datetime
    ends: datetime
    sites: int
    must_find: list[str]
    must_not_be_missed: list[Miss]
    """Those of the missed that make it fail."""
    false_alarms_allowed: float | None
    """For each site and week; None: any number."""
    score: Score


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A report, and the alarms and incidents behind it."""

    report: Report
    found: Matched
    episodes: Sequence[Episode]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be scored, and what is good enough."""

    begins: datetime | None = None
    ends: datetime | None = None
    sites: int | None = None
    must_find: Sequence[str] = MUST_FIND
    false_alarms_allowed: float | None = None


def scored(alarms: Alarms, truth: Sequence[Incident], asked: Asked) -> Scored:
    """Hold the alarms of a time against the incidents of that time."""
    begins, ends = _times(alarms, truth, asked)
    incidents = [each for each in truth if _in_time(each, begins, ends)]
    episodes = within(alarms.episodes, begins, ends)
    found = matched(episodes, incidents)
    sites = _sites(alarms, incidents, asked)
    figures = summed_up(found, sites=sites, lasts=ends - begins)
    grave = [each for each in found.missed if is_grave(each.incident, asked.must_find)]
    allowed, rate = asked.false_alarms_allowed, figures.false_alarms_per_site_week
    report = Report(
        ok=not grave and (allowed is None or (rate or 0.0) <= allowed),
        begins=begins,
        ends=ends,
        sites=sites,
        must_find=list(asked.must_find),
        must_not_be_missed=grave,
        false_alarms_allowed=allowed,
        score=figures,
    )
    return Scored(report=report, found=found, episodes=episodes)


def is_grave(incident: Incident, must_find: Sequence[str]) -> bool:
    """Say whether this must not be missed, by its class or by a rule that it expects."""
    return incident.kind in must_find or any(
        rule in must_find for rule in incident.expected_rules
    )


def _in_time(incident: Incident, begins: datetime, ends: datetime) -> bool:
    """Say whether it could be known while somebody watched."""
    return incident.knowable_at <= ends and (
        incident.over_at is None or incident.over_at >= begins
    )


def _times(
    alarms: Alarms, truth: Sequence[Incident], asked: Asked
) -> tuple[datetime, datetime]:
    """Return from when until when: as asked for, as the file says, or as far as is known."""
    known = [each.fired_at for each in alarms.episodes]
    known += [each.begins for each in truth]
    later = [each.over_at or each.latest or each.knowable_at for each in truth]
    begins = asked.begins or alarms.watched.begins or min(known, default=None)
    ends = asked.ends or alarms.watched.ends
    if ends is None and (known or later):
        ends = max((*known, *later)) + CLOSES
    if begins is None or ends is None:
        raise NothingToScore("no alarm and no incident: say --from and --to")
    if ends <= begins:
        raise NothingToScore(f"it ends ({ends}) before it begins ({begins})")
    return begins, ends


def _sites(alarms: Alarms, incidents: Sequence[Incident], asked: Asked) -> int:
    sites = asked.sites if asked.sites is not None else alarms.watched.sites
    if sites is not None:
        return sites
    named = {each.place for each in incidents} | {each.site for each in alarms.episodes}
    return len(named - {""})
