"""Sessions in the ledger: each once, and found by each of its parts."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.ledger import making, sessions, tables
from ingest.ledger.sessions import SessionFilter, SessionRow, find_sessions
from ingest.ledger.store import Ledger, open_ledger
from rules.session import Ending
from tests.test_ledger import NOON, PILE, SECOND, commit_of, ended, ledger, run

__all__ = ["ledger"]

HOUR = timedelta(hours=1)


def found(ledger: Ledger, wanted: SessionFilter, limit: int = 100) -> list[SessionRow]:
    return run(ledger.read(lambda c: find_sessions(c, wanted, limit)))


def test_a_session_is_found_as_it_was_written(ledger: Ledger) -> None:
    run(ledger.commit(commit_of(sessions=[ended()])))
    [row] = found(ledger, SessionFilter())
    for name in ended().__struct_fields__:
        assert getattr(row, name) == getattr(ended(), name), name


def test_a_session_that_is_explained_later_is_still_one(ledger: Ledger) -> None:
    for channel in (1, None):
        first = ended(channel=channel, ending=Ending.ABRUPT)
        run(ledger.commit(commit_of(sessions=[first, first])))
        told = ended(channel=channel, ending=Ending.STOPPED, stop_reason="overload")
        run(ledger.commit(commit_of(sessions=[told])))
    rows = found(ledger, SessionFilter())
    assert [(row.channel, row.ending, row.stop_reason) for row in rows] == [
        (None, "stopped", "overload"),
        (1, "stopped", "overload"),
    ]


@pytest.mark.parametrize(
    ("wanted", "channels"),
    [
        (SessionFilter(), [3, 2, 1]),
        (SessionFilter(site="town/north"), [3, 2, 1]),
        (SessionFilter(site="town/south"), []),
        (SessionFilter(device=PILE, channel=2), [2]),
        (SessionFilter(ending="finished"), [3, 2, 1]),
        (SessionFilter(ending="abrupt"), []),
        (SessionFilter(since=NOON + 2 * HOUR), [3, 2, 1]),
        (SessionFilter(since=NOON + 2 * HOUR + SECOND), [3, 2]),
        (SessionFilter(until=NOON + HOUR), [1]),
        (SessionFilter(until=NOON + HOUR + SECOND), [2, 1]),
        (SessionFilter(before_id=3), [2, 1]),
    ],
)
def test_a_session_is_found_by_each_of_its_parts(
    ledger: Ledger, wanted: SessionFilter, channels: list[int]
) -> None:
    run(
        ledger.commit(
            commit_of(
                sessions=[ended(began_at=NOON + n * HOUR, channel=n + 1) for n in range(3)]
            )
        )
    )
    assert [row.channel for row in found(ledger, wanted)] == channels


def test_the_newest_sessions_are_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 2)
    for hour in range(5):
        run(ledger.commit(commit_of(sessions=[ended(began_at=NOON + hour * HOUR)])))
    rows = found(ledger, SessionFilter())
    assert [row.began_at for row in rows] == [NOON + 4 * HOUR, NOON + 3 * HOUR]


def test_a_ledger_of_the_version_before_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        making.migrate(connection, "0002")
        assert not sa.inspect(connection).has_table(tables.sessions.name)
    engine.dispose()
    opened = open_ledger(path)
    run(opened.commit(commit_of(sessions=[ended()])))
    assert len(found(opened, SessionFilter())) == 1
    opened.close()
