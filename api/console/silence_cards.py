"""Silences in the reader's words: where, when, what they withhold; what may be chosen."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from api.console import views
from api.console.silence_form import Typed, place_typed, where_typed
from api.http.scope import Scoped
from api.text import Texts, device_label
from api.text.explaining import place_name, zone_of
from ingest.ledger import queries
from ingest.ledger.queries import AlertFilter, AlertRow
from ingest.ledger.silences import SilenceRow
from ingest.registry import Site
from rules.alerts import State
from rules.catalog import rules_in_force

WITHHELD_MAX = 200
PLACES_MAX = 1_000
"""To choose from in the form; one that was asked for is always among them."""
SILENCED = "silenced:"
"""How the reason begins for which people are not told of an alert; then comes the number."""


class Phase(StrEnum):
    """Where a silence is in its time."""

    IN_FORCE = "in_force"
    PLANNED = "planned"
    OVER = "over"


class SilenceCard(msgspec.Struct, frozen=True, kw_only=True):
    """A silence in the reader's words."""

    row: SilenceRow
    phase: Phase
    site: str
    where: str
    zone: ZoneInfo
    withheld: list[views.AlertCard]
    """Alerts that people would be told of but for it."""

    @property
    def number(self) -> int:
        return int(self.row.silence.id)


def withheld_by(c: Connection, scoped: Scoped, why: str) -> list[AlertRow]:
    """Return what fires and is kept from people for that reason."""
    wanted = AlertFilter(state=State.FIRING, withheld=why, areas=scoped.caller.within)
    return queries.find_alerts(c, wanted, WITHHELD_MAX)


def phase_of(row: SilenceRow, now: datetime) -> Phase:
    if row.silence.ends <= now:
        return Phase.OVER
    return Phase.IN_FORCE if row.silence.starts <= now else Phase.PLANNED


def card_of(
    scoped: Scoped, row: SilenceRow, alerts: Sequence[AlertRow], lang: str
) -> SilenceCard:
    """Return a silence with those of `alerts` that it withholds."""
    watch, made = scoped.watch, row.silence
    site = made.site or "/".join(made.device.split("/")[:2])
    return SilenceCard(
        row=row,
        phase=phase_of(row, watch.now()),
        site=site,
        where=place_name(watch.registry, Texts.of(lang), site, made.device, made.channel),
        zone=zone_of(watch.registry, site),
        withheld=[
            views.card(watch, alert, lang)
            for alert in alerts
            if alert.withheld == f"{SILENCED}{made.id}"
        ],
    )


def rule_names() -> list[str]:
    """Return every rule in force; each has words in the catalogue."""
    return [rule.name for rules in rules_in_force() for rule in rules]


def places_to_choose(
    scoped: Scoped, site: Site | None, typed: Typed, say: Texts
) -> list[tuple[str, str]]:
    """Return what may be chosen at a site: all of it, each device, each of its sockets."""
    if site is None:
        return []
    devices = [device for device in scoped.devices() if device.site == site.id]
    found = [("", say("ui.silence.whole_site"))]
    for device in sorted(devices, key=lambda each: each.id):
        label = device_label(device.id)
        found.append((device.id, label))
        for channel in sorted(device.sockets):
            words = say("ui.silence.socket", device=label, channel=channel)
            found.append((where_typed(device.id, channel), words))
    shown = found[:PLACES_MAX]
    if typed.where not in dict(shown):
        known = place_typed(typed.where, [device.id for device in devices])
        if known is not None:
            shown.append((typed.where, device_label(where_typed(*known))))
    return shown
