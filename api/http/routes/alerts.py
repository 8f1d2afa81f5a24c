"""Alerts: finding them, their logs, and saying that somebody has seen one."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from api.http.access import Right
from api.http.context import Allowed, MayAcknowledge, ScopedHere
from api.http.routes.inputs import BeforeId, Id, Limit, Moment, NumberInPath, Word, in_order
from api.http.scope import Scoped
from api.http.shapes.alerts import Alert, AlertInFull, Alerts, Delivery, LogLine, Words
from api.text import LANGUAGES, Texts, explained
from api.watch import Change
from ingest.ledger import queries
from ingest.ledger.commit import Acknowledged, Commit
from ingest.ledger.queries import AlertFilter, AlertRow, DeliveryRow, EventRow
from rules.alerts import State
from rules.verdict import Severity

NOTE_CHARS_MAX = 500

alerts = APIRouter(tags=["alerts"], dependencies=[Depends(Allowed(Right.SEE))])


class Acknowledgement(BaseModel):
    """`note` is what is being done about it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"note": "patrol is on its way"}]}
    )

    note: str = Field("", max_length=NOTE_CHARS_MAX)


async def wanted_alerts(  # noqa: PLR0913, PLR0917  (each is a filter)
    state: State | None = None,
    rule: Word | None = None,
    site: Id | None = None,
    device: Id | None = None,
    severity: Severity | None = None,
    acknowledged: bool | None = None,
    drill: bool | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before_id: BeforeId | None = None,
) -> AlertFilter:
    in_order(since, until)
    return AlertFilter(
        state=state,
        rule=rule,
        site=site,
        device=device,
        severity=severity,
        acknowledged=acknowledged,
        drill=drill,
        since=since,
        until=until,
        before_id=before_id,
    )


@alerts.get("/alerts")
async def find(
    scoped: ScopedHere,
    wanted: Annotated[AlertFilter, Depends(wanted_alerts)],
    limit: Limit = 100,
) -> Alerts:
    """List alerts, newest first. Pending ones only if asked for by state=pending."""
    if wanted.state == State.PENDING:
        return Alerts(alerts=_pending(scoped, wanted)[:limit], next_before_id=None)
    asked = min(limit + 1, queries.LIMIT_MAX)
    own = msgspec.structs.replace(wanted, areas=scoped.caller.within)
    found = await scoped.watch.ledger.read(lambda c: queries.find_alerts(c, own, asked))
    page = found[:limit]
    more = len(found) > limit or len(found) == queries.LIMIT_MAX
    return Alerts(
        alerts=[Alert.of(alert) for alert in page],
        next_before_id=page[-1].id if more else None,
    )


@alerts.get("/alerts/{number}")
async def one(scoped: ScopedHere, number: NumberInPath) -> AlertInFull:
    """Return an alert with its explanation, its log, and who was told."""
    alert, log, deliveries = await alert_in_full(scoped, number)
    return AlertInFull(
        alert=Alert.of(alert),
        explanation={
            lang: Words.of(explained(alert, scoped.watch.registry, Texts.of(lang)))
            for lang in LANGUAGES
        },
        log=[LogLine.of(event) for event in log],
        deliveries=[Delivery.of(delivery) for delivery in deliveries],
    )


@alerts.post("/alerts/{number}/acknowledge")
async def acknowledge(
    scoped: ScopedHere, _caller: MayAcknowledge, number: NumberInPath, said: Acknowledgement
) -> Alert:
    """Note that somebody sees to it; the first to say so stays. It does not end the alert."""
    return Alert.of(await acknowledged(scoped, number, note=said.note))


async def alert_in_full(
    scoped: Scoped, number: int
) -> tuple[AlertRow, list[EventRow], list[DeliveryRow]]:
    """Return an alert, its log and its notifications, or refuse with 404."""

    def ask(c: Connection) -> tuple[AlertRow, list[EventRow], list[DeliveryRow]]:
        alert = scoped.alert_of(c, number)
        return (
            alert,
            queries.events_of(c, alert.episode),
            queries.deliveries_of(c, alert.episode),
        )

    return await scoped.watch.ledger.read(ask)


async def acknowledged(scoped: Scoped, number: int, *, note: str) -> AlertRow:
    """Acknowledge an alert and tell the open pages."""
    watch, caller = scoped.watch, scoped.caller
    alert, said = await scoped.alert(number), note.strip()

    def see(batch: Commit) -> None:
        watch.engine.acknowledge(alert.episode, batch.now)
        seen = Acknowledged(alert.episode, batch.now, caller.name, said)
        batch.acknowledged.append(seen)
        batch.audited.append(
            caller.deed(
                "alert.acknowledged",
                batch.now,
                about=str(number),
                place=alert.site,
                detail=said,
            )
        )

    await watch.desk.ask(see)
    watch.changes.tell(Change(alert.site, alerts=True))
    return await scoped.alert(number)


def _pending(scoped: Scoped, wanted: AlertFilter) -> list[Alert]:
    if wanted.acknowledged or wanted.before_id is not None:
        return []
    found = [
        alert
        for alert in scoped.watch.engine.open_alerts()
        if alert.state is State.PENDING
        and scoped.caller.sees_alert(alert.site, str(alert.key.group or ""))
        and not wanted.drill  # a drill is never pending
        and (wanted.rule is None or alert.key.rule == wanted.rule)
        and (wanted.site is None or alert.site == wanted.site)
        and (wanted.device is None or alert.key.device == wanted.device)
        and (wanted.severity is None or alert.severity == wanted.severity)
        and (wanted.since is None or alert.began_at >= wanted.since)
        and (wanted.until is None or alert.began_at < wanted.until)
    ]
    found.sort(key=lambda alert: alert.began_at, reverse=True)
    return [Alert.of_pending(alert) for alert in found]
