"""A small world for the tests of the API and the console: real ledger, real engine."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI

from api.channels.ways import Ways
from api.drills import DrillRunner
from api.http.access import Access, Caller
from api.http.app import create_app
from api.http.throttle import Rates
from api.links import LinkKey, Links
from api.passwords import Passwords
from api.people.keeper import PeopleKeeper
from api.policy_keeper import PolicyKeeper, policy_at_start
from api.settings import Settings
from api.watch import Change, Changes, Part, Watch
from api.workings import Workings
from ingest.clock import utc_now
from ingest.desk import Desk
from ingest.journal import Entry, packed
from ingest.ledger import tables
from ingest.ledger.commit import Commit, Refused, Stored, ToTell
from ingest.ledger.store import open_ledger
from ingest.mqtt_connection import BrokerAddress
from ingest.people import Directory, Person, Role
from ingest.registry import Area, Device, Name, Registry, Site
from ingest.switching import Switching
from rules.alerts import Alert
from rules.alerts import Change as AlertChange
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.readings import DeviceId, Kind, Reading, Report
from rules.schedule import Schedule, Window
from tests.checking import silent_checks
from tests.doubles import MemoryHistory
from tests.receivers import TLS

PAGE = {"Accept": "text/html"}
"""What a browser asks for."""
CSRF = re.compile(r'name="csrf" value="([^"]+)"')

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""In Shanghai; at that moment no site of this world is closed."""
READ_TOKEN = "reads-and-nothing-else"
WRITE_TOKEN = "reads-and-also-writes"
TOKENS = {
    READ_TOKEN: Caller.of_token("desk", "read"),
    WRITE_TOKEN: Caller.of_token("patrol", "write"),
}

