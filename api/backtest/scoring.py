"""How good the alarms were, held against the truth: recall, delay, false alarms."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from api.backtest.episodes import Episode
from api.backtest.truth import Incident

WEEK = timedelta(days=7)


class Delay(msgspec.Struct, frozen=True):
    """Seconds from the earliest moment at which it could be known to firing."""

    p50: float
    p95: float
    max: float


class Mark(msgspec.Struct, kw_only=True):
    """The score of one rule, or of one class of incident."""

    expected: int = 0
    found: int = 0
    false_alarms: int = 0
    """About nothing that happened, or forbidden by it. (By rule only.)"""
    recall: float | None = None
    delay_s: Delay | None = None
    """None: nothing was found."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Recall counts incidents: one is found when the first of its rules fires in time."""

    incidents: int
    found: int
    recall: float | None
    delay_s: Delay | None
    false_alarms: int
    forbidden: int
    """Those of the false alarms that an incident names as what must not be said of it."""
    site_weeks: float
    false_alarms_per_site_week: float | None
    per_rule: dict[str, Mark]
    per_class: dict[str, Mark]
    missed: list[Incident]
    false: list[Episode]


class _Tally:
    """Marks in the making."""

    def __init__(self) -> None:
        self.marks: dict[str, Mark] = defaultdict(Mark)
        self._delays: dict[str, list[float]] = defaultdict(list)

    def expect(self, name: str, delay_s: float | None) -> None:
        mark = self.marks[name]
        mark.expected += 1
        if delay_s is not None:
            mark.found += 1
            self._delays[name].append(delay_s)

    def done(self) -> dict[str, Mark]:
        for name, mark in self.marks.items():
            mark.recall = _share(mark.found, mark.expected)
            mark.delay_s = delay_of(self._delays[name])
        return dict(sorted(self.marks.items()))


def score(
    episodes: Sequence[Episode], truth: Iterable[Incident], *, sites: int, lasts: timedelta
) -> Score:
    """Hold episodes against the truth; `sites` were watched for as long as `lasts`.

    What people are not told of neither finds an incident nor is a false alarm.
    """
    incidents = tuple(truth)
    episodes = [each for each in episodes if each.told_at is not None]
    rules, classes = _Tally(), _Tally()
    delays: list[float] = []
    missed: list[Incident] = []
    by_site = _by_site(episodes)
    for incident in incidents:
        if not incident.expected_rules:
            continue
        found = _delays_of(incident, by_site.get(incident.place, ()))
        for rule in incident.expected_rules:
            rules.expect(rule, found.get(rule))
        first = min(found.values(), default=None)
        classes.expect(incident.kind, first)
        if first is None:
            missed.append(incident)
        else:
            delays.append(first)
    false, forbidden = _false(episodes, incidents)
    for episode in false:
        rules.marks[episode.rule].false_alarms += 1
    site_weeks = sites * (lasts / WEEK)
    return Score(
        incidents=len(delays) + len(missed),
        found=len(delays),
        recall=_share(len(delays), len(delays) + len(missed)),
        delay_s=delay_of(delays),
        false_alarms=len(false),
        forbidden=forbidden,
        site_weeks=round(site_weeks, 3),
        false_alarms_per_site_week=_share(len(false), site_weeks),
        per_rule=rules.done(),
        per_class=classes.done(),
        missed=missed,
        false=false,
    )


def delay_of(delays_s: Iterable[float]) -> Delay | None:
    """Return the median, the 95th percentile (nearest rank) and the longest."""
    ordered = sorted(delays_s)
    if not ordered:
        return None
    last = len(ordered) - 1
    p50, p95 = (ordered[min(last, int(share * len(ordered)))] for share in (0.5, 0.95))
    return Delay(round(p50, 3), round(p95, 3), round(ordered[-1], 3))


def _delays_of(incident: Incident, episodes: Iterable[Episode]) -> dict[str, float]:
    """Return, by rule, how long it took to fire for the first time, in seconds."""
    found: dict[str, float] = {}
    for episode in episodes:  # in the order in which they fired
        if incident.is_found_by(episode):
            delay = (episode.told_at or episode.fired_at) - incident.knowable_at
            found.setdefault(episode.rule, delay.total_seconds())
    return found


def _false(
    episodes: Iterable[Episode], incidents: Iterable[Incident]
) -> tuple[list[Episode], int]:
    """Return what was about nothing that happened, or forbidden; and how many were that."""
    at_site: dict[str, list[Incident]] = defaultdict(list)
    for incident in incidents:
        at_site[incident.place].append(incident)
    false, forbidden = [], 0
    for episode in episodes:
        about = [each for each in at_site.get(episode.site, ()) if each.concerns(episode)]
        wanted = any(episode.rule in each.expected_rules for each in about)
        banned = any(episode.rule in each.must_not_rules for each in about)
        if not about or (banned and not wanted):
            false.append(episode)
            forbidden += bool(about)
    return false, forbidden


def _by_site(episodes: Iterable[Episode]) -> dict[str, list[Episode]]:
    found: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        found[episode.site].append(episode)
    return found


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
