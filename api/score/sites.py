"""A score, site by site and day by day: what the page shows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup

from api.backtest.episodes import Episode
from api.backtest.matching import FalseAlarm, Finding, Miss
from api.score.drawing import Bar, Lane, Span, strip, timeline
from api.score.report import Scored
from api.score.saying import (
    false_alarm_in_words,
    kind_name,
    measured,
    miss_in_words,
    rule_name,
    subject_of,
    subject_of_alarm,
)
from api.text import Texts, plain

DAY = timedelta(days=1)
WHOLE_MAX = timedelta(hours=36)
"""What lasts longer is shown by the day, and only the days on which something was."""
MARGIN = 0.02
OPEN_MAX = 8
"""Sites that are shown unfolded: with more, nobody finds the first again."""
FOUND, MISSED, FALSE, TRAP, BESIDE, UNTOLD = (
    *("found", "missed", "false"),
    *("trap", "beside", "untold"),
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An incident or an alarm in words."""

    look: str
    what: str
    who: str
    when: str
    words: str


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One drawing and its words."""

    title: str
    looks: str
    """What is on it, for the filter."""
    kinds: str
    drawing: Markup
    lines: list[Line]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    looks: str
    kinds: str
    found: int
    missed: int
    false: int
    strip: Markup
    days: list[Day]
    open: bool = False
    """Somebody should look: it is shown unfolded."""


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    """A bar with its words and its place."""

    subject: str
    at: datetime
    bar: Bar
    happened: bool
    kinds: tuple[str, ...]
    line: Line | None


class Sites:
    """The sites of a score, those first that somebody should look at."""

    def __init__(self, scored: Scored, zone: ZoneInfo, say: Texts) -> None:
        self._zone, self._say = zone, say
        report = scored.report
        room = (report.ends - report.begins) * MARGIN
        self._span = Span(begins=report.begins - room, ends=report.ends + room)
        self._false = {id(each.episode): each for each in scored.found.false}
        self._misses = {id(each.incident): each for each in scored.found.missed}
        self._kinds = {
            kind: f"k{place}" for place, kind in enumerate(kinds_of(scored.found.findings))
        }
        items: dict[str, list[_Item]] = defaultdict(list)
        right: dict[int, set[str]] = defaultdict(set)
        for finding in scored.found.findings:
            items[finding.incident.place].append(self._incident(finding))
            for episode in finding.right:
                right[id(episode)].add(finding.incident.kind)
        for episode in scored.episodes:
            items[episode.site].append(self._alarm(episode, right))
        self._items = items

    def all(self) -> list[Site]:
        found = [self._site(name, items) for name, items in self._items.items()]
        found.sort(key=lambda each: (not each.missed, not each.false, each.name))
        return [
            msgspec.structs.replace(each, open=bool(each.missed or each.false))
            if place < OPEN_MAX
            else each
            for place, each in enumerate(found)
        ]

    # --- items ------------------------------------------------------------------------

    def _incident(self, finding: Finding) -> _Item:
        incident, say = finding.incident, self._say
        miss = self._misses.get(id(incident))
        look = MISSED if miss else FOUND if incident.expected_rules else TRAP
        words = self._outcome(finding, miss)
        what, who = kind_name(incident.kind, say), subject_of(incident)
        when = self._when(incident.begins, incident.ends)
        bar = Bar(
            begins=incident.begins,
            ends=incident.ends,
            look=look,
            words=f"{what}, {who}, {when}. {words}",
            knowable_at=incident.knowable_at,
            mark="missed" if miss else "",
            mark_at=incident.knowable_at,
        )
        return _Item(
            subject=who,
            at=incident.begins,
            bar=bar,
            happened=True,
            kinds=(self._kinds[incident.kind],),
            line=Line(look=look, what=what, who=_short(who), when=when, words=words),
        )

    def _outcome(self, finding: Finding, miss: Miss | None) -> str:
        say = self._say
        if miss is not None:
            return miss_in_words(miss, say)
        if finding.delay_s is None:
            return say("score.trap")
        first = min(finding.delays_s, key=finding.delays_s.__getitem__)
        words = say(
            "score.found.after",
            rule=rule_name(first, say),
            span=say.span(timedelta(seconds=finding.delay_s), short=True),
        )
        if finding.duplicates:
            words += say("score.found.twice", count=finding.duplicates)
        return words

    def _alarm(self, episode: Episode, right: dict[int, set[str]]) -> _Item:
        false = self._false.get(id(episode))
        look = UNTOLD
        if false is not None:
            look = FALSE
        elif episode.told_at is not None:
            look = FOUND if id(episode) in right else BESIDE
        what, who = rule_name(episode.rule, self._say), subject_of_alarm(episode)
        value = measured(episode, self._say)
        bar = Bar(
            begins=episode.fired_at,
            ends=episode.resolved_at,
            look=f"said {look}",
            words=f"{what}, {who}, {self._when(episode.fired_at, episode.resolved_at)}"
            + (f". {value}" if value else ""),
            mark="false" if false else "told" if episode.told_at else "",
            mark_at=episode.told_at,
        )
        return _Item(
            subject=who or self._say("score.everything"),
            at=episode.fired_at,
            bar=bar,
            happened=False,
            kinds=tuple(self._kinds[kind] for kind in sorted(right.get(id(episode), ()))),
            line=None if false is None else self._line(false, value),
        )

    def _line(self, false: FalseAlarm, value: str) -> Line:
        episode, say = false.episode, self._say
        words = false_alarm_in_words(false, say)
        return Line(
            look=FALSE,
            what=rule_name(episode.rule, say),
            who=_short(subject_of_alarm(episode)),
            when=self._when(episode.fired_at, episode.resolved_at),
            words=f"{words} {value}".strip(),
        )

    def _when(self, begins: datetime, ends: datetime | None) -> str:
        first = begins.astimezone(self._zone)
        if ends is None:
            return self._say("score.since", begins=f"{first:%H:%M:%S}")
        last = ends.astimezone(self._zone)
        form = "%H:%M:%S" if first.date() == last.date() else "%m-%d %H:%M"
        return f"{first:%H:%M:%S}\N{EN DASH}{last:{form}}"

    # --- sites ------------------------------------------------------------------------

    def _site(self, name: str, items: Sequence[_Item]) -> Site:
        looks = [item.line.look for item in items if item.line is not None]
        missed, false = looks.count(MISSED), looks.count(FALSE)
        shown = plain(name) or self._say("score.everything")
        worst_last = sorted(items, key=lambda each: each.bar.look in {MISSED, f"said {FALSE}"})
        return Site(
            name=shown,
            looks=_words(looks),
            kinds=_words(kind for item in items for kind in item.kinds),
            found=looks.count(FOUND),
            missed=missed,
            false=false,
            strip=strip([each.bar for each in worst_last], self._span, shown),
            days=list(self._days(items)),
        )

    def _days(self, items: Sequence[_Item]) -> Iterator[Day]:
        if self._span.ends - self._span.begins <= WHOLE_MAX:
            yield self._day("", self._span, items)
            return
        by_day: dict[date, list[_Item]] = defaultdict(list)
        for item in items:
            by_day[item.at.astimezone(self._zone).date()].append(item)
        for day in sorted(by_day):
            begins = datetime.combine(day, time(), self._zone)
            span = Span(begins=begins, ends=begins + DAY)
            yield self._day(f"{day:%Y-%m-%d}", span, by_day[day])

    def _day(self, title: str, span: Span, items: Sequence[_Item]) -> Day:
        lanes: dict[str, Lane] = {}
        for item in sorted(items, key=lambda each: (each.subject, each.at)):
            lane = lanes.setdefault(
                item.subject, Lane(label=_short(item.subject), happened=[], said=[])
            )
            (lane.happened if item.happened else lane.said).append(item.bar)
        ordered = sorted(items, key=lambda each: each.at)
        lines = [item.line for item in ordered if item.line is not None]
        name = title or self._say("score.timeline")
        return Day(
            title=title,
            looks=_words(line.look for line in lines),
            kinds=_words(kind for item in items for kind in item.kinds),
            drawing=timeline(list(lanes.values()), span, self._zone, name),
            lines=lines,
        )


def kinds_of(findings: Iterable[Finding]) -> list[str]:
    """Return the classes of incident that there are."""
    return sorted({each.incident.kind for each in findings})


def _short(subject: str) -> str:
    """Return a device by its own name: which site's it is stands above."""
    return subject.rpartition("/")[2] if subject.count("/") > 1 else subject


def _words(words: Iterable[str]) -> str:
    return " ".join(sorted(set(words)))
