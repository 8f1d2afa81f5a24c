"""`history setup` and `history status`, as somebody types them.

InfluxDB 1 is a real one. InfluxDB 2 is one only where the environment names it (then the
fixtures of all InfluxDB tests go through the same code); here a double answers as its
documentation says, and what it was asked is looked at.
"""

import asyncio
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from ingest.duckdb_history import open_duckdb
from ingest.influx_http import InfluxAddress, InfluxHttp
from ingest.influx_roles import Role, shard_of
from ingest.influx_setup import setup_of
from rules.readings import Reading
from tests.influx import Influx, influxdb
from tests.influx_double import Answer, InfluxDouble, Request, influx_double
from tests.test_history_contract import entry, report

ADMIN = "the-token-of-the-operator"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no `.env` of anybody's be read."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxdb(tmp_path_factory.mktemp("influx")) as running:
        yield running


def typed(url: str, *words: str, **environment: str) -> Result:
    settings = {
        "CHARGEWATCH_HISTORY__KIND": "influxdb",
        "CHARGEWATCH_INFLUX__URL": url,
        "CHARGEWATCH_INFLUX__DATABASE": "village",
    }
    return CliRunner().invoke(app, ("history", *words), env=settings | environment)


# --- InfluxDB 1 ------------------------------------------------------------------------------


def test_an_influxdb_1_is_set_up_and_setting_it_up_again_changes_nothing(
    server: Influx,
) -> None:
    first = typed(server.url, "setup")
    assert first.exit_code == 0, first.output
    assert "database village: made" in first.output
    again = typed(server.url, "setup")
    assert "as it should be; readings are kept 400 days" in again.output
    assert "made" not in again.output
    changed = typed(server.url, "setup", CHARGEWATCH_HISTORY__KEEP_DAYS="1")
    assert "readings are kept 1 days from now on" in changed.output
    longer = typed(server.url, "setup", CHARGEWATCH_HISTORY__KEEP_DAYS="1000")
    assert "readings are kept 1000 days from now on" in longer.output
    [policies] = server.query("SHOW RETENTION POLICIES ON village", "village")
    assert [row[:3] + row[4:] for row in policies["values"]] == [
        ["autogen", "24000h0m0s", "168h0m0s", True],
        ["long", "0s", "672h0m0s", False],
    ]


def test_a_user_of_influxdb_1_may_do_what_the_role_needs_and_no_more(
    server: Influx, tmp_path: Path
) -> None:
    files = {role: tmp_path / f"{role}.token" for role in Role}
    words = [
        word for role, file in files.items() for word in (f"--{role}-token-file", str(file))
    ]
    done = typed(server.url, "setup", *words)
    assert done.exit_code == 0, done.output
    for role, privilege in ((Role.SERVICE, "ALL PRIVILEGES"), (Role.GRAFANA, "READ")):
        user, _, password = files[role].read_text().strip().partition(":")
        assert stat.S_IMODE(files[role].stat().st_mode) == 0o600
        assert len(password) == 48
        assert password not in done.output
        [grants] = server.query(f'SHOW GRANTS FOR "{user}"')
        assert grants["values"] == [["village", privilege]]
    before = files[Role.SERVICE].read_text()
    again = typed(server.url, "setup", *words)
    assert f"{files[Role.SERVICE]}: exists already" in again.output
    assert files[Role.SERVICE].read_text() == before


def test_a_token_that_cannot_be_written_is_not_made(server: Influx, tmp_path: Path) -> None:
    file = tmp_path / "no-such-folder" / "token"
    done = typed(server.url, "setup", "--service-token-file", str(file))
    assert done.exit_code == 2
    assert str(file) in done.stderr


# --- InfluxDB 2, a double ------------------------------------------------------------------


