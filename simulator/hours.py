"""When a station is closed: daily windows of the local clock, as moments."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from simulator.plans import Span
from simulator.words import DAY, local


class Hours:
    """The closing hours of one site, over one run. Spans do not overlap."""

    def __init__(
        self, closed: tuple[str, ...], zone: ZoneInfo, starts: datetime, ends: datetime
    ) -> None:
        first = starts.astimezone(zone).date() - DAY
        days = [first + n * DAY for n in range((ends - starts).days + 4)]
        found = [_span(window, n, days, zone) for window in closed for n in range(len(days))]
        self.spans = _joined(sorted(found, key=lambda span: span.since))

    def closed_at(self, at: datetime) -> Span | None:
        """Return the hours at night that a moment is in; None: it is open."""
        return next((span for span in self.spans if span.has(at)), None)

    def closes_after(self, at: datetime) -> datetime | None:
        """Return when it closes next; None: it never does."""
        return next((span.since for span in self.spans if span.since > at), None)


def _span(window: str, n: int, days: list[date], zone: ZoneInfo) -> Span:
    since, until = window.split("-")
    day, begins = days[n], time.fromisoformat(since)
    if until == "24:00" or time.fromisoformat(until) <= begins:
        day += DAY
    ends = time(0) if until == "24:00" else time.fromisoformat(until)
    return Span(local(days[n], begins, zone), local(day, ends, zone))


def _joined(spans: list[Span]) -> tuple[Span, ...]:
    """Return them with those that touch or overlap made one."""
    found: list[Span] = []
    for span in spans:
        last = found[-1].until if found else None
        if last is not None and span.until is not None and span.since <= last:
            found[-1] = Span(found[-1].since, max(last, span.until))
        else:
            found.append(span)
    return tuple(found)
