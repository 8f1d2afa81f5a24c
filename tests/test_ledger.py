"""The ledger on a real SQLite file: all or nothing, and everything found again."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec.structs import replace

from ingest.journal import packed
from ingest.ledger import making, outbox, queries, tables, writing
from ingest.ledger.commit import Acknowledged, Commit, Refused, Stored, ToTell, identity_in_all
from ingest.ledger.outbox import OutboxState, Reason
from ingest.ledger.queries import AlertFilter
from ingest.ledger.store import Ledger, LedgerDamaged, LedgerUnavailable, open_ledger
from ingest.moments import to_us
from ingest.registry import Area, Device, Gone, Location, Name, Site
from rules.alerts import Alert, AlertKey, Change, Group, GroupKind, State, Transition
from rules.readings import DeviceId, Kind, Reading, Report
from rules.schedule import Schedule, Window
from rules.session import EndedSession, Ending, Phase
from rules.subject import DeviceState
from rules.verdict import Evidence, Severity
from tests import worklists

NOON = datetime(2026, 1, 5, 4, 0, 0, 123456, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PILE = DeviceId("town/north/pile-1")

T = TypeVar("T")

run: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def happened(*alerts: Alert) -> list[Change]:
    return [Change(alert, Transition(alert.state)) for alert in alerts]


def firing(at: datetime = NOON, rule: str = "overload", channel: int | None = 1) -> Alert:
    return Alert(
        key=AlertKey(rule, PILE, channel),
        severity=Severity.CRITICAL,
        within=(Group(GroupKind.SITE, "town/north"),),
        state=State.FIRING,
        began_at=at,
        told=Severity.CRITICAL,
        since=at,
        evidence=Evidence(1200.0, 1000.0, "W", at),
    )


def resolved(alert: Alert, after: timedelta = MINUTE) -> Alert:
    return replace(alert, state=State.RESOLVED, since=alert.since + after)


def to_tell(alert: Alert, channel: str = "log", urgency: int = 0) -> ToTell:
    return ToTell(
        idempotency_key=f"{alert.episode}:{alert.state}:{channel}",
        episode=alert.episode,
        transition=alert.state,
        channel=channel,
        urgency=urgency,
        alert=alert,
    )


def report(number: int, at: datetime = NOON) -> Report:
    readings = (Reading(channel=1, power_w=float(number)), Reading(channel=2, power_w=1.0))
    return Report(device=PILE, at=at, received_at=at, identity=f"b/{number}", readings=readings)


def ended(began_at: datetime = NOON, channel: int | None = 1, **more: Any) -> EndedSession:
    said: dict[str, Any] = {"ending": Ending.FINISHED, "stop_reason": "", **more}
    return EndedSession(
        device=PILE,
        channel=channel,
        site="town/north",
        began_at=began_at,
        ended_at=began_at + 120 * MINUTE,
        energy_kwh=0.42,
        peak_w=210.5,
        charging_w=196.25,
        phase=Phase.FINISHED,
        **said,
    )


def commit_of(*reports: Report, now: datetime = NOON, **more: Any) -> Commit:
    journal = packed(reports) if reports else b""
    return Commit(now=now, reports=list(reports), journal=journal, **more)


def refused(number: int, payload: bytes = b"{", reason: str = "not_json") -> Refused:
    return Refused(NOON, "a/topic", payload, reason, "why", f"={number}")


def counts(ledger: Ledger) -> dict[str, int]:
    """Return how many rows each table has."""
    with ledger.engine.connect() as connection:
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for name, table in tables.metadata.tables.items()
        }


# --- all or nothing -------------------------------------------------------------------


def everything(alert: Alert) -> Commit:
    state = Stored(DeviceState(PILE, "town/north"), (alert,))
    return commit_of(
        report(1),
        states=[(PILE, msgspec.msgpack.encode(state))],
        changes=happened(alert),
        sessions=[ended()],
        to_tell=[to_tell(alert)],
        refused=[refused(1)],
        registered=[Area(id="town", name=Name("镇", "Town"))],
        ignored=1,
        repeated=1,
    )


def test_a_batch_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(changes=happened(firing()))))
    before = counts(ledger)
    second = firing(NOON + SECOND)  # the first one is still open
    with pytest.raises(sa.exc.IntegrityError):
        run(ledger.commit(everything(second)))
    assert counts(ledger) == before
    assert ledger.restored().last_commit_at == NOON
    run(ledger.commit(everything(firing(NOON + SECOND, "smoke", None))))
    assert counts(ledger)["alerts"] == 2


@pytest.mark.parametrize("channel", [None, 1])
def test_there_is_only_one_open_alert_for_each_rule_and_socket(
    ledger: Ledger, channel: int | None
) -> None:
    first = firing(channel=channel)
    run(ledger.commit(commit_of(changes=happened(first))))
    with pytest.raises(sa.exc.IntegrityError):
        run(ledger.commit(commit_of(changes=happened(firing(NOON + SECOND, channel=channel)))))
    run(ledger.commit(commit_of(changes=happened(firing(NOON + SECOND, channel=2)))))
    run(ledger.commit(commit_of(changes=happened(resolved(first)))))
    run(ledger.commit(commit_of(changes=happened(firing(NOON + MINUTE, channel=channel)))))
    assert run(ledger.read(queries.count_alerts)) == {
        ("overload", "firing"): 2,
        ("overload", "resolved"): 1,
    }


def test_all_of_a_batch_is_found_again(ledger: Ledger) -> None:
    alert = firing()
    run(ledger.commit(everything(alert)))
    restored = ledger.restored()
    [stored] = restored.stored
    assert (stored.state and stored.state.id, stored.alerts) == (PILE, (alert,))
    assert restored.last_commit_at == NOON
    assert restored.seen == ("=1", identity_in_all(PILE, "b/1"))
    [entry] = run(ledger.entries_after(0, 10))
    assert (entry.id, entry.committed_at, entry.reports) == (1, NOON, (report(1),))
    assert run(ledger.read(queries.tallies)) == {
        "messages": 1,
        "readings": 2,
        "ignored": 1,
        "repeated": 1,
        "refused:not_json": 1,
    }


def test_the_last_commit_never_goes_back(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(now=NOON)))
    run(ledger.commit(commit_of(now=NOON - MINUTE)))
    assert ledger.restored().last_commit_at == NOON


def test_what_was_committed_is_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    crashed = open_ledger(path)
    run(crashed.commit(commit_of(report(1), changes=happened(firing()))))
    with crashed._writer.begin() as transaction:
        crashed._writer.exec_driver_sql("INSERT INTO tallies VALUES ('half', 1)")
        files = {name.name: name.read_bytes() for name in tmp_path.iterdir()}
        transaction.rollback()
    crashed.close()
    copy = tmp_path / "after the crash"
    copy.mkdir()
    for name, content in files.items():
        (copy / name).write_bytes(content)
    again = open_ledger(copy / "ledger.sqlite")
    assert counts(again)["alerts"] == counts(again)["journal"] == 1
    assert "half" not in run(again.read(queries.tallies))
    again.close()


def test_a_full_disk_is_said_leaves_nothing_and_passes(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(report(1))))
    before = counts(ledger)
    pages = run(ledger.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one()))
    run(ledger.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").all()))
    large = commit_of(report(2), refused=[refused(n, b"x" * 4000) for n in range(50)])
    with pytest.raises(LedgerUnavailable, match="full"):
        run(ledger.commit(large))
    assert counts(ledger) == before
    run(ledger.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 100000").all()))
    run(ledger.commit(large))
    assert counts(ledger)["quarantine"] == 50


def test_a_ledger_locked_by_another_is_unavailable_and_passes(
    ledger: Ledger, tmp_path: Path
) -> None:
    run(ledger.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 1").all()))
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        run(ledger.commit(commit_of(report(1))))
    other.execute("ROLLBACK")
    other.close()
    run(ledger.commit(commit_of(report(1))))
    assert run(ledger.last_entry()) == 1


# --- the file -------------------------------------------------------------------------


def test_a_new_file_gets_at_once_what_the_migrations_make_one_after_another(
    ledger: Ledger,
) -> None:
    assert making.TABLES.read_text(encoding="utf-8") == making.tables_sql(), (
        "python -m ingest.ledger.making writes it anew"
    )
    with (
        ledger.engine.connect() as new,
        sa.create_engine("sqlite://").connect() as migrated,
    ):
        making.migrate(migrated)
        assert making.statements(new) == making.statements(migrated)
        for connection in (new, migrated):
            version = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            assert version.scalar() == tables.VERSION


def test_of_those_who_open_a_new_ledger_at_once_one_makes_it_and_all_have_it(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(open_ledger, [tmp_path / "ledger.sqlite"] * 4))
    for each in opened:
        assert run(each.last_entry()) == 0
        each.close()


@pytest.mark.filterwarnings("ignore:.*expression-based index one_")
def test_the_migrations_make_the_tables_that_are_written_down(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, tables.metadata)
    assert [each for each in differences if "Index('one_" not in str(each)] == []


def test_a_ledger_is_opened_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.sqlite"
    first = open_ledger(path)
    run(first.commit(commit_of(report(1))))
    first.close()
    second = open_ledger(path)
    assert run(second.last_entry()) == 1
    with second.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    second.close()


def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"This is a diary, and not a database. " * 100)
    with pytest.raises(LedgerDamaged, match=r"ledger\.sqlite: .*not a database"):
        open_ledger(path)
    assert path.read_bytes().startswith(b"This is a diary")


NEW_IN_0009 = (
    "people",
    "posts",
    "routes",
    "logins",
    "api_tokens",
    "audit",
    "links",
    "photos",
    "digests",
    "post_checks",
)


def test_a_ledger_of_versions_before_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = open_ledger(path)
    run(ledger.commit(commit_of(registered=list(WHO), changes=happened(firing()))))
    ledger.close()
    with sqlite3.connect(path) as older:
        for index in ("outbox_waiting", "outbox_told", "outbox_digest"):
            older.execute(f"DROP INDEX {index}")
        older.execute("CREATE INDEX outbox_due ON outbox (channel, state, urgency)")
        for table, column in (
            ("sites", "latitude"),
            ("sites", "longitude"),
            ("alerts", "drill"),
            ("alerts", "handler"),
            ("alerts", "handler_since"),
            ("outbox", "recipient"),
            ("outbox", "tier"),
            ("outbox", "spilled_from"),
            ("outbox", "digest"),
        ):
            older.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in NEW_IN_0009:
            older.execute(f"DROP TABLE {table}")
        older.execute("UPDATE alembic_version SET version_num = '0006'")
    older.close()
    again = open_ledger(path)
    try:
        assert again.registry().sites["town/north"].location is None
        [alert] = run(again.read(lambda c: queries.find_alerts(c, AlertFilter())))
        assert not alert.drill
    finally:
        again.close()


def test_a_ledger_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    open_ledger(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    with pytest.raises(LedgerDamaged, match="newer chargewatch"):
        open_ledger(path)


# --- the log that is never changed ----------------------------------------------------


@pytest.mark.parametrize(
    "change", ["UPDATE alert_events SET who = 'nobody'", "DELETE FROM alert_events"]
)
def test_the_log_of_alerts_cannot_be_changed(ledger: Ledger, change: str) -> None:
    run(ledger.commit(commit_of(changes=happened(firing()))))
    with pytest.raises(sa.exc.IntegrityError, match="append-only"):
        run(ledger.write(lambda connection: connection.exec_driver_sql(change)))
    assert counts(ledger)["alert_events"] == 1


def test_each_line_of_the_log_vouches_for_all_before_it(ledger: Ledger) -> None:
    first, second = firing(), firing(NOON + SECOND, "smoke", None)
    run(ledger.commit(commit_of(changes=happened(first, second))))
    seen = Acknowledged(first.episode, NOON, "王", "seen")
    run(ledger.commit(commit_of(acknowledged=[seen], changes=happened(resolved(first)))))
    with ledger.engine.connect() as connection:
        rows = connection.execute(
            sa.select(tables.alert_events).order_by(tables.alert_events.c.id)
        ).all()
    chain = b""
    for row in rows:
        line = [row.episode, to_us(row.at), row.what, row.who, row.detail]
        chain = hashlib.sha256(chain + msgspec.json.encode(line)).digest()
        assert row.chain == chain
    assert [row.what for row in rows] == ["firing", "firing", "acknowledged", "resolved"]


# --- alerts, as people see them -------------------------------------------------------


def test_an_alert_is_found_by_each_of_its_parts(ledger: Ledger) -> None:
    old, new = firing(), firing(NOON + MINUTE, "smoke", None)
    run(ledger.commit(commit_of(changes=happened(old, new, resolved(old)))))

    def found(**parts: Any) -> list[str]:
        wanted = AlertFilter(**parts)
        rows = run(ledger.read(lambda connection: queries.find_alerts(connection, wanted)))
        return [row.rule for row in rows]

    assert found() == ["smoke", "overload"]
    assert found(state="firing") == found(rule="smoke") == found(since=NOON + MINUTE)
    assert found(until=NOON + MINUTE) == found(before_id=2) == ["overload"]
    assert found(site="town/north", severity="critical", acknowledged=False) == found()
    assert found(device="town/north/pile-2") == found(acknowledged=True) == []


def test_the_first_to_acknowledge_is_the_one_that_counts(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(changes=happened(firing()))))

    def acknowledge(who: str, minutes: int) -> queries.AlertRow | None:
        seen = Acknowledged(firing().episode, NOON + minutes * MINUTE, who, who)
        run(ledger.commit(commit_of(acknowledged=[seen])))
        return run(ledger.read(lambda c: queries.get_alert(c, 1)))

    first, second = acknowledge("wang", 1), acknowledge("li", 2)
    assert first is not None
    assert first == second
    assert (first.acknowledged_by, first.acknowledged_at) == ("wang", NOON + MINUTE)
    events = run(ledger.read(lambda c: queries.events_of(c, first.episode)))
    assert [(event.what, event.who) for event in events] == [
        ("firing", "chargewatch"),
        ("acknowledged", "wang"),
    ]


# --- journal and quarantine -----------------------------------------------------------


def test_the_journal_is_read_in_order_and_in_parts(ledger: Ledger) -> None:
    for number in range(1, 6):
        run(ledger.commit(commit_of(report(number))))
    entries = run(ledger.entries_after(2, 2))
    assert [entry.id for entry in entries] == [3, 4]
    assert run(ledger.entries_after(5, 10)) == []
    assert run(ledger.last_entry()) == 5


def test_pruning_keeps_what_tells_repeated_messages_and_what_is_not_read_yet(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "REPLAY_MESSAGES", 3)
    for number in range(1, 11):
        run(ledger.commit(commit_of(report(number))))
    run(ledger.prune(4))
    assert [entry.id for entry in run(ledger.entries_after(0, 99))] == [5, 6, 7, 8, 9, 10]
    run(ledger.prune(10))
    assert [entry.id for entry in run(ledger.entries_after(0, 99))] == [8, 9, 10]
    assert len(ledger.restored().seen) == 3
    run(ledger.commit(commit_of(report(11))))
    assert run(ledger.last_entry()) == 11


def test_pruning_an_empty_journal_does_nothing(ledger: Ledger) -> None:
    run(ledger.prune(10))
    assert run(ledger.last_entry()) == 0


def test_the_quarantine_is_bounded_and_the_tallies_still_count(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "QUARANTINE_MAX", 5)
    for start in (0, 4, 8):
        batch = commit_of(refused=[refused(n, b"y" * 9000) for n in range(start, start + 4)])
        run(ledger.commit(batch))
    rows = run(ledger.read(queries.find_refused))
    assert [row.id for row in rows] == [12, 11, 10, 9, 8]
    assert {(len(row.payload), row.size) for row in rows} == {(4096, 9000)}
    assert run(ledger.read(queries.tallies))["refused:not_json"] == 12


def test_an_amended_message_is_counted_apart_from_the_refused(ledger: Ledger) -> None:
    batch = commit_of(report(1), refused=[refused(1, reason="clock_wrong"), refused(2)])
    run(ledger.commit(batch))
    found = run(ledger.read(lambda c: queries.find_refused(c, reason="clock_wrong")))
    assert len(found) == 1
    tallies = run(ledger.read(queries.tallies))
    assert (tallies["amended:clock_wrong"], tallies["refused:not_json"]) == (1, 1)


# --- who is who -----------------------------------------------------------------------

NIGHTS = Schedule("Europe/Berlin", (Window(time(22), time(5), frozenset({0, 6})),))
WHO = (
    Area(id="town", name=Name("镇", "Town")),
    Site(
        id="town/north",
        area="town",
        name=Name("北", "North"),
        schedule=NIGHTS,
        carrier="mobile",
        location=Location(latitude=52.5, longitude=-13.25),
    ),
    Device(
        id=PILE,
        site="town/north",
        dialect="native",
        name=PILE,
        kind=Kind.CHARGER,
        sockets=frozenset({1, 2, 12}),
        silent_after=timedelta(seconds=90.5),
        added_at=NOON,
    ),
    Device(
        id=DeviceId("undeclared/tasmota/plug"),
        site="town/north",
        dialect="tasmota",
        name="plug",
        declared=False,
        added_at=NOON,
    ),
)


def test_the_registry_is_read_back_as_it_was_written(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(registered=list(WHO))))
    known = ledger.registry()
    assert list(known.areas.values()) == [WHO[0]]
    assert list(known.sites.values()) == [WHO[1]]
    assert list(known.devices.values()) == list(WHO[2:])
    assert known.policy_of(PILE).schedule == NIGHTS


def test_an_entry_that_is_written_again_replaces_the_one_before(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(registered=list(WHO))))
    pile = WHO[2]
    assert isinstance(pile, Device)
    changed = replace(
        pile, kind=Kind.SMOKE, silent_after=None, sockets=frozenset({1, 2, 12, 3})
    )
    run(ledger.commit(commit_of(registered=[changed, replace(WHO[0], declared=False)])))
    known = ledger.registry()
    assert known.devices[PILE] == changed
    assert known.areas["town"].declared is False


def test_a_device_that_is_gone_leaves_its_place_to_another_of_its_name(ledger: Ledger) -> None:
    state = msgspec.msgpack.encode(Stored(DeviceState(PILE, "town/north"), ()))
    run(ledger.commit(commit_of(registered=list(WHO), states=[(PILE, state)])))
    heir = Device(
        id=DeviceId("town/north/heir"),
        site="town/north",
        dialect="native",
        name=PILE,
        added_at=NOON,
    )
    run(ledger.commit(commit_of(registered=[Gone(PILE), heir])))
    known = ledger.registry()
    assert PILE not in known.devices
    assert known.devices[heir.id] == heir
    assert ledger.restored().stored == ()
    assert counts(ledger)["sockets"] == 0


def test_the_open_alerts_of_a_device_that_is_gone_end_with_it(ledger: Ledger) -> None:
    alert = firing()
    run(ledger.commit(commit_of(registered=list(WHO), changes=happened(alert))))
    run(ledger.commit(commit_of(registered=[Gone(PILE)], now=NOON + MINUTE)))
    row = run(ledger.read(lambda connection: queries.get_alert(connection, 1)))
    assert row is not None
    assert (row.state, row.resolved_at) == ("resolved", NOON + MINUTE)
    events = run(ledger.read(lambda c: queries.events_of(c, alert.episode)))
    assert [(event.what, event.detail) for event in events][1:] == [("resolved", "device gone")]


def test_a_device_without_a_site_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        run(ledger.commit(commit_of(registered=[WHO[2]])))


# --- the worklist ---------------------------------------------------------------------


def due(ledger: Ledger, channel: str = "log", now: datetime = NOON) -> list[outbox.Due]:
    return run(ledger.read(lambda connection: worklists.due(connection, channel, now)))


def test_fire_goes_first_then_the_oldest(ledger: Ledger) -> None:
    warning, fire, later = (
        firing(rule="silence"),
        firing(rule="smoke"),
        firing(NOON + SECOND, rule="overload"),
    )
    told = [to_tell(warning, urgency=1), to_tell(fire), to_tell(later)]
    run(ledger.commit(commit_of(changes=happened(warning, fire, later), to_tell=told)))
    assert [item.alert.key.rule for item in due(ledger)] == ["smoke", "overload", "silence"]
    assert due(ledger, "mail") == []
    assert due(ledger, now=NOON - SECOND) == []
    assert run(ledger.read(outbox.waiting)) == 3


def test_the_end_waits_until_the_beginning_is_told(ledger: Ledger) -> None:
    alert = firing()
    over = resolved(alert)
    told = [to_tell(alert), to_tell(over, urgency=2)]
    run(ledger.commit(commit_of(changes=happened(alert, over), to_tell=told)))
    [first] = due(ledger)
    assert (first.transition, first.alert) == ("firing", alert)
    again_at = NOON + 5 * MINUTE
    run(ledger.write(lambda c: outbox.mark_retry(c, first, "busy", again_at)))
    assert due(ledger, now=NOON + MINUTE) == []
    asked = run(ledger.read(lambda c: worklists.next_due_at(c, "log", NOON + MINUTE)))
    assert asked == again_at  # not the end's, which is due but may not go
    [again] = due(ledger, now=again_at)
    assert (again.idempotency_key, again.attempts) == (first.idempotency_key, 1)
    run(ledger.write(lambda c: outbox.mark_told(c, again, "ok", again_at)))
    [end] = due(ledger, now=again_at)
    assert (end.transition, end.alert) == ("resolved", over)
    assert run(ledger.read(lambda c: outbox.before_the_end(c, end).told))
    elsewhere = replace(end, channel="mail")
    assert not run(ledger.read(lambda c: outbox.before_the_end(c, elsewhere).told))


def test_what_became_of_a_notification_is_said_in_words(ledger: Ledger) -> None:
    alerts = [firing(rule=rule) for rule in ("a", "b", "c", "d")]
    batch = commit_of(
        changes=happened(*alerts),
        to_tell=[*map(to_tell, alerts[:3]), to_tell(alerts[3], "pager")],
    )
    run(ledger.commit(batch))
    told, skipped, failed = due(ledger)
    run(ledger.write(lambda c: outbox.mark_told(c, told, "r" * 900, NOON)))
    run(ledger.write(lambda c: outbox.mark_skipped(c, skipped, Reason.NEVER_TOLD, NOON)))
    run(
        ledger.write(
            lambda c: outbox.mark_failed(c, failed, "no", NOON, Reason.REFUSED_FOR_GOOD)
        )
    )
    run(ledger.write(lambda c: outbox.give_up_on_others(c, ["log"], NOON)))
    rows = [
        run(ledger.read(partial(queries.deliveries_of, episode=alert.episode)))[0]
        for alert in alerts
    ]
    assert [(row.state, row.reason) for row in rows] == [
        (OutboxState.TOLD, Reason.NEW_ALERT),
        (OutboxState.SKIPPED, Reason.NEVER_TOLD),
        (OutboxState.FAILED, Reason.REFUSED_FOR_GOOD),
        (OutboxState.FAILED, Reason.NO_SUCH_CHANNEL),
    ]
    assert (rows[0].told_at, len(rows[0].receipt)) == (NOON, 500)
    logs = [
        run(ledger.read(partial(queries.events_of, episode=alert.episode))) for alert in alerts
    ]
    assert [log[-1].what for log in logs] == ["told", "not_told", "not_told", "not_told"]
    assert due(ledger) == due(ledger, "pager") == []
    assert run(ledger.read(outbox.waiting)) == 0


def test_the_same_notification_is_written_once(ledger: Ledger) -> None:
    alert = firing()
    batch = commit_of(changes=happened(alert), to_tell=[to_tell(alert), to_tell(alert)])
    run(ledger.commit(batch))
    assert len(due(ledger)) == 1


def test_pauses_grow_to_five_minutes_and_no_further() -> None:
    longest = [outbox.retry_after(attempts, 0.9999999) for attempts in range(20)]
    assert longest == sorted(longest)
    assert timedelta(seconds=1.9) < longest[0] <= timedelta(seconds=2)
    assert longest[-1] <= timedelta(minutes=5)
    assert outbox.retry_after(3, 0.0) == timedelta(seconds=8)