class Influx2:
    """What the API of InfluxDB 2 says about buckets, their names in InfluxQL, and tokens."""

    def __init__(self) -> None:
        self.buckets: list[dict[str, Any]] = []
        self.names: list[dict[str, Any]] = []
        self.tokens: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Answer:
        if request.path != "/ping" and request.headers["Authorization"] != f"Token {ADMIN}":
            return Answer(401, {"code": "unauthorized", "message": "unauthorized access"})
        match request.method, request.path.split("/")[-1]:
            case "GET", "ping":
                return Answer(204, headers={"X-Influxdb-Version": "v2.7.6"})
            case "GET", "orgs":
                return Answer(200, {"orgs": [{"id": "org-1", "name": "chargewatch"}]})
            case "GET", "buckets":
                named = [each for each in self.buckets if each["name"] == request.query["name"]]
                return Answer(200, {"buckets": named})
            case "POST", "buckets":
                return self._added(self.buckets, request)
            case "PATCH", place:
                [bucket] = [each for each in self.buckets if each["id"] == place]
                bucket |= request.json
                return Answer(200, bucket)
            case "GET", "dbrps":
                return Answer(200, {"content": self.names})
            case "POST", "dbrps":
                return self._added(self.names, request)
            case "POST", "authorizations":
                return self._added(self.tokens, request, token=f"token-{len(self.tokens)}")
            case _:
                return Answer(404, {"code": "not found", "message": request.path})

    def _added(self, to: list[dict[str, Any]], request: Request, **more: str) -> Answer:
        made = {"orgID": "org-1"} | request.json | {"id": f"id-{len(to)}"} | more
        to.append(made)
        return Answer(201, made)


@pytest.fixture
def influx2() -> Iterator[tuple[Influx2, InfluxDouble]]:
    inside = Influx2()
    with influx_double(inside) as double:
        yield inside, double


def test_an_influxdb_2_gets_two_buckets_and_their_names_in_influxql(
    influx2: tuple[Influx2, InfluxDouble], tmp_path: Path
) -> None:
    inside, double = influx2
    admin = tmp_path / "admin"
    admin.write_text(f"{ADMIN}\n")
    done = typed(double.url, "setup", "--admin-token-file", str(admin))
    assert done.exit_code == 0, done.output
    assert [(each["name"], each["retentionRules"]) for each in inside.buckets] == [
        (
            "village",
            [
                {
                    "type": "expire",
                    "everySeconds": 34_560_000,
                    "shardGroupDurationSeconds": 604_800,
                }
            ],
        ),
        (
            "village/long",
            [{"type": "expire", "everySeconds": 0, "shardGroupDurationSeconds": 2_419_200}],
        ),
    ]
    assert [
        (each["database"], each["retention_policy"], each["bucketID"], each["default"])
        for each in inside.names
    ] == [("village", "autogen", "id-0", True), ("village", "long", "id-1", False)]

    asked = len(double.requests)
    again = typed(double.url, "setup", "--admin-token-file", str(admin))
    assert "made" not in again.output
    assert {each.method for each in double.requests[asked:]} == {"GET"}

    keep = {"CHARGEWATCH_HISTORY__KEEP_DAYS": "30"}
    changed = typed(double.url, "setup", "--admin-token-file", str(admin), **keep)
    assert "bucket village: readings are kept 30 days from now on" in changed.output
    assert inside.buckets[0]["retentionRules"][0]["everySeconds"] == 30 * 86_400
    assert inside.buckets[1]["retentionRules"][0]["everySeconds"] == 0


