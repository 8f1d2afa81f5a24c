"""Writing a batch: plain functions on a connection whose transaction is the caller's."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.dialects.sqlite import insert

from ingest.ledger import tables
from ingest.ledger.answers import write_answers
from ingest.ledger.audit import append_audit
from ingest.ledger.commanding import end_all_of, write_commands
from ingest.ledger.commit import Commit, Refused, ToTell
from ingest.ledger.hazards import write_hazard
from ingest.ledger.log import append_event
from ingest.ledger.outbox import REACHED_NOBODY, WHY, OutboxState, heard_by
from ingest.ledger.policy_log import append_policy_change
from ingest.ledger.sessions import write_sessions
from ingest.moments import to_us
from ingest.registry import Area, Device, Entry, Gone, Site
from ingest.wire import Refusal
from rules.alerts import Change, State, Transition

QUARANTINE_MAX = 20_000
"""Rows kept; the oldest give way, and the tallies still count them."""
QUARANTINE_PAYLOAD_BYTES_MAX = 4_096
REPLAY_MESSAGES = 100_000
"""Messages recognised when they come again: the broker holds at most 2 x 4,000 unconfirmed."""

_pack = msgspec.msgpack.Encoder().encode
_evidence_json = msgspec.json.Encoder().encode


def write_batch(connection: sa.Connection, batch: Commit) -> None:
    """Write who is who and what is allowed, what was said, what it caused, what to do."""
    for entry in batch.registered:
        write_registered(connection, entry, batch.now)
    for changed in batch.policy_changes:
        append_policy_change(connection, changed)
    for deed in batch.audited:
        append_audit(connection, deed)
    _write_said(connection, batch)
    _write_states(connection, batch)
    write_answers(connection, batch)
    for change in batch.changes:
        _write_change(connection, change, batch.now)
    for hazard in batch.hazards:
        write_hazard(connection, hazard, batch.now)
    write_commands(connection, batch.commands, batch.latches, batch.log)
    if batch.sessions:
        write_sessions(connection, batch.sessions)
    for told in batch.to_tell:
        _write_to_tell(connection, told, batch.now)
    if batch.refused:
        _write_refused(connection, batch.refused)
    _write_tallies(connection, batch)


def _write_said(connection: sa.Connection, batch: Commit) -> None:
    if batch.reports:
        connection.exec_driver_sql(
            "INSERT INTO journal (committed_at, messages, reports) VALUES (?, ?, ?)",
            (to_us(batch.now), len(batch.reports), batch.journal),
        )


def _write_states(connection: sa.Connection, batch: Commit) -> None:
    if batch.states:
        connection.exec_driver_sql(
            "INSERT INTO rule_state (subject, state) VALUES (?, ?)"
            " ON CONFLICT (subject) DO UPDATE SET state = excluded.state",
            batch.states,
        )


def _write_change(connection: sa.Connection, change: Change, now: datetime) -> None:
    alert = change.alert
    rule, device, channel, group = alert.key
    evidence = _evidence_json(alert.evidence)
    if change.transition is Transition.FIRING:
        row = {
            "episode": alert.episode,
            "rule": rule,
            "device": device or "",
            "channel": channel,
            "scope": "" if group is None else str(group),
            "site": alert.site,
            "severity": alert.severity,
            "state": alert.state,
            "began_at": alert.began_at,
            "fired_at": alert.since,
            "evidence": evidence,
            "withheld": alert.withheld,
            "flaps": alert.flaps,
            "drill": alert.drill,
        }
        connection.execute(sa.insert(tables.alerts).values(row))
    else:
        changed: dict[str, object] = {
            "state": alert.state,
            "severity": alert.severity,
            "evidence": evidence,
            "withheld": alert.withheld,
            "tier": alert.tier,
        }
        if change.transition is Transition.RESOLVED:
            changed["resolved_at"] = alert.since
        if alert.raised_at is not None and alert.acknowledged_at is None:
            # Whoever saw to it saw to something less; the log still knows who.
            changed |= {"acknowledged_at": None, "acknowledged_by": None, "note": ""}
        connection.execute(
            sa.update(tables.alerts)
            .where(tables.alerts.c.episode == alert.episode)
            .values(changed)
        )
    begins_or_ends = change.transition in {Transition.FIRING, Transition.RESOLVED}
    at = alert.since if begins_or_ends else now
    detail = ""
    if change.transition is Transition.RAISED:
        detail = alert.severity
    elif change.transition is Transition.ESCALATED:
        detail = f"tier {alert.tier}"
    append_event(connection, alert.episode, at, change.transition, "chargewatch", detail)
    if alert.withheld and change.transition is not Transition.RESOLVED:
        append_event(connection, alert.episode, at, "withheld", "chargewatch", alert.withheld)


def _write_to_tell(connection: sa.Connection, told: ToTell, now: datetime) -> None:
    if told.to_all_who_heard:
        for recipient, channel, tier in heard_by(connection, told.episode):
            key = f"{told.idempotency_key}{channel}"
            somebody = replace(
                told,
                idempotency_key=key,
                channel=channel,
                recipient=recipient,
                tier=tier,
                to_all_who_heard=False,
            )
            _write_to_tell(connection, somebody, now)
        return
    skipped = told.not_told is not None
    row = {
        "idempotency_key": told.idempotency_key,
        "episode": told.episode,
        "transition": told.transition,
        "channel": told.channel,
        "urgency": told.urgency,
        "alert": _pack(told.alert),
        "created_at": now,
        "state": OutboxState.SKIPPED if skipped else OutboxState.WAITING,
        "reason": told.not_told or WHY[Transition(told.transition)],
        "attempts": 0,
        "next_at": now,
        "receipt": "",
        "recipient": told.recipient,
        "tier": told.tier,
    }
    written = connection.execute(insert(tables.outbox).values(row).on_conflict_do_nothing())
    if written.rowcount and told.not_told in REACHED_NOBODY:
        why = str(told.not_told)
        append_event(connection, told.episode, now, "nobody_told", "chargewatch", why)


def _write_refused(connection: sa.Connection, refused: Iterable[Refused]) -> None:
    connection.execute(
        sa.insert(tables.quarantine),
        [
            {
                "received_at": each.received_at,
                "topic": each.topic,
                "payload": each.payload[:QUARANTINE_PAYLOAD_BYTES_MAX],
                "size": len(each.payload),
                "reason": each.reason,
                "detail": each.detail,
                "identity": each.identity,
            }
            for each in refused
        ],
    )
    connection.exec_driver_sql(
        "DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?",
        (QUARANTINE_MAX,),
    )


def _write_tallies(connection: sa.Connection, batch: Commit) -> None:
    counts = {
        "messages": len(batch.reports),
        "readings": sum(len(report.readings) for report in batch.reports),
        "ignored": batch.ignored,
        "repeated": batch.repeated,
    }
    for refused in batch.refused:
        kept = refused.reason == Refusal.CLOCK_WRONG
        name = f"{'amended' if kept else 'refused'}:{refused.reason}"
        counts[name] = counts.get(name, 0) + 1
    connection.exec_driver_sql(
        "INSERT INTO tallies (name, count) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
        list(counts.items()),
    )
    if not batch.hearing:
        return
    connection.exec_driver_sql(
        "INSERT INTO watermarks (name, value) VALUES ('committed_at', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (to_us(batch.now),),
    )


def write_registered(connection: sa.Connection, entry: Entry, now: datetime) -> None:
    """Insert or update one entry of the registry."""
    match entry:
        case Gone():
            _forget(connection, entry.id, now)
        case Area():
            row: dict[str, object] = {
                "id": entry.id,
                "name_zh": entry.name.zh,
                "name_en": entry.name.en,
                "declared": entry.declared,
            }
            _upsert(connection, tables.areas, row, "id")
        case Site():
            row = {
                "id": entry.id,
                "area": entry.area,
                "name_zh": entry.name.zh,
                "name_en": entry.name.en,
                "declared": entry.declared,
                "schedule": msgspec.json.encode(entry.schedule).decode(),
                "carrier": entry.carrier,
                "latitude": entry.location and entry.location.latitude,
                "longitude": entry.location and entry.location.longitude,
            }
            _upsert(connection, tables.sites, row, "id")
        case Device():
            row = {
                "id": entry.id,
                "site": entry.site,
                "dialect": entry.dialect,
                "name": entry.name,
                "kind": entry.kind,
                "declared": entry.declared,
                "silent_after_s": entry.silent_after and entry.silent_after.total_seconds(),
                "added_at": entry.added_at,
            }
            _upsert(connection, tables.devices, row, "id")
            for channel in sorted(entry.sockets):
                socket = {"device": entry.id, "channel": channel, "declared": entry.declared}
                connection.execute(
                    insert(tables.sockets).values(socket).on_conflict_do_nothing()
                )


def _forget(connection: sa.Connection, device: str, now: datetime) -> None:
    """Take a device out of the registry; its past stays in alerts and history.

    Nobody will judge its open alerts any more: they end here, or they would never.
    """
    alert = tables.alerts.c
    left_open = sa.select(alert.episode).where(
        alert.device == device, alert.state == State.FIRING
    )
    for episode in connection.scalars(left_open).all():
        connection.execute(
            sa.update(tables.alerts)
            .where(alert.episode == episode)
            .values(state=State.RESOLVED, resolved_at=now)
        )
        append_event(connection, episode, now, State.RESOLVED, "chargewatch", "device gone")
    end_all_of(connection, device, now)
    connection.execute(sa.delete(tables.sockets).where(tables.sockets.c.device == device))
    connection.execute(sa.delete(tables.devices).where(tables.devices.c.id == device))
    connection.execute(
        sa.delete(tables.rule_state).where(tables.rule_state.c.subject == device)
    )


def _upsert(
    connection: sa.Connection, table: sa.Table, row: dict[str, object], key: str
) -> None:
    statement = insert(table).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=row))


def needed_from(connection: sa.Connection) -> int:
    """Return the number of the first journal entry that tells repeated messages, 0 for none."""
    newest_first = sa.select(tables.journal.c.id, tables.journal.c.messages).order_by(
        tables.journal.c.id.desc()
    )
    kept, first = 0, 0
    for number, messages in connection.execute(newest_first):
        kept, first = kept + messages, number
        if kept >= REPLAY_MESSAGES:
            break
    return first


def prune(connection: sa.Connection, before: int) -> None:
    """Drop the journal's entries before number `before`."""
    connection.execute(sa.delete(tables.journal).where(tables.journal.c.id < before))
