"""Another policy while the service runs: in force at once, written down, or refused."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from api import policy_keeper
from api.policy_file import PolicyFileWrong
from api.policy_keeper import PolicyKeeper, policy_at_start
from ingest.codecs import all_codecs
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.ledger import queries, tables
from ingest.ledger.audit import Audited
from ingest.ledger.commit import Commit
from ingest.ledger.policy_log import How, last_change, policy_lines
from ingest.ledger.queries import AlertFilter
from ingest.ledger.store import Ledger, opened
from ingest.moments import to_us
from ingest.pipeline import Pipeline
from ingest.registry import Area, Device, Name, Registry, Site
from ingest.replay import Seen
from ingest.wire import Message
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.policies import Changed
from rules.readings import DeviceId, Kind
from rules.schedule import Schedule

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
SITE, PILE = "town/north", DeviceId("town/north/pile-1")
AT_800 = '[default.overload]\nhold = "0 s"\n'
AT_1100 = AT_800 + "warn_w = 1100\nact_w = 1200\n"
WRONG = "[default.overload]\nhold = 30\n"
SOON_S = 5.0


def asked_by(who: str) -> Audited:
    return Audited(at=NOON, who=who, via="api", what="policy.reloaded")


class Stepped(PolicyKeeper):
    """Looks at its file when it is told to, and not before."""

    looks: asyncio.Queue[None] | None = None

    async def look(self) -> None:
        """Have it look, and wait until what it has found is in force."""
        assert self.looks is not None
        self.looks.put_nowait(None)
        await self.looks.join()
        await self._desk.ask(lambda _: None)

    async def _next_look(self) -> How:
        if self.looks is None:
            self.looks = asyncio.Queue()
        else:
            self.looks.task_done()
        await self.looks.get()
        return How.FILE


class Station:
    """The heart of the service: a real pipeline and ledger, and a pile that drew 900 W."""

    def __init__(self, ledger: Ledger, file: Path | None) -> None:
        self.at, self.ledger = NOON, ledger
        self.registry = Registry([], [], [])
        self.registry.declare(
            [Area(id="town", name=Name("镇", "Town"))],
            [
                Site(
                    id=SITE,
                    area="town",
                    name=Name("北", "North"),
                    schedule=Schedule("Asia/Shanghai", ()),
                )
            ],
            [Device(id=PILE, site=SITE, dialect="native", name=PILE, kind=Kind.CHARGER)],
            NOON,
        )
        with ledger.engine.connect() as connection:
            start = policy_at_start(file, last_change(connection))
        self.registry.apply(start.text.policies)
        self.engine = Engine(*rules_in_force(), self.registry)
        self.intake = Intake(all_codecs(), self.registry, self.engine, Seen(), lambda *_: ())
        self.commits: list[Commit] = []
        wake = asyncio.Event()
        self.desk = Desk(wake.set)
        self.pipeline = Pipeline(
            links=(),
            wake=wake,
            desk=self.desk,
            intake=self.intake,
            engine=self.engine,
            ledger=ledger,
            now=lambda: self.at,
            speed=1.0,
            committed=self.commits.append,
        )
        self.keeper = PolicyKeeper(
            start, self.registry, self.engine, self.desk, lambda: self.at
        )

    async def draws(self, power_w: float) -> None:
        said = {"readings": [{"channel": 1, "power_w": power_w}]}
        topic = f"chargewatch/v1/{PILE}/telemetry"
        message = Message(topic, json.dumps(said).encode(), self.at)
        await self.ledger.commit(self.intake.digest([message], self.at))

    async def firing(self) -> list[str]:
        found = await self.ledger.read(
            lambda c: queries.find_alerts(c, AlertFilter(state="firing"))
        )
        return [alert.rule for alert in found]

    async def log(self) -> list[tuple[str, How, tuple[Changed, ...]]]:
        lines = await self.ledger.read(policy_lines)
        return [(line.who, line.how, line.changes) for line in reversed(lines)]


@asynccontextmanager
async def station(folder: Path, text: str | None = "") -> AsyncIterator[Station]:
    """Run a station; without a text the policy file is left as it is."""
    if text is not None:
        (folder / "policy.toml").write_text(text)
    async with opened(folder / "ledger.sqlite") as ledger:
        made = Station(ledger, folder / "policy.toml")
        tasks = [
            asyncio.create_task(made.pipeline.run()),
            asyncio.create_task(made.keeper.run()),
        ]
        try:
            await asyncio.sleep(0)
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


async def eventually(answer: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not answer():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.01)


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_keeper, "LOOK_S", 0.03)


# --- in force ----------------------------------------------------------------------------


def test_a_file_that_does_not_change_changes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path) as here:
            await here.draws(700)
            await here.keeper.reload(asked_by("admin"), How.REQUEST)
            assert (await here.firing(), await here.log()) == ([], [])

    run(test())


def test_another_limit_is_in_force_without_a_new_message(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path, AT_1100) as here:
            await here.draws(900)
            assert await here.firing() == []
            (tmp_path / "policy.toml").write_text(AT_800)
            await here.keeper.reload(asked_by("admin"), How.REQUEST)
            assert await here.firing() == ["overload"]
            _start, batch = [each for each in here.commits if each.policy_changes]
            assert [each.alert.key.rule for each in batch.changes] == ["overload"]
            (tmp_path / "policy.toml").write_text(AT_1100 + 'keep_firing = "0 s"\nclear_w=950')
            await here.keeper.reload(asked_by("admin"), How.REQUEST)
            assert await here.firing() == []

    run(test())


@pytest.mark.usefixtures("looks_often")
def test_a_changed_file_is_noticed_when_it_has_come_to_rest(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path, AT_1100) as here:
            await here.draws(900)
            (tmp_path / "policy.toml").write_text(AT_800)
            await eventually(lambda: any(each.changes for each in here.commits))
            assert await here.firing() == ["overload"]
            assert (await here.log())[-1][:2] == ("chargewatch", How.FILE)

    run(test())


def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path) as here:
            file = tmp_path / "written.toml"
            file.write_text(AT_1100)
            keeper = Stepped(
                policy_at_start(file, None),
                here.registry,
                here.engine,
                here.desk,
                lambda: here.at,
            )
            looking = asyncio.create_task(keeper.run())
            await eventually(lambda: keeper.looks is not None)
            begun = keeper.state.digest
            for half in (AT_800[:9], AT_800[:20], AT_800):
                file.write_text(half)
                await keeper.look()
                assert (keeper.state.digest, keeper.state.error) == (begun, "")
            await keeper.look()
            assert keeper.state.digest != begun
            assert not keeper.state.error
            looking.cancel()

    run(test())


def test_a_signal_has_the_file_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path, AT_1100) as here:
            (tmp_path / "policy.toml").write_text(AT_800)
            here.keeper.look_now()
            await eventually(lambda: len(here.commits) > 1)
            assert (await here.log())[-1][:2] == ("chargewatch", How.SIGNAL)

    run(test())


# --- refused -----------------------------------------------------------------------------


@pytest.mark.usefixtures("looks_often")
def test_a_wrong_file_is_refused_and_the_policy_stays(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path, AT_800) as here:
            await here.draws(900)
            before = here.registry.policies
            (tmp_path / "policy.toml").write_text(WRONG)
            with pytest.raises(PolicyFileWrong, match="a number alone says no unit"):
                await here.keeper.reload(asked_by("admin"), How.REQUEST)
            assert here.registry.policies is before
            assert await here.firing() == ["overload"]
            part = here.keeper.part()
            assert (part.ok, part.vital, part.since) == (False, False, NOON)
            assert "policy.toml:2: default.overload.hold" in part.reason
            (tmp_path / "policy.toml").write_text(WRONG + "x = 1\ny = 1\n")
            here.keeper.look_now()
            await eventually(lambda: here.keeper.part().reason.endswith("(and 2 more)"))
            assert here.keeper.state.error.count("\n") == 2
            (tmp_path / "policy.toml").write_text(AT_800)
            await eventually(lambda: here.keeper.part().ok)
            assert len(await here.log()) == 1, "nothing has changed but the start"

    run(test())


@pytest.mark.usefixtures("looks_often")
def test_a_file_that_is_gone_leaves_the_policy_as_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path, AT_800) as here:
            before = here.registry.policies
            (tmp_path / "policy.toml").unlink()
            await eventually(lambda: not here.keeper.part().ok)
            assert "No such file" in here.keeper.part().reason
            assert here.registry.policies is before

    run(test())


def test_without_a_file_there_is_nothing_to_read_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(tmp_path / "ledger.sqlite") as ledger:
            here = Station(ledger, None)
            with pytest.raises(PolicyFileWrong, match="CHARGEWATCH_POLICY_FILE"):
                await here.keeper.reload(asked_by("admin"), How.REQUEST)
            assert here.keeper.part().ok

    run(test())


# --- written down ------------------------------------------------------------------------


def test_each_change_says_who_and_what_from_what_to_what(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path) as here:
            (tmp_path / "policy.toml").write_text(f'[site."{SITE}".overload]\nact_w = 950\n')
            here.at += timedelta(minutes=1)
            await here.keeper.reload(asked_by("王"), How.REQUEST)
            here.at += timedelta(minutes=1)
            (tmp_path / "policy.toml").write_text('[area.town]\nheat.hold = "1 min"\n')
            await here.keeper.reload(asked_by("desk"), How.REQUEST)
            set_, unset = (f"site {SITE}", "overload", "act_w"), ("area town", "heat", "hold")
            assert await here.log() == [
                ("王", How.REQUEST, (Changed(*set_, None, 950.0),)),
                (
                    "desk",
                    How.REQUEST,
                    (Changed(*unset, None, "1 min"), Changed(*set_, 950.0, None)),
                ),
            ]
            assert here.keeper.state.since == NOON + timedelta(minutes=2)

    run(test())


def test_a_start_with_another_policy_is_written_down_and_one_with_the_same_is_not(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        changed_at: list[datetime | None] = []
        log: list[tuple[str, How, tuple[Changed, ...]]] = []
        for text in (AT_800, AT_800, "# said otherwise\n" + AT_800, "", ""):
            async with station(tmp_path, text) as here:
                await here.desk.ask(lambda _: None)
                log = await here.log()
                changed_at.append(here.keeper.state.since)
        hold = ("default", "overload", "hold")
        assert [(how, changes) for _, how, changes in log] == [
            (How.START, (Changed(*hold, None, "0 s"),)),
            (How.START, (Changed(*hold, "0 s", None),)),
        ]
        assert changed_at == [NOON] * 5

    run(test())


def test_a_start_with_a_wrong_file_takes_up_the_last_policy(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path, AT_800) as before:
            await before.desk.ask(lambda _: None)
        async with station(tmp_path, WRONG) as here:
            await here.draws(900)
            assert await here.firing() == ["overload"]
            assert here.registry.policies.settings() == before.registry.policies.settings()
            assert "a number alone says no unit" in here.keeper.part().reason
            assert len(await here.log()) == 1

    run(test())


def test_a_first_start_with_a_wrong_file_fails(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(WRONG)
    with pytest.raises(PolicyFileWrong, match=r"policy\.toml:2"):
        policy_at_start(tmp_path / "policy.toml", None)


def test_the_log_cannot_be_changed_and_each_line_vouches_for_all_before(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path) as here:
            for text in (AT_800, AT_1100):
                (tmp_path / "policy.toml").write_text(text)
                await here.keeper.reload(asked_by("admin"), How.REQUEST)
            for change in (
                sa.update(tables.policy_changes).values(who="nobody"),
                sa.delete(tables.policy_changes),
            ):
                with pytest.raises(sa.exc.IntegrityError, match="append-only"):
                    await here.ledger.write(methodcaller("execute", change))
            rows = await here.ledger.read(
                lambda c: c.execute(sa.select(tables.policy_changes)).all()
            )
            chain = b""
            for row in rows:
                at = to_us(row.at)
                line = [at, row.who, row.how, row.file, row.digest, row.changes, row.settings]
                chain = hashlib.sha256(chain + msgspec.json.encode(line)).digest()
                assert row.chain == chain
            assert len(rows) == 2

    run(test())


# --- orders to the engine ----------------------------------------------------------------


def test_an_order_is_carried_out_before_what_is_judged_with_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path) as here:
            seen: list[bool] = []
            await here.desk.ask(lambda batch: seen.append(batch.is_empty))
            await asyncio.gather(
                *(here.desk.ask(lambda batch: seen.append(batch.is_empty)) for _ in "abc")
            )
            assert seen == [True] * 4

    run(test())


def test_an_order_that_fails_stops_nobody_else(tmp_path: Path) -> None:
    async def test() -> None:
        async with station(tmp_path) as here:
            with pytest.raises(ZeroDivisionError):
                await here.desk.ask(lambda _: 1 // 0)
            assert await here.desk.ask(lambda batch: batch.now) == NOON

    run(test())


def test_nobody_waits_for_an_order_that_the_end_has_overtaken(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(tmp_path / "ledger.sqlite") as ledger:
            here = Station(ledger, None)
            running = asyncio.create_task(here.pipeline.run())
            await asyncio.sleep(0.05)
            waiting = asyncio.create_task(here.desk.ask(lambda _: None))
            await asyncio.sleep(0)
            running.cancel()
            async with asyncio.timeout(SOON_S):
                await asyncio.wait({running, waiting})
            assert waiting.cancelled()

    run(test())
