"""A score as one HTML file: it fetches nothing, runs nothing, and can be sent to anybody.

Its policy forbids everything but its own style, which is named by its digest. The filter is
the style's work: a page without scripts works in every mail client's viewer.
"""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from api.backtest.scoring import Delay, Mark
from api.score.report import Scored
from api.score.saying import (
    false_alarm_in_words,
    kind_name,
    miss_in_words,
    rule_name,
    subject_of,
    subject_of_alarm,
)
from api.score.sites import FALSE, MISSED, Sites, kinds_of
from api.text import Texts, plain

FOLDER = Path(__file__).parent / "templates"
FILTERS = (MISSED, FALSE)

_environment = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(scored: Scored, zone: ZoneInfo, say: Texts, quiet: list[str] | None = None) -> str:
    """Return the page. `quiet` names sites that were watched, and of which nothing is said."""
    kinds = kinds_of(scored.found.findings)
    style = Markup(_style(len(kinds)))  # noqa: S704  (our own file, and numbers)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    report = scored.report
    sites = Sites(scored, zone, say).all()
    quiet_sites = report.sites - len([each for each in sites if each.name])
    return _environment.get_template("score.html").render(
        say=say,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'",
        report=report,
        score=report.score,
        begins=report.begins.astimezone(zone),
        ends=report.ends.astimezone(zone),
        zone=say.zone(zone, report.begins),
        kinds=[(f"k{place}", kind_name(kind, say)) for place, kind in enumerate(kinds)],
        filters=FILTERS,
        classes=_rows(report.score.per_class, lambda kind: kind_name(kind, say)),
        rules=_rows(report.score.per_rule, lambda rule: rule_name(rule, say)),
        misses=[
            (
                miss.incident.knowable_at.astimezone(zone),
                kind_name(miss.incident.kind, say),
                subject_of(miss.incident),
                miss_in_words(miss, say),
            )
            for miss in report.score.missed
        ],
        false_alarms=[
            (
                each.episode.fired_at.astimezone(zone),
                rule_name(each.episode.rule, say),
                subject_of_alarm(each.episode),
                false_alarm_in_words(each, say),
            )
            for each in report.score.false
        ],
        sites=sites,
        quiet=[plain(name) for name in quiet or ()],
        quiet_sites=max(0, quiet_sites),
        percent=percent,
        delay=lambda found: _delay(found, say),
        number=lambda value: "\N{EN DASH}" if value is None else say.number(value, places=2),
    )


def percent(share: float | None) -> str:
    """Return a share as it is read; never 100 % if one is missing."""
    if share is None:
        return "\N{EN DASH}"
    cut = int(share * 1000) / 10
    return f"{cut:g} %"


def _rows(marks: dict[str, Mark], name: Callable[[str], str]) -> list[tuple[str, str, Mark]]:
    return [(name(each), plain(each), mark) for each, mark in marks.items()]


def _delay(delay: Delay | None, say: Texts) -> str:
    if delay is None:
        return "\N{EN DASH}"
    figures = (say.number(value) for value in (delay.p50, delay.p95, delay.max))
    return " / ".join(figures) + " s"


def _style(kinds: int) -> str:
    """Return the style, with a rule for each class that can be filtered."""
    own = (FOLDER / "score.css").read_text(encoding="utf-8")
    filters = (
        f"body:has(#k{place}:checked) [data-kinds]:not([data-kinds~=k{place}])"
        "{display:none}\n"
        for place in range(kinds)
    )
    return own + "".join(filters)
