"""Shows a score to people, as tables."""

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.text import Text

from api.backtest.printing import delay, marks_table, number, percent
from api.score.report import Report, Scored
from api.score.saying import (
    clock,
    false_alarm_in_words,
    miss_in_words,
    subject_of,
    subject_of_alarm,
)
from api.text import Texts, plain

LISTED_MAX = 200
"""Rows of one list; `--json` and the page have all."""


def show(scored: Scored, console: Console, say: Texts) -> None:
    """Print all of it, the verdict last: the end stays on the screen."""
    for part in _parts(scored, say):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(scored: Scored, say: Texts) -> Iterator[RenderableType]:
    report = scored.report
    if report.score.missed:
        yield Text("\n".join(_misses(report, say)))
    if report.score.false:
        yield Text("\n".join(_false_alarms(report, say)))
    if report.score.per_class:
        yield marks_table("by class of incident", report.score.per_class)
    if report.score.per_rule:
        yield marks_table("by rule", report.score.per_rule)
    yield Text("\n".join(_words(report)))


def _misses(report: Report, say: Texts) -> Iterator[str]:
    missed = report.score.missed
    yield f"missed: {len(missed)}"
    for miss in missed[:LISTED_MAX]:
        incident = miss.incident
        yield (
            f"  {clock(incident.knowable_at)} {plain(incident.kind)} {subject_of(incident)}:"
            f" {miss_in_words(miss, say)}"
        )
    yield from _left_off(len(missed))


def _false_alarms(report: Report, say: Texts) -> Iterator[str]:
    false = report.score.false
    yield f"false alarms: {len(false)}"
    for alarm in false[:LISTED_MAX]:
        episode = alarm.episode
        yield (
            f"  {clock(episode.fired_at)} {plain(episode.rule)} {subject_of_alarm(episode)}:"
            f" {false_alarm_in_words(alarm, say)}"
        )
    yield from _left_off(len(false))


def _left_off(count: int) -> Iterator[str]:
    if count > LISTED_MAX:
        yield f"  and {count - LISTED_MAX} more: --json and --html have all"


def _words(report: Report) -> Iterator[str]:
    score = report.score
    yield (
        f"{report.begins:%Y-%m-%d %H:%M} to {report.ends:%Y-%m-%d %H:%M} UTC,"
        f" {report.sites} sites, {score.site_weeks:g} site-weeks"
    )
    yield (
        f"{score.found} of {score.incidents} incidents found: recall {percent(score.recall)},"
        f" precision {percent(score.precision)}, delay p50 / p95 / max {delay(score.delay_s)}"
    )
    allowed = report.false_alarms_allowed
    yield (
        f"{score.false_alarms} false alarms ({score.forbidden} forbidden),"
        f" {number(score.false_alarms_per_site_week)} per site-week"
        + ("" if allowed is None else f" ({allowed:g} allowed)")
        + f"; {score.duplicates} duplicates;"
        f" {number(score.alerts_per_incident)} alerts and"
        f" {number(score.notifications_per_incident)} notifications an incident"
    )
    grave = len(report.must_not_be_missed)
    what = ", ".join(report.must_find)
    missed = f"{grave} missed of what must not be missed ({what})" if grave else ""
    yield "good enough" if report.ok else f"not good enough{': ' if missed else ''}{missed}"
