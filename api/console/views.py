"""What the pages show, made ready: alerts with their words, stations in order of need."""

from itertools import product
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from api.http.live import sites_of
from api.http.scope import Scoped
from api.http.shapes.places import Condition, Site
from api.text import Explanation, Texts, explained
from api.text.explaining import zone_of
from api.watch import Part, Watch
from ingest.ledger import queries
from ingest.ledger.queries import AlertFilter, AlertRow
from rules.alerts import State
from rules.verdict import Severity

SHOWN_MAX = 100
"""Alerts of each severity, acknowledged or not: enough to act on, little enough to read."""
STATIONS_MAX = 200
RECENT_ALERTS_MAX = 20


class AlertCard(msgspec.Struct, frozen=True, kw_only=True):
    """An alert with its words in the reader's language."""

    row: AlertRow
    words: Explanation
    zone: ZoneInfo

    @property
    def open(self) -> bool:
        return self.row.state == State.FIRING


class OpenAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """Those that nobody has acknowledged first, critical before warning, newest first."""

    cards: list[AlertCard]
    more: int
    """How many are open and not shown."""

    @property
    def unacknowledged(self) -> int:
        return sum(card.row.acknowledged_at is None for card in self.cards)


class Stations(msgspec.Struct, frozen=True):
    """The worst first."""

    stations: list[Site]
    more: int


def unwell(watch: Watch) -> tuple[Part, ...]:
    return tuple(part for part in watch.health() if not part.ok)


def card(watch: Watch, alert: AlertRow, lang: str) -> AlertCard:
    """Return the alert with the evidence of this moment, if it is still open."""
    for known in watch.engine.alerts_of(alert.subject):
        if known.episode == alert.episode:
            alert = msgspec.structs.replace(alert, evidence=known.evidence)
    words = explained(alert, watch.registry, Texts.of(lang))
    return AlertCard(row=alert, words=words, zone=zone_of(watch.registry, alert.site))


async def open_alerts(scoped: Scoped, lang: str, area: str | None) -> OpenAlerts:
    """Return the open alerts.

    A flood of warnings, or of alerts that somebody sees to, never pushes out a critical
    one that nobody has seen.
    """
    watch, own = scoped.watch, scoped.caller.within

    def ask(c: Connection) -> tuple[list[AlertRow], int]:
        found: list[AlertRow] = []
        for severity, seen in product(Severity, (False, True)):
            wanted = AlertFilter(
                state=State.FIRING, severity=severity, acknowledged=seen, areas=own
            )
            found += queries.find_alerts(c, wanted, SHOWN_MAX)
        counts = queries.count_alerts(c, own).items()
        return found, sum(n for (_, state), n in counts if state == State.FIRING)

    rows, count = await watch.ledger.read(ask)
    more = count - sum(not row.drill for row in rows)
    shown = [
        row for row in rows if area is None or not row.site or row.site.startswith(f"{area}/")
    ]
    cards = [card(watch, row, lang) for row in shown]
    cards.sort(key=lambda each: (each.row.acknowledged_at is not None, _rank(each)))
    return OpenAlerts(cards=cards, more=more)


async def stations(scoped: Scoped, area: str | None) -> Stations:
    """Return the stations (of one area), those first that need somebody."""
    found = await sites_of(scoped, area)
    order = tuple(Condition)
    found.sort(key=lambda each: (order.index(each.condition), each.id))
    return Stations(found[:STATIONS_MAX], max(0, len(found) - STATIONS_MAX))


async def recent_alerts(watch: Watch, site: str, lang: str) -> list[AlertCard]:
    """Return the newest alerts of a site."""
    wanted = AlertFilter(site=site)
    rows = await watch.ledger.read(lambda c: queries.find_alerts(c, wanted, RECENT_ALERTS_MAX))
    return [card(watch, row, lang) for row in rows]


def _rank(each: AlertCard) -> tuple[int, float]:
    return -Severity(each.row.severity).rank, -each.row.fired_at.timestamp()