def test_a_token_of_influxdb_2_allows_what_the_role_needs_and_no_more(
    influx2: tuple[Influx2, InfluxDouble], tmp_path: Path
) -> None:
    inside, double = influx2
    service, grafana = tmp_path / "service", tmp_path / "grafana"
    files = ("--service-token-file", str(service), "--grafana-token-file", str(grafana))
    done = CliRunner().invoke(
        app,
        ("history", "setup", "--ask", *files),
        input=f"{ADMIN}\n",
        env={
            "CHARGEWATCH_HISTORY__KIND": "influxdb",
            "CHARGEWATCH_INFLUX__URL": double.url,
        },
    )
    assert done.exit_code == 0, done.output
    assert ADMIN not in done.output
    allowed = [
        {
            (each["action"], each["resource"]["type"], each["resource"].get("id"))
            for each in token["permissions"]
        }
        for token in inside.tokens
    ]
    names = ("read", "dbrp", None)
    reads = {("read", "buckets", "id-0"), ("read", "buckets", "id-1"), names}
    writes = {("write", "buckets", "id-0"), ("write", "buckets", "id-1")}
    assert allowed == [reads | writes, reads]
    assert [file.read_text() for file in (service, grafana)] == ["token-0\n", "token-1\n"]
    assert stat.S_IMODE(service.stat().st_mode) == 0o600


def test_a_token_that_may_not_set_up_is_said_and_nothing_is_left_behind(
    influx2: tuple[Influx2, InfluxDouble], tmp_path: Path
) -> None:
    inside, double = influx2
    file = tmp_path / "token"
    done = typed(
        double.url,
        *("setup", "--service-token-file", str(file)),
        CHARGEWATCH_INFLUX__TOKEN="a-token-that-only-reads",
    )
    assert done.exit_code == 2
    assert "does not accept the token: unauthorized access" in done.stderr
    assert not file.exists()
    assert inside.buckets == []


# --- Both -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "3.0.1", "0.9"])
def test_another_server_is_left_alone(version: str) -> None:
    headers = {"X-Influxdb-Version": version} if version else {}
    with influx_double(lambda _: Answer(204, headers=headers)) as double:
        done = typed(double.url, "setup")
        assert done.exit_code == 2
        assert "chargewatch sets up 1.8 and 2" in done.stderr
        assert [each.path for each in double.requests] == ["/ping"]


def test_readings_in_a_file_need_no_setting_up() -> None:
    done = typed("http://nowhere", "setup", CHARGEWATCH_HISTORY__KIND="duckdb")
    assert done.exit_code == 2
    assert "CHARGEWATCH_HISTORY__KIND" in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_without_a_token_is_said(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "admin"
    if content is not None:
        file.write_bytes(content)
    done = typed("http://nowhere", "setup", "--admin-token-file", str(file))
    assert done.exit_code == 2
    assert str(file) in done.stderr


@pytest.mark.parametrize("days", [1, 2, 30, 180, 181, 400, 36_500])
def test_a_file_of_readings_never_spans_more_than_is_kept(days: int) -> None:
    assert shard_of(timedelta(days=days)) <= timedelta(days=days)


def test_the_status_says_where_readings_are_and_how_many(server: Influx) -> None:
    before = typed(server.url, "status", CHARGEWATCH_INFLUX__DATABASE="nowhere")
    assert before.exit_code == 2
    assert "history setup" in before.stderr
    with_none = InfluxHttp(InfluxAddress(url=server.url, database="village"))
    list(setup_of(with_none).places(timedelta(days=400)))
    with_none.close()
    done = typed(server.url, "status")
    assert done.exit_code == 0, done.output
    assert f"history: {server.url}, database village" in done.output
    assert "readings: 0" in done.output


def test_the_status_of_a_file_is_said_too(tmp_path: Path) -> None:
    file = tmp_path / "history.duckdb"
    settings = {
        "CHARGEWATCH_HISTORY__KIND": "duckdb",
        "CHARGEWATCH_DATA_DIR": str(tmp_path),
    }
    before = typed("http://nowhere", "status", **settings)
    assert before.exit_code == 0, before.output
    assert not file.exists()

    async def keep() -> None:
        async with open_duckdb(file) as history:
            await history.append([entry(3, report(0, Reading(power_w=1.0)))])

    asyncio.run(keep())
    done = typed("http://nowhere", "status", **settings)
    assert done.output.splitlines() == [
        f"history: {file}",
        "readings: 1",
        "last journal entry: 3",
    ]
