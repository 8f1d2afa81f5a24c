"""Reading the ledger for people: plain functions on a connection, answers as structs."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.areas import Areas, concerns
from rules.alerts import Alert, AlertKey, Group, GroupKind, State, Subject
from rules.readings import DeviceId
from rules.verdict import Evidence, Severity

LIMIT_MAX = 1_000


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """One episode, as people see it. `state` is firing or resolved."""

    id: int
    episode: str
    rule: str
    device: str
    """Empty: it is a group's, which `scope` names."""
    channel: int | None
    site: str
    severity: str
    state: str
    began_at: datetime
    fired_at: datetime
    resolved_at: datetime | None
    evidence: Evidence
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str
    scope: str = ""
    """A group as text: "site:area/site", "carrier:name", "all:"."""
    withheld: str = ""
    """Why people are not told of it; empty: they are."""
    flaps: bool = False
    """It comes and goes, and ends only after a longer quiet."""
    tier: int = 1
    """How far it has escalated."""
    drill: bool = False
    """It was ordered, and nothing is wrong."""
    handler: str = ""
    """Who has taken it over, and follows it until the hazard is gone; empty: nobody."""
    handler_since: datetime | None = None

    @property
    def subject(self) -> Subject:
        """The device or the group that the alert is about."""
        if self.device:
            return DeviceId(self.device)
        kind, _, name = self.scope.partition(":")
        return Group(GroupKind(kind), name)


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alert's log."""

    at: datetime
    what: str
    who: str
    detail: str


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One notification and what became of it; `reason` is a word of the catalogue."""

    id: int
    transition: str
    channel: str
    state: str
    reason: str
    attempts: int
    created_at: datetime
    next_at: datetime
    told_at: datetime | None
    receipt: str
    idempotency_key: str
    recipient: str = ""
    """`person:{id}` or `post:{id}`; empty: whoever reads this channel of the settings."""
    tier: int = 1
    spilled_from: int | None = None
    """The row of the way that failed before this one was taken."""
    digest: int | None = None
    """The digest in which it is told, or was."""


class QuarantineRow(msgspec.Struct, frozen=True, kw_only=True):
    """A refused message; `payload` holds its first bytes, `size` says how many there were."""

    id: int
    received_at: datetime
    topic: str
    payload: bytes
    size: int
    reason: str
    detail: str


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Each part that is given narrows the list."""

    state: str | None = None
    rule: str | None = None
    site: str | None = None
    device: str | None = None
    severity: str | None = None
    acknowledged: bool | None = None
    drill: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    withheld: str | None = None
    """Why people are not told of it, or the beginning of that up to a colon: "silenced:"."""
    before_id: int | None = None
    """For the next page: the id of the last alert of this one."""
    areas: Areas = None


def find_alerts(
    connection: sa.Connection, wanted: AlertFilter, limit: int = 100
) -> list[AlertRow]:
    """Return alerts, newest first."""
    alert = tables.alerts.c
    conditions: list[sa.ColumnElement[bool]] = [
        tables.alerts.c[name] == value
        for name in ("state", "rule", "site", "device", "severity", "drill")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.withheld is not None:
        by_family = alert.withheld.startswith(wanted.withheld, autoescape=True)
        family = wanted.withheld.endswith(":")
        conditions.append(by_family if family else alert.withheld == wanted.withheld)
    if wanted.acknowledged is not None:
        is_open = alert.acknowledged_at.is_(None)
        conditions.append(~is_open if wanted.acknowledged else is_open)
    if wanted.since is not None:
        conditions.append(alert.fired_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(alert.fired_at < wanted.until)
    if wanted.before_id is not None:
        conditions.append(alert.id < wanted.before_id)
    conditions += concerns(wanted.areas, alert.site, alert.scope)
    question = sa.select(tables.alerts).where(*conditions).order_by(alert.id.desc())
    return [alert_row(row) for row in connection.execute(question.limit(min(limit, LIMIT_MAX)))]


def drills_left_open(connection: sa.Connection) -> list[Alert]:
    """Return the drills that a restart cut short, as the engine would have them."""
    rows = find_alerts(connection, AlertFilter(state=State.FIRING, drill=True))
    return [
        Alert(
            key=AlertKey(row.rule, DeviceId(row.device), row.channel),
            severity=Severity(row.severity),
            within=(Group(GroupKind.SITE, row.site),),
            state=State.FIRING,
            began_at=row.began_at,
            since=row.fired_at,
            evidence=row.evidence,
            told=Severity(row.severity),
            drill=True,
        )
        for row in rows
    ]


def get_alert(connection: sa.Connection, number: int) -> AlertRow | None:
    row = connection.execute(
        sa.select(tables.alerts).where(tables.alerts.c.id == number)
    ).one_or_none()
    return None if row is None else alert_row(row)


def events_of(connection: sa.Connection, episode: str) -> list[EventRow]:
    """Return an alert's log, oldest first: some lines are written a moment after their time."""
    event = tables.alert_events.c
    question = sa.select(event.at, event.what, event.who, event.detail)
    question = question.where(event.episode == episode).order_by(event.at, event.id)
    rows = connection.execute(question)
    return [EventRow(**row._mapping) for row in rows]  # noqa: SLF001  (its public name)


def deliveries_of(connection: sa.Connection, episode: str) -> list[DeliveryRow]:
    """Return what was sent, or not sent and why, for an alert."""
    columns = [tables.outbox.c[name] for name in DeliveryRow.__struct_fields__]
    question = sa.select(*columns).where(tables.outbox.c.episode == episode)
    rows = connection.execute(question.order_by(tables.outbox.c.id))
    return [DeliveryRow(**row._mapping) for row in rows]  # noqa: SLF001


def find_refused(
    connection: sa.Connection,
    *,
    reason: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[QuarantineRow]:
    """Return refused messages, newest first."""
    refused = tables.quarantine.c
    columns = [refused[name] for name in QuarantineRow.__struct_fields__]
    question = sa.select(*columns).order_by(refused.id.desc()).limit(min(limit, LIMIT_MAX))
    if reason is not None:
        question = question.where(refused.reason == reason)
    if before_id is not None:
        question = question.where(refused.id < before_id)
    rows = connection.execute(question)
    return [QuarantineRow(**row._mapping) for row in rows]  # noqa: SLF001


def get_refused(connection: sa.Connection, number: int) -> QuarantineRow | None:
    """Return a refused message, if it is still kept."""
    found = find_refused(connection, before_id=number + 1, limit=1)
    return found[0] if found and found[0].id == number else None


def tallies(connection: sa.Connection) -> dict[str, int]:
    """Return the counts since the ledger began: messages, readings, refused:<reason>, …."""
    rows = connection.execute(sa.select(tables.tallies.c.name, tables.tallies.c["count"]))
    return {row[0]: row[1] for row in rows}


def count_alerts(connection: sa.Connection, areas: Areas = None) -> dict[tuple[str, str], int]:
    """Return how many alerts there are by (rule, state); drills are none."""
    alert = tables.alerts.c
    counted = sa.select(alert.rule, alert.state, sa.func.count().label("n"))
    question = counted.where(~alert.drill, *concerns(areas, alert.site, alert.scope))
    rows = connection.execute(question.group_by(alert.rule, alert.state))
    return {(row.rule, row.state): row.n for row in rows}


def alert_row(row: sa.Row[tuple[object, ...]]) -> AlertRow:
    """Return a row of the table of alerts as people see it."""
    values = dict(row._mapping)  # noqa: SLF001
    values["evidence"] = msgspec.json.decode(values["evidence"], type=Evidence)
    return AlertRow(**values)
