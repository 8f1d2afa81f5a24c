"""Hazards that late data showed: one row for each run, however often it is told."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.areas import Areas, lies_in
from ingest.ledger.log import append_event
from ingest.moments import to_us
from rules.alerts import worse
from rules.retrospect import RUN_GAP, Hazard
from rules.verdict import Evidence

LIMIT_MAX = 1_000

_evidence_json = msgspec.json.Encoder().encode


class HazardRow(msgspec.Struct, frozen=True, kw_only=True):
    """A hazard, and when the data came that showed it."""

    id: int
    rule: str
    device: str
    channel: int | None
    site: str
    began_at: datetime
    ended_at: datetime
    found_at: datetime
    evidence: Evidence


class HazardFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Each part that is given narrows the list."""

    rule: str | None = None
    site: str | None = None
    device: str | None = None
    before_id: int | None = None
    areas: Areas = None


def write_hazard(connection: sa.Connection, hazard: Hazard, now: datetime) -> None:
    """Write down a hazard, or join it to the one that it continues or repeats."""
    column = tables.hazards.c
    known = connection.execute(
        sa.select(tables.hazards)
        .where(
            column.device == hazard.device,
            column.rule == hazard.rule,
            column.channel.is_not_distinct_from(hazard.channel),
            column.began_at <= hazard.ended_at + RUN_GAP,
            column.ended_at >= hazard.began_at - RUN_GAP,
        )
        .order_by(column.id)
        .limit(1)
    ).one_or_none()
    if known is None:
        row = msgspec.structs.asdict(hazard) | {
            "evidence": _evidence_json(hazard.evidence),
            "found_at": now,
        }
        connection.execute(sa.insert(tables.hazards).values(row))
        name = f"hazard@{hazard.rule}@{hazard.device}@{to_us(hazard.began_at)}"
        append_event(connection, name, now, "hazard_found", "chargewatch", "")
        return
    evidence = worse(msgspec.json.decode(known.evidence, type=Evidence), hazard.evidence)
    connection.execute(
        sa.update(tables.hazards)
        .where(column.id == known.id)
        .values(
            began_at=min(known.began_at, hazard.began_at),
            ended_at=max(known.ended_at, hazard.ended_at),
            evidence=_evidence_json(evidence),
        )
    )


def find_hazards(
    connection: sa.Connection, wanted: HazardFilter, limit: int = 100
) -> list[HazardRow]:
    """Return hazards, the last found first."""
    column = tables.hazards.c
    conditions = [
        column[name] == value
        for name in ("rule", "site", "device")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.before_id is not None:
        conditions.append(column.id < wanted.before_id)
    conditions += lies_in(wanted.areas, column.site)
    question = sa.select(tables.hazards).where(*conditions).order_by(column.id.desc())
    return [_hazard(row) for row in connection.execute(question.limit(min(limit, LIMIT_MAX)))]


def _hazard(row: sa.Row[tuple[object, ...]]) -> HazardRow:
    values = dict(row._mapping)  # noqa: SLF001  (its public name)
    values["evidence"] = msgspec.json.decode(values["evidence"], type=Evidence)
    return HazardRow(**values)