LINKS = Links([LinkKey(0, bytes(range(32)))])
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Does what a hasher does, and takes no time."""

SETTINGS = Settings.model_validate(
    {"outgoing": {"allow_private": True}, "smtp": {"host": "127.0.0.1", "port": 1}}
)
"""Addresses of people and posts may lead to this machine, where the tests' receivers are. There
is a mail server, and no gateway for telephones."""

PILE = DeviceId("xuhui/renmin-lu/pile-1")
SMOKE = DeviceId("xuhui/renmin-lu/smoke-1")
ODD = DeviceId("berlin/hof/Säule <b>1</b> 桩")
"""A name that needs quoting in a path and escaping on a page."""


def registry() -> Registry:
    nights = Schedule("Europe/Berlin", (Window(NOON.time().replace(hour=23), NOON.time()),))
    known = Registry([], [], [])
    known.declare(
        [
            Area(id="xuhui", name=Name("徐汇区", "Xuhui")),
            Area(id="berlin", name=Name("柏林", "Berlin")),
        ],
        [
            Site(
                id="xuhui/renmin-lu",
                area="xuhui",
                name=Name("人民路充电站", "Renmin Road station"),
            ),
            Site(
                id="berlin/hof",
                area="berlin",
                name=Name("柏林院子", "Berlin yard"),
                schedule=nights,
            ),
        ],
        [
            _device(PILE, "xuhui/renmin-lu", Kind.CHARGER, frozenset(range(1, 11))),
            _device(SMOKE, "xuhui/renmin-lu", Kind.SMOKE),
            _device(ODD, "berlin/hof", Kind.CHARGER, frozenset({1, 2})),
        ],
        NOON,
    )
    return known


def _device(
    device: DeviceId, site: str, kind: Kind, sockets: frozenset[int] = frozenset()
) -> Device:
    return Device(
        id=device,
        site=site,
        dialect="native",
        name=device,
        kind=kind,
        sockets=sockets,
        added_at=NOON,
    )


class World:
    """A watch over two sites. Its clock stands still until it is moved."""

    def __init__(self, path: Path) -> None:
        self.at, self.elapsed_s, self.serial = NOON, 0.0, 0
        self.registry, self.history, self.changes = registry(), MemoryHistory(), Changes()
        self.ledger = open_ledger(path / "ledger.sqlite")
        self.engine = Engine(*rules_in_force(), self.registry)
        self.desk = Desk(self._soon)
        self.switching = Switching(self.engine, self.registry)
        self._tasks: set[asyncio.Task[None]] = set()
        self.parts: tuple[Part, ...] = (Part("broker", ok=True), Part("ledger", ok=True))
        self.workings = Workings(data_dir=path)
        self.policy_file = path / "policy.toml"
        self.policy_file.touch()
        nowhere = BrokerAddress(host="127.0.0.1", port=1)
        self.drills = DrillRunner(self.desk, nowhere, "test", lambda: self.at, 1)
        start = policy_at_start(self.policy_file, None)
        self.directory = Directory()
        self.post_checks = silent_checks(
            self.ledger,
            self.directory,
            self.engine,
            lambda: self.at,
            lambda: self.changes.tell(Change("", alerts=True)),
        )
        self.watch = Watch(
            ledger=self.ledger,
            history=self.history,
            registry=self.registry,
            directory=self.directory,
            engine=self.engine,
            now=lambda: self.at,
            health=lambda: self.parts,
            changes=self.changes,
            desk=self.desk,
            switching=self.switching,
            workings=lambda: self.workings,
            metrics=lambda: b"chargewatch_messages_total 7.0\n",
            policy=PolicyKeeper(start, self.registry, self.engine, self.desk, lambda: self.at),
            people=PeopleKeeper(self.ledger, self.directory, self.desk, lambda: self.at),
            ways=Ways(settings=SETTINGS, now=utc_now, tls=TLS),
            drills=self.drills,
            post_checks=self.post_checks,
            links=LINKS,
            house=frozenset({"duty"}),
        )
        self.app = self.app_for(TOKENS)

    def app_for(self, tokens: dict[str, Caller], rates: Rates | None = None) -> FastAPI:
        return create_app(
            self.watch,
            Access.of(tokens),
            monotonic_s=lambda: self.elapsed_s,
            wall=lambda: NOON + timedelta(seconds=self.elapsed_s),
            rates=rates,
            passwords=Passwords(QUICK),
        )

    async def add(
        self, person: Person, password: str = "", *, must_change: bool = False
    ) -> None:
        """Make somebody known, who may log in if there is a password."""
        hashed = QUICK.hash(password) if password else ""
        row = {
            "id": person.id,
            "person": msgspec.json.encode(person),
            "password": hashed,
            "must_change": must_change,
        }
        await self.ledger.write(lambda c: c.execute(sa.insert(tables.people).values(row)))
        self.directory.people[person.id] = person

    async def hear(self, device: DeviceId, *readings: Reading) -> None:
        """Take one message, as the pipeline does: judge, commit, tell the pages."""
        self.serial += 1
        report = Report(
            device=device,
            at=self.at,
            received_at=self.at,
            identity=str(self.serial),
            readings=readings,
        )
        changes = self.engine.observe(report, self.at)
        batch = Commit(now=self.at, reports=[report], journal=packed([report]))
        await self._commit(batch, changes)

    async def wait(self, span: timedelta) -> None:
        """Let time pass; whatever has a deadline by then happens."""
        end = self.at + span
        while (due := self._next_deadline()) and due <= end:
            self.at = max(self.at, due)
            await self._commit(Commit(now=self.at), self.engine.advance(self.at))
        self.at = end

    async def refuse(self, topic: str, payload: bytes, reason: str, detail: str = "") -> None:
        self.serial += 1
        refused = Refused(self.at, topic, payload, reason, detail, str(self.serial))
        await self.ledger.commit(Commit(now=self.at, refused=[refused]))

    def _next_deadline(self) -> datetime | None:
        deadlines = (self.engine.next_deadline(), self.switching.next_deadline())
        return min((each for each in deadlines if each is not None), default=None)

    def _soon(self) -> None:
        """Take up what is on the desk, as the pipeline does when it is woken."""
        task = asyncio.ensure_future(self._carry_out())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self) -> None:
        orders, batch = self.desk.take(), Commit(now=self.at)
        for order in orders:
            order.carry_out(batch)
        changes = self.switching.take_changes() + self.engine.advance(self.at)
        await self._commit(batch, changes)
        for order in orders:
            order.answer()

    async def _commit(self, batch: Commit, changes: list[AlertChange]) -> None:
        changes = changes + self.switching.settle(frozenset(self.engine.touched), batch)
        for subject in self.engine.touched:
            stored = Stored(
                self.engine.state_of(subject),
                self.engine.alerts_of(subject),
                self.engine.firings_of(subject),
            )
            batch.states.append((str(subject), msgspec.msgpack.encode(stored)))
        self.engine.touched.clear()
        batch.changes = changes
        batch.to_tell += [_to_tell(change.alert) for change in changes]
        batch.registered = list(self.registry.take_news())
        batch.sessions = self.engine.take_ended()
        await self.ledger.commit(batch)
        await self.history.append([Entry(self.serial, self.at, tuple(batch.reports))])
        sites = {self.registry.devices[report.device].site: False for report in batch.reports}
        for site, alerts in (sites | {change.alert.site: True for change in changes}).items():
            self.changes.tell(Change(site, alerts))


def _to_tell(alert: Alert) -> ToTell:
    key = f"{alert.episode}:{alert.state}:duty"
    return ToTell(key, alert.episode, alert.state, "duty", 0, alert)


@contextmanager
def world(path: Path) -> Iterator[World]:
    made = World(path)
    try:
        yield made
    finally:
        made.ledger.close()


class Client:
    """Asks an application without a network in between; keeps cookies like a browser."""

    def __init__(self, app: Any, runner: asyncio.Runner, address: str = "10.0.0.7") -> None:
        self.app = app
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://watch")
        self._runner = runner

    def request(self, method: str, path: str, **how: object) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **how))  # type: ignore[arg-type]

    def get(self, path: str, **how: object) -> httpx.Response:
        return self.request("GET", path, **how)

    def post(self, path: str, **how: object) -> httpx.Response:
        return self.request("POST", path, **how)

    def put(self, path: str, **how: object) -> httpx.Response:
        return self.request("PUT", path, **how)

    def delete(self, path: str, **how: object) -> httpx.Response:
        return self.request("DELETE", path, **how)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document that the response must be."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    return dict(body)


def log_in(client: Client, token: str = WRITE_TOKEN, after: str = "/") -> None:
    response = client.post("/login", data={"token": token, "next": after}, headers=PAGE)
    assert response.status_code == 303
    assert response.headers["location"] == after


def somebody(
    id: str = "li",  # noqa: A002
    role: Role = Role.POLICE,
    areas: frozenset[str] = frozenset({"xuhui"}),
) -> Person:
    return Person(id=id, name="李", role=role, areas=areas, added_at=NOON)


def log_in_as(client: Client, name: str, password: str) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password}, headers=PAGE)


def csrf_on(client: Client, path: str) -> str:
    found = CSRF.search(client.get(path, headers=PAGE).text)
    assert found
    return found[1]
