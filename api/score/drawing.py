"""Draws a stretch of time as SVG: what happened in one lane, what was said of it in the next.

Places across are percentages, so that a drawing is as wide as the page and its letters stay
as they are. Colour never stands alone: a miss has a cross, a false alarm a mark of its own.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element, SubElement, tostring
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup

LABEL_PX, TRUTH_PX, SAID_PX, GAP_PX = 16, 11, 8, 4
AXIS_PX = 20
LEAST_PCT = 0.35
"""The narrowest bar that can still be seen."""
TICKS_MAX = 7
STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160)
)
MARKS = {
    "told": "M-4 -5 L4 -5 L0 2 Z",
    "missed": "M-5 -5 L5 5 M5 -5 L-5 5",
    "false": "M0 -6 L0 1 M0 4 L0 5",
}


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in a lane. `look` is its class in the page's style."""

    begins: datetime
    ends: datetime | None
    look: str
    words: str
    knowable_at: datetime | None = None
    """Before it, the bar is pale: nobody could know yet."""
    mark: str = ""
    mark_at: datetime | None = None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One subject: what happened to it above, what was said of it below."""

    label: str
    happened: list[Bar]
    said: list[Bar]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The time that a drawing shows."""

    begins: datetime
    ends: datetime

    def at(self, moment: datetime) -> float:
        """Return how far across a moment is, in per cent, on the paper."""
        share = (moment - self.begins) / (self.ends - self.begins)
        return round(min(1.0, max(0.0, share)) * 100, 3)

    def meets(self, begins: datetime, ends: datetime | None) -> bool:
        return begins <= self.ends and (ends is None or ends >= self.begins)


def timeline(lanes: Sequence[Lane], span: Span, zone: ZoneInfo, title: str) -> Markup:
    """Return the drawing of some subjects' time."""
    rows = [_rows(lane) for lane in lanes]
    lane_px = LABEL_PX + GAP_PX * 2
    height = AXIS_PX + sum(lane_px + TRUTH_PX + (SAID_PX + 2) * count for count in rows)
    svg = _svg(height, title, "timeline")
    _axis(svg, span, zone, height)
    top = AXIS_PX
    for lane, count in zip(lanes, rows, strict=True):
        _text(svg, "0", top + LABEL_PX - 4, lane.label, "label")
        top += LABEL_PX
        for bar in lane.happened:
            _bar(svg, bar, span, top, TRUTH_PX)
        top += TRUTH_PX + 2
        for row, bars in enumerate(_stacked(lane.said)):
            for bar in bars:
                _bar(svg, bar, span, top + row * (SAID_PX + 2), SAID_PX)
        top += (SAID_PX + 2) * count + GAP_PX * 2 - 2
    return _markup(svg)


def strip(bars: Sequence[Bar], span: Span, title: str) -> Markup:
    """Return everything of one site on a line: where to look first."""
    height = 14
    svg = _svg(height, title, "strip")
    SubElement(svg, "rect", {"class": "ground", "y": "6", "width": "100%", "height": "2"})
    for bar in bars:
        _bar(svg, msgspec.structs.replace(bar, words=""), span, 2, height - 4)
    return _markup(svg)


def ticks(span: Span, zone: ZoneInfo) -> tuple[list[datetime], str]:
    """Return round moments of the zone's clock, and the form to write them in."""
    lasts = span.ends - span.begins
    step = next((each for each in STEPS if lasts / each <= TICKS_MAX), lasts)
    local = span.begins.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + ((local - midnight) // step + 1) * step
    found = []
    while first < span.ends:
        found.append(first)
        first += step
    return found, "%m-%d" if step >= timedelta(days=1) else "%H:%M"


def _rows(lane: Lane) -> int:
    return max(1, len(_stacked(lane.said)))


def _stacked(bars: Sequence[Bar]) -> list[list[Bar]]:
    """Put bars that overlap under each other."""
    rows: list[list[Bar]] = []
    for bar in bars:
        for row in rows:
            last = row[-1].ends
            if last is not None and last < bar.begins:
                row.append(bar)
                break
        else:
            rows.append([bar])
    return rows


def _axis(svg: Element, span: Span, zone: ZoneInfo, height: float) -> None:
    moments, form = ticks(span, zone)
    for moment in moments:
        x = f"{span.at(moment)}%"
        SubElement(
            svg,
            "line",
            {"class": "tick", "x1": x, "x2": x, "y1": str(AXIS_PX - 4), "y2": str(height)},
        )
        _text(svg, x, 11, moment.astimezone(zone).strftime(form), "hour")


def _bar(svg: Element, bar: Bar, span: Span, top: float, height: float) -> None:
    if not span.meets(bar.begins, bar.ends):
        return
    group = SubElement(svg, "g", {"class": f"bar {bar.look}"})
    if bar.words:
        SubElement(group, "title").text = bar.words
    left = span.at(bar.begins)
    right = span.at(bar.ends) if bar.ends is not None else 100.0
    known = left if bar.knowable_at is None else min(right, span.at(bar.knowable_at))
    place: Callable[[float, float, str], Element] = lambda x, width, look: SubElement(  # noqa: E731
        group,
        "rect",
        {
            "class": look,
            "x": f"{min(x, 100 - LEAST_PCT)}%",
            "y": str(top),
            "width": f"{max(width, LEAST_PCT):.3f}%",
            "height": str(height),
            "rx": "2",
        },
    )
    if known > left:
        place(left, known - left, "pale")
    place(known, right - known, "solid")
    if bar.mark and bar.mark_at is not None and span.meets(bar.mark_at, bar.mark_at):
        _mark(group, bar.mark, span.at(bar.mark_at), top + height / 2)


def _mark(group: Element, mark: str, across: float, middle: float) -> None:
    inner = SubElement(
        group, "svg", {"x": f"{across}%", "y": f"{middle}", "class": f"mark {mark}"}
    )
    SubElement(inner, "path", {"d": MARKS[mark]})


def _svg(height: float, title: str, look: str) -> Element:
    svg = Element(
        "svg", {"class": look, "role": "img", "aria-label": title, "height": f"{height:g}"}
    )
    svg.set("width", "100%")
    return svg


def _text(svg: Element, x: str, y: float, words: str, look: str) -> None:
    SubElement(svg, "text", {"x": x, "y": f"{y:g}", "class": look}).text = words


def _markup(svg: Element) -> Markup:
    """Return what a page may hold as it is: all text in it has been escaped."""
    return Markup(tostring(svg, encoding="unicode"))  # noqa: S704
