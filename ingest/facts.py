"""Carries what happened, alerts and charges, from the ledger to InfluxDB.

The ledger numbers the lines of its log and the sessions, and never gives a number twice. How
far InfluxDB has come is a point in InfluxDB itself, written after what it speaks of: whatever
is cut off is carried again, and the same points come of it. Days of outage catch up by
themselves.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from ingest.history import HistoryUnavailable
from ingest.influx_lines import NS_IN_US, Value, line, place_of
from ingest.influxql import Series
from ingest.ledger.facts import Facts, LogLine
from ingest.ledger.queries import AlertRow
from ingest.ledger.sessions import SessionRow
from ingest.measurements import ALERT, ALERT_EVENT, FACTS_CURSOR, LONG, SESSION, Kept
from ingest.moments import to_us
from ingest.point_store import PointStore, asked
from ingest.registry import Name
from rules.schedule import Schedule
from rules.verdict import RANKS, Severity

FACTS_MAX = 500
"""Lines of the log, and sessions, carried at a time."""

LOOK_AGAIN = timedelta(minutes=1)
"""The longest sleep without being woken."""

CURSOR_QUERY = f'SELECT event, session FROM "{LONG}"."{FACTS_CURSOR.name}"'  # noqa: S608  (names of ours)

Read = Callable[[int, int, int], Awaitable[Facts]]
"""Asks the ledger for `facts_after`."""


class Words(NamedTuple):
    """How people call things; the catalogue is not ours to read."""

    rule: Callable[[str], Name]
    """The name of a rule."""
    happened: Callable[[str, LogLine], Name]
    """The name of a rule, and what happened to its alert."""
    site: Callable[[str], Name]
    """The name of a site; two empty texts for no site."""


class Place(NamedTuple):
    """What the tags say of where something was; what is empty has no tag."""

    device: str
    channel: int | None
    site: str

    def tags(self) -> dict[str, str]:
        area = self.site.partition("/")[0]
        tags = place_of(self.device) if self.device else {}
        if self.site:
            tags |= {"area": area, "site": self.site}
        if self.channel is not None:
            tags["socket"] = str(self.channel)
        return tags


class FactsFollower:
    """Brings InfluxDB up to date; remembers nothing that it could not find there."""

    def __init__(
        self,
        read: Read,
        store: PointStore,
        words: Words,
        schedule_of: Callable[[str], Schedule],
        *,
        at_once: int = FACTS_MAX,
    ) -> None:
        self._read, self._store = read, store
        self._words, self._schedule_of = words, schedule_of
        self._at_once = at_once

    async def catch_up(self) -> None:
        """Carry all there is. Raises HistoryUnavailable, and errors of the ledger."""
        event, session = await self._cursor()
        while True:
            facts = await self._read(event, session, self._at_once)
            if event > facts.newest_event or session > facts.newest_session:
                raise HistoryUnavailable(
                    f"it has alerts up to line {event} and sessions up to {session}, the ledger"
                    f" only {facts.newest_event} and {facts.newest_session}: one of the two was"
                    " put back or replaced"
                )
            if not facts.events and not facts.sessions:
                return
            lines = fact_lines(facts, self._words, self._schedule_of)
            await self._store.write(Kept.LONG, lines)  # which makes them in its own thread
            event = facts.events[-1].id if facts.events else event
            session = facts.sessions[-1].id if facts.sessions else session
            cursor = line(FACTS_CURSOR, {}, {"event": event, "session": session}, 0)
            await self._store.write(Kept.LONG, [cursor])

    async def _cursor(self) -> tuple[int, int]:
        return await asked(self._store, CURSOR_QUERY, {}, _cursor_in)


def _cursor_in(answer: list[Series]) -> tuple[int, int]:
    for series in answer:
        for row in series.rows():
            return int(row["event"]), int(row["session"])
    return 0, 0


def fact_lines(
    facts: Facts, words: Words, schedule_of: Callable[[str], Schedule]
) -> Iterator[bytes]:
    """Yield the points of some facts; the same facts always give the same points."""
    for alert in facts.alerts.values():
        yield alert_line(alert, words)
    for event in facts.events:
        known = facts.alerts.get(event.episode)
        if known is not None:
            yield event_line(event, known, words)
    for session in facts.sessions:
        yield session_line(session, schedule_of(session.site))


def alert_line(alert: AlertRow, words: Words) -> bytes:
    """Return an alert as it now is; below the microsecond, its number keeps it apart.

    One socket may fire twice in one batch, and so at one moment.
    """
    title, site = words.rule(alert.rule), words.site(alert.site)
    fields: dict[str, Value | None] = {
        "episode": str(alert.id),
        "title_zh": title.zh,
        "title_en": title.en,
        "site_zh": site.zh,
        "site_en": site.en,
        "severity": _rank(alert),
        "open": int(alert.resolved_at is None),
        "withheld": int(bool(alert.withheld)),
        "flaps": int(alert.flaps),
        "tier": alert.tier,
        "acknowledged_by": alert.acknowledged_by or "",
        "acknowledged_after_s": _seconds(alert.fired_at, alert.acknowledged_at),
        "resolved_after_s": _seconds(alert.fired_at, alert.resolved_at),
        "value": alert.evidence.measured,
        "limit": alert.evidence.limit,
        "unit": alert.evidence.unit,
    }
    time_ns = to_us(alert.fired_at) * NS_IN_US + alert.id % NS_IN_US
    return line(ALERT, _tags_of(alert), fields, time_ns)


def event_line(event: LogLine, alert: AlertRow, words: Words) -> bytes:
    """Return one thing that happened to an alert; its number keeps it apart from others."""
    title = words.happened(alert.rule, event)
    fields: dict[str, Value | None] = {
        "episode": str(alert.id),
        "severity": _rank(alert),
        "title_zh": title.zh,
        "title_en": title.en,
        "who": event.who,
        "detail": event.detail,
    }
    time_ns = to_us(event.at) * NS_IN_US + event.id % NS_IN_US
    return line(ALERT_EVENT, _tags_of(alert) | {"what": event.what}, fields, time_ns)


def session_line(session: SessionRow, schedule: Schedule) -> bytes:
    """Return a charge that has ended."""
    closed = any(schedule.closed_between(session.began_at, session.ended_at))
    fields: dict[str, Value | None] = {
        "ended_at_us": to_us(session.ended_at),
        "duration_s": (session.ended_at - session.began_at).total_seconds(),
        "energy_kwh": session.energy_kwh,
        "peak_w": session.peak_w,
        "charging_w": session.charging_w,
        "ending": session.ending,
        "stop_reason": session.stop_reason,
        "after_hours": int(closed),
    }
    place = Place(session.device, session.channel, session.site)
    return line(SESSION, place.tags(), fields, to_us(session.began_at) * NS_IN_US)


def _seconds(since: datetime, until: datetime | None) -> float | None:
    return None if until is None else (until - since).total_seconds()


def _rank(alert: AlertRow) -> int:
    return RANKS[Severity(alert.severity)] + 1


def _tags_of(alert: AlertRow) -> dict[str, str]:
    return Place(alert.device, alert.channel, alert.site).tags() | {"rule": alert.rule}
