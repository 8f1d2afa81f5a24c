"""The logs that are only ever added to: whoever changes a line is found out."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.doctor.patient import read_only
from ingest.ledger.audit import Audited, append_audit, audit_lines
from ingest.ledger.chain import Verified, verify_audit, verify_events, verify_policy_changes
from ingest.ledger.log import append_event
from ingest.ledger.policy_log import How, PolicyChange, append_policy_change
from ingest.ledger.store import open_ledger

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
LINES = 2_500
"""More than are read at a time."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "ledger.sqlite"
    ledger = open_ledger(path)

    def write(connection: sa.Connection) -> None:
        for number in range(LINES):
            at = NOON + timedelta(seconds=number)
            append_event(connection, f"smoke@{number}", at, "told", "日志", "")
        for number in range(3):
            deed = Audited(
                at=NOON, who="li", via="console", what="login.begun", detail=f"{number}"
            )
            append_audit(connection, deed)
            append_policy_change(
                connection,
                PolicyChange(
                    at=NOON,
                    who="admin",
                    how=How.FILE,
                    file="policy.toml",
                    digest=f"{number:064}",
                    changes=(),
                    settings={("default", "overload", "act_w"): 1000.0 + number},
                ),
            )

    asyncio.run(ledger.write(write))
    ledger.close()
    return path


@pytest.fixture
def ledger(written: Path, tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(written.read_bytes())
    return path


def tamper(ledger: Path, statement: str) -> None:
    """Do what the triggers forbid, as somebody with the file in hands can."""
    with sqlite3.connect(ledger) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    connection.close()


def events(ledger: Path, last: int | None = None) -> Verified:
    with read_only(ledger) as connection:
        return verify_events(connection, last)


def policy(ledger: Path) -> Verified:
    with read_only(ledger) as connection:
        return verify_policy_changes(connection)


def test_logs_that_nobody_touched_are_whole(ledger: Path) -> None:
    assert events(ledger) == ("alert_events", LINES, None)
    assert events(ledger, 10) == ("alert_events", 10, None)
    assert policy(ledger) == ("policy_changes", 3, None)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE alert_events SET detail = 'nothing' WHERE id = 1700", 1700),
        ("UPDATE alert_events SET at = at + 1 WHERE id = 1", 1),
        ("DELETE FROM alert_events WHERE id = 1200", 1200),
        ("DELETE FROM alert_events WHERE id > 2400", 2401),
        ("DELETE FROM alert_events", 1),
        ("UPDATE alert_events SET chain = x'00' WHERE id = 2500", 2500),
    ],
)
def test_a_line_that_was_changed_or_taken_out_shows(
    ledger: Path, statement: str, broken_at: int
) -> None:
    tamper(ledger, statement)
    assert events(ledger).broken_at == broken_at


def test_the_last_lines_alone_show_only_what_was_done_to_them(ledger: Path) -> None:
    tamper(ledger, "UPDATE alert_events SET who = 'x' WHERE id = 100")
    assert events(ledger, 50).broken_at is None
    tamper(ledger, "UPDATE alert_events SET who = 'x' WHERE id = 2490")
    assert events(ledger, 50).broken_at == 2490


def test_a_policy_that_was_rewritten_shows(ledger: Path) -> None:
    tamper(ledger, "UPDATE policy_changes SET who = 'somebody else' WHERE id = 2")
    assert policy(ledger).broken_at == 2


def test_a_deed_that_was_rewritten_shows(ledger: Path) -> None:
    with read_only(ledger) as connection:
        assert verify_audit(connection) == ("audit", 3, None)
        assert [line.detail for line in audit_lines(connection)] == ["2", "1", "0"]
        assert [line.id for line in audit_lines(connection, before_id=3, limit=1)] == [2]
    tamper(ledger, "UPDATE audit SET who = 'somebody else' WHERE id = 2")
    with read_only(ledger) as connection:
        assert verify_audit(connection).broken_at == 2


def test_no_deed_can_be_changed_or_taken_out_without_breaking_in(ledger: Path) -> None:
    for statement in ("UPDATE audit SET who = 'nobody'", "DELETE FROM audit"):
        with (
            sqlite3.connect(ledger) as connection,
            pytest.raises(sqlite3.IntegrityError, match="append-only"),
        ):
            connection.execute(statement)
