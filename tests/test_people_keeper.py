"""What the ledger has of people, posts and routes, and when a running service knows of it."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import async_solipsism
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from api.people.keeper import LOOK_S, PeopleKeeper, dated
from ingest.desk import Desk
from ingest.ledger.commit import Commit
from ingest.ledger.people import (
    delete_post,
    delete_route,
    read_edition,
    read_kept,
    write_person,
    write_post,
    write_route,
)
from ingest.people import Directory, Person, Post, Role, Route, Via, Way
from ingest.registry import Name
from rules.schedule import Days, Schedule, Window
from tests.telling import InLoop, ledger_in_loop

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
WORKDAYS = Schedule("Asia/Shanghai", (Window(time(8), time(18), Days.WORKDAYS),))
LI = Person(
    id="li",
    name="李",
    role=Role.POLICE,
    areas=frozenset({"xuhui"}),
    ways=(Way(via=Via.WEBHOOK, address="https://example.org/x", secret="s" * 20),),
    duty=WORKDAYS,
    added_at=NOON,
)
DESK = Post(id="desk", name=Name("派出所", "Police station"), area="xuhui", members=("li",))
ROUTE = Route(id="danger", tiers=(("post:desk",), ("role:manager", "person:li")))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[InLoop]:
    with ledger_in_loop(tmp_path / "ledger.sqlite") as opened:
        yield opened


class Service:
    """What a running service does with its directory: the owner of the engine takes orders."""

    def __init__(self, ledger: InLoop) -> None:
        self.directory, self.orders = Directory(), 0
        self.desk = Desk(self._wake)
        self.keeper = PeopleKeeper(ledger, self.directory, self.desk, lambda: NOON)

    def _wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._carry_out)

    def _carry_out(self) -> None:
        for order in self.desk.take():
            self.orders += 1
            order.carry_out(Commit(now=NOON))
            order.answer()


def test_what_was_written_is_read_as_it_was(ledger: InLoop) -> None:
    with ledger.engine.begin() as connection:
        write_person(connection, LI)
        write_post(connection, DESK)
        write_route(connection, ROUTE)
    with ledger.engine.connect() as connection:
        kept = read_kept(connection)
    assert (kept.people, kept.posts, kept.routes) == (
        {"li": LI},
        {"desk": DESK},
        {"danger": ROUTE},
    )


def test_every_change_raises_the_edition(ledger: InLoop) -> None:
    editions = []
    changes: tuple[Callable[[sa.Connection], None], ...] = (
        lambda c: write_person(c, LI),
        lambda c: write_person(c, replace(LI, active=False)),
        lambda c: write_post(c, DESK),
        lambda c: write_route(c, ROUTE),
        lambda c: delete_post(c, "desk"),
        lambda c: delete_route(c, "danger"),
    )
    for change in changes:
        with ledger.engine.begin() as connection:
            change(connection)
            editions.append(read_edition(connection))
    assert editions == [1, 2, 3, 4, 5, 6]
    with ledger.engine.connect() as connection:
        kept = read_kept(connection)
    assert (list(kept.people), kept.posts, kept.routes) == (["li"], {}, {})


def test_a_change_beside_the_service_is_known_within_seconds_and_costs_nothing_else(
    ledger: InLoop,
) -> None:
    async def beside() -> None:
        service = Service(ledger)
        await service.keeper.begin()
        task = asyncio.create_task(service.keeper.run())
        await asyncio.sleep(10 * LOOK_S)
        assert (service.directory.people, service.orders) == ({}, 0)
        with ledger.engine.begin() as connection:
            write_person(connection, LI)
        await asyncio.sleep(2 * LOOK_S)
        assert service.directory.people["li"].name == "李"
        await asyncio.sleep(10 * LOOK_S)
        assert service.orders == 1
        task.cancel()

    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(beside())


def test_workdays_follow_the_calendar_of_the_year_and_other_hours_need_none(
    ledger: InLoop,
) -> None:
    async def begun() -> Directory:
        service = Service(ledger)
        with ledger.engine.begin() as connection:
            write_person(connection, LI)
        await service.keeper.begin()
        return service.directory

    duty = asyncio.run(begun()).people["li"].duty
    assert duty is not None
    assert date(2026, 10, 1) in duty.holidays
    nightly = Schedule.nightly()
    assert dated(nightly, 2026) is nightly
    assert dated(None, 2026) is None
