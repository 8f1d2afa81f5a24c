"""A chart as a page shows it: lines for a picture, rows for a table, and words.

Its numbers are in the reader's language and its times on the clock of the site.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import floor, log10
from zoneinfo import ZoneInfo

import msgspec

from api.console.chart import Chart, Found, Point
from api.text import Texts

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 14, 22
"""The picture is as wide as a phone, so that its letters are as large as others there."""
ROWS_MAX = 20
TIME_STEPS = tuple(
    timedelta(minutes=m) for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440)
)
TICKS_MAX = 5
BOOKED = {
    "command_sent": "cut",
    "command_verified": "cut",
    "command_failed": "cut",
    "escalated": "raised",
    "reminded": "raised",
}
"""Marks that look like another one."""


class Label(msgspec.Struct, frozen=True):
    at: float
    """Where it stands across or along the picture."""
    text: str
    look: str = ""


class Row(msgspec.Struct, frozen=True):
    at: datetime
    text: str


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    found: Found
    title: str
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    lines: tuple[str, ...] = ()
    dots: tuple[tuple[float, float], ...] = ()
    limits: tuple[Label, ...] = ()
    marks: tuple[Label, ...] = ()
    times: tuple[Label, ...] = ()
    values: tuple[Label, ...] = ()
    rows: tuple[Row, ...] = ()
    legend: tuple[tuple[datetime, str, str], ...] = ()
    """Of each mark: when, what in words, and how it looks."""


class Scale(msgspec.Struct, frozen=True):
    """From moments and values to places in the picture."""

    since: datetime
    span: timedelta
    low: float
    high: float

    @classmethod
    def of(cls, chart: Chart) -> "Scale":
        low, high = chart.bounds
        return cls(chart.since, chart.until - chart.since, low, high)

    def x(self, at: datetime) -> float:
        return round(LEFT + (at - self.since) / self.span * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def drawing_of(chart: Chart, say: Texts, zone: ZoneInfo) -> Drawing:
    """Return what the page shows of a chart."""
    title = say(f"quantity.{chart.question.quantity}")
    if chart.found is not Found.POINTS:
        words = say(f"chart.{chart.found}")
        return Drawing(
            found=chart.found, title=title, summary=words, legend=_legend(chart, say)
        )
    scale = Scale.of(chart)
    stretches = list(chart.stretches())
    alone = [each[0] for each in stretches if len(each) == 1]
    return Drawing(
        found=chart.found,
        title=title,
        summary=_summary(chart, say, zone),
        lines=tuple(_line(each, scale) for each in stretches if len(each) > 1),
        dots=tuple((scale.x(each.at), scale.y(each.value)) for each in alone),
        limits=tuple(
            Label(scale.y(each.value), _number(each.value, chart, say), each.level)
            for each in chart.limits
        ),
        marks=tuple(Label(scale.x(each.at), "", look_of(each.what)) for each in chart.marks),
        times=tuple(Label(scale.x(at), text) for at, text in _times(chart, zone)),
        values=tuple(
            Label(scale.y(value), say.number(value, places=0)) for value in _values(scale)
        ),
        rows=tuple(Row(each.at, _number(each.value, chart, say)) for each in _thinned(chart)),
        legend=_legend(chart, say),
    )


def as_json(chart: Chart, say: Texts, zone: ZoneInfo) -> bytes:
    """Return the same for the script: moments in seconds, a hole where nothing was heard."""
    at_s: list[float] = []
    values: list[float | None] = []
    for stretch in chart.stretches():
        if at_s:
            at_s.append(at_s[-1] + 1)
            values.append(None)
        at_s += [point.at.timestamp() for point in stretch]
        values += [round(point.value, 2) for point in stretch]
    low, high = chart.bounds
    return msgspec.json.encode(
        {
            "found": chart.found,
            "summary": drawing_of(chart, say, zone).summary,
            "zone": zone.key,
            "unit": chart.question.unit,
            "since": chart.since.timestamp(),
            "until": chart.until.timestamp(),
            "low": low,
            "high": high,
            "at": at_s,
            "values": values,
            "limits": [
                {
                    "value": each.value,
                    "level": each.level,
                    "text": _number(each.value, chart, say),
                }
                for each in chart.limits
            ],
            "marks": [
                {"at": each.at.timestamp(), "look": look_of(each.what)} for each in chart.marks
            ],
        }
    )


def look_of(what: str) -> str:
    return BOOKED.get(what, what)


def _line(stretch: Sequence[Point], scale: Scale) -> str:
    return "M" + "L".join(f"{scale.x(each.at)} {scale.y(each.value)}" for each in stretch)


def _number(value: float, chart: Chart, say: Texts) -> str:
    places = 0 if chart.question.unit == "W" else 1
    return say.number(value, chart.question.unit, places)


def _summary(chart: Chart, say: Texts, zone: ZoneInfo) -> str:
    extreme, last = chart.extreme, chart.points[-1]
    return say(
        "chart.summary.lowest" if chart.question.lowest else "chart.summary.highest",
        extreme=_number(extreme.value, chart, say),
        at=say.moment(extreme.at, zone),
        last=_number(last.value, chart, say),
        last_at=say.moment(last.at, zone),
    )


def _legend(chart: Chart, say: Texts) -> tuple[tuple[datetime, str, str], ...]:
    return tuple(
        (each.at, say.word("chart.mark", each.what), look_of(each.what)) for each in chart.marks
    )


def _times(chart: Chart, zone: ZoneInfo) -> Iterator[tuple[datetime, str]]:
    """Yield round times of day, few enough to be read."""
    span = chart.until - chart.since
    step = next((each for each in TIME_STEPS if span / each <= TICKS_MAX), TIME_STEPS[-1])
    step *= max(1, -(-span // (step * TICKS_MAX)))
    local = chart.since.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + ((local - midnight) // step + 1) * step
    form = "%H:%M" if step < TIME_STEPS[-1] else "%m-%d"
    while at < chart.until:
        yield at, f"{at:{form}}"
        at += step


def _values(scale: Scale) -> Iterator[float]:
    """Yield round values, at most five."""
    rough = (scale.high - scale.low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough)
    value = -(-scale.low // step) * step
    while value < scale.high:
        yield value
        value += step


def _thinned(chart: Chart) -> Iterator[Point]:
    """Yield as many points as somebody can read, of each part the one that matters."""
    size = -(-len(chart.points) // ROWS_MAX)
    pick = min if chart.question.lowest else max
    for begin in range(0, len(chart.points), size):
        yield pick(chart.points[begin : begin + size], key=lambda point: point.value)
