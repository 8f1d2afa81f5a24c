"""How good the alarms were, held against the truth: recall, precision, delay, false alarms."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from api.backtest.episodes import Episode
from api.backtest.matching import FalseAlarm, Finding, Matched, Miss, Whence, matched
from api.backtest.truth import Incident

WEEK = timedelta(days=7)


class Delay(msgspec.Struct, frozen=True):
    """Seconds from the earliest moment at which it could be known to telling."""

    p50: float
    p95: float
    max: float


class Mark(msgspec.Struct, kw_only=True):
    """The score of one rule, or of one class of incident."""

    expected: int = 0
    found: int = 0
    right: int = 0
    """Alarms that were expected, those too many included."""
    false_alarms: int = 0
    """About nothing that happened, or forbidden by it; of a class only the latter."""
    duplicates: int = 0
    recall: float | None = None
    precision: float | None = None
    """Of the alarms that were right or false, the share that was right."""
    delay_s: Delay | None = None
    """None: nothing was found."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Recall counts incidents: one is found when the first of its rules fires in time."""

    incidents: int
    found: int
    recall: float | None
    precision: float | None
    delay_s: Delay | None
    false_alarms: int
    forbidden: int
    """Those of the false alarms that an incident names as what must not be said of it."""
    duplicates: int
    """Alarms that say of an incident what another of the same rule had said."""
    alerts_per_incident: float | None
    """Of those that ought to be found: how many alarms people were told of."""
    notifications_per_incident: float | None
    """None: nobody counted the messages."""
    site_weeks: float
    false_alarms_per_site_week: float | None
    per_rule: dict[str, Mark]
    per_class: dict[str, Mark]
    missed: list[Miss]
    false: list[FalseAlarm]


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
            mark.precision = _share(mark.right, mark.right + mark.false_alarms)
            mark.delay_s = delay_of(self._delays[name])
        return dict(sorted(self.marks.items()))


def score(
    episodes: Sequence[Episode], truth: Iterable[Incident], *, sites: int, lasts: timedelta
) -> Score:
    """Hold episodes against the truth; `sites` were watched for as long as `lasts`.

    What people are not told of neither finds an incident nor is a false alarm.
    """
    return summed_up(matched(episodes, tuple(truth)), sites=sites, lasts=lasts)


def summed_up(found: Matched, *, sites: int, lasts: timedelta) -> Score:
    """Return the figures of what was matched."""
    asked = [each for each in found.findings if each.incident.expected_rules]
    rules, classes = _Tally(), _Tally()
    for each in asked:
        for rule in each.incident.expected_rules:
            rules.expect(rule, each.delays_s.get(rule))
        classes.expect(each.incident.kind, each.delay_s)
        classes.marks[each.incident.kind].right += len(each.right)
        classes.marks[each.incident.kind].duplicates += each.duplicates
        _count_right(rules, each)
    for alarm in found.false:
        rules.marks[alarm.episode.rule].false_alarms += 1
        if alarm.whence is Whence.FORBIDDEN and alarm.near is not None:
            classes.marks[alarm.near.kind].false_alarms += 1
    delays = [each.delay_s for each in asked if each.delay_s is not None]
    right, site_weeks = sum(len(each.right) for each in asked), sites * (lasts / WEEK)
    return Score(
        incidents=len(asked),
        found=len(delays),
        recall=_share(len(delays), len(asked)),
        precision=_share(right, right + len(found.false)),
        delay_s=delay_of(delays),
        false_alarms=len(found.false),
        forbidden=sum(alarm.whence is Whence.FORBIDDEN for alarm in found.false),
        duplicates=sum(each.duplicates for each in asked),
        alerts_per_incident=_share(
            sum(len(each.right) + len(each.beside) for each in asked), len(asked)
        ),
        notifications_per_incident=_notifications(asked),
        site_weeks=round(site_weeks, 3),
        false_alarms_per_site_week=_share(len(found.false), site_weeks),
        per_rule=rules.done(),
        per_class=classes.done(),
        missed=found.missed,
        false=found.false,
    )


def delay_of(delays_s: Iterable[float]) -> Delay | None:
    """Return the median, the 95th percentile (nearest rank) and the longest."""
    ordered = sorted(delays_s)
    if not ordered:
        return None
    last = len(ordered) - 1
    p50, p95 = (ordered[min(last, int(share * len(ordered)))] for share in (0.5, 0.95))
    return Delay(round(p50, 3), round(p95, 3), round(ordered[-1], 3))


def _count_right(rules: _Tally, finding: Finding) -> None:
    """Count the right alarms of an incident for their rules, and those too many."""
    seen: set[tuple[object, ...]] = set()
    for episode in finding.right:
        mark = rules.marks[episode.rule]
        mark.right += 1
        subject = (episode.rule, episode.device, episode.channel, episode.scope)
        mark.duplicates += subject in seen
        seen.add(subject)


def _notifications(asked: Sequence[Finding]) -> float | None:
    counts = [each.notifications for each in asked if each.right or each.beside]
    known = [count for count in counts if count is not None]
    if not known or len(known) < len(counts):
        return None
    return _share(sum(known), len(asked))


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
