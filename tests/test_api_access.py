import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from api.http.access import Access, Caller, TokensUnusable
from ingest.ledger.store import LedgerUnavailable
from tests.http_doubles import (
    PILE,
    READ_TOKEN,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    problem,
)

API = "/api/v1"
READER, WRITER = bearer(READ_TOKEN), bearer(WRITE_TOKEN)
READING = f"{API}/readings?device={PILE}"
ROUTES = [
    f"{API}/areas",
    f"{API}/sites",
    f"{API}/sites/xuhui/renmin-lu",
    f"{API}/devices",
    f"{API}/devices/{PILE}",
    READING,
    f"{API}/readings/aggregate?device={PILE}&quantity=power_w",
    f"{API}/alerts",
    f"{API}/alerts/1",
    f"{API}/quarantine",
    f"{API}/summary",
    f"{API}/metrics",
    "/metrics",
]
OPEN = [f"{API}/live", f"{API}/ready", "/health/live", "/health/ready"]

pytest_plugins = ["tests.http_fixtures"]

# --- who may ---------------------------------------------------------------------------


@pytest.mark.usefixtures("overloaded")
@pytest.mark.parametrize("path", ROUTES)
def test_every_route_wants_a_token_that_may_read(client: Client, path: str) -> None:
    assert problem(client.get(path), 401)
    assert client.get(path).headers["www-authenticate"].startswith("Bearer")
    assert problem(client.get(path, headers=bearer("guessed-and-wrong")), 401)
    assert client.get(path, headers=READER).status_code == 200
    assert client.get(path, headers=WRITER).status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_health_wants_no_token(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.usefixtures("overloaded")
def test_only_a_token_that_may_write_acknowledges(client: Client) -> None:
    path = f"{API}/alerts/1/acknowledge"
    problem(client.post(path, json={}), 401)
    problem(client.post(path, json={}, headers=READER), 403)
    assert client.post(path, json={}, headers=WRITER).status_code == 200


def test_without_any_token_nothing_but_the_pulse_is_served(
    here: World, runner: asyncio.Runner
) -> None:
    client = Client(here.app_for({}), runner)
    assert client.get(f"{API}/live").status_code == 200
    assert client.get("/health/live").status_code == 200
    for path in (*ROUTES, "/health/ready", "/", "/login", "/static/console.css"):
        assert "token" in problem(client.get(path, headers=WRITER), 503)["detail"]


def test_a_token_that_could_be_guessed_is_refused_at_the_start() -> None:
    with pytest.raises(TokensUnusable, match="desk"):
        Access.of({"secret": Caller.of_token("desk", "read")})


def test_access_keeps_no_token(here: World, runner: asyncio.Runner) -> None:
    access = here.app.state.context.access
    assert runner.run(access.grant(READ_TOKEN)) == Caller.of_token("desk", "read")
    assert READ_TOKEN not in repr(vars(access))


# --- problems and limits -----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/nothing",
        f"{API}/sites/xuhui/nowhere",
        f"{API}/devices/xuhui/renmin-lu/nobody",
        f"{API}/readings?device=xuhui/renmin-lu/nobody",
        f"{API}/alerts/99",
    ],
)
def test_what_is_not_there_is_a_problem_document(client: Client, path: str) -> None:
    problem(client.get(path, headers=READER), 404)


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/devices?limit=0",
        f"{API}/devices?limit=1001",
        f"{API}/devices?kind=toaster",
        f"{API}/devices?q={'x' * 401}",
        f"{API}/alerts?state=sleeping",
        f"{API}/alerts?limit=1001",
        f"{API}/alerts?before_id=0",
        f"{API}/alerts?before_id={2**63}",
        f"{API}/alerts/0",
        f"{API}/alerts/nought",
        f"{API}/alerts?since=2026-11-23T00:00:00",
        f"{API}/alerts?since=2026-11-23T00:00:00Z&until=2026-11-23T00:00:00Z",
        f"{READING}&since=2025-01-01T00:00:00Z&until=2026-11-23T00:00:00Z",
        f"{READING}&since=2099-01-01T00:00:00Z",
        f"{READING}&channel=257",
        f"{READING}&limit=1001",
        f"{API}/readings/aggregate?device={PILE}&quantity=relay_on",
        f"{API}/readings/aggregate?device={PILE}&quantity=power_w&step_s=1",
        f"{API}/readings/aggregate?device={PILE}&quantity=power_w&step_s=0",
        f"{API}/quarantine?limit=201",
        f"{API}/quarantine?reason=dislike",
    ],
)
def test_input_beyond_its_limits_is_a_problem_document(client: Client, path: str) -> None:
    assert problem(client.get(path, headers=READER), 422)["detail"]


@pytest.mark.usefixtures("overloaded")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"note": 7}', b'{"who": "me"}', b'{"note": "%s"}' % (b"x" * 501)],
)
def test_a_body_that_is_not_right_is_a_problem_document(client: Client, body: bytes) -> None:
    headers = WRITER | {"Content-Type": "application/json"}
    path = f"{API}/alerts/1/acknowledge"
    found = problem(client.post(path, content=body, headers=headers), 422)
    assert found["errors"][0].keys() == {"where", "what"}


def test_a_body_that_is_too_large_is_refused_said_or_unsaid(client: Client) -> None:
    async def flood() -> Any:
        for _ in range(20):
            yield b"x" * 8_192

    path, headers = f"{API}/alerts/1/acknowledge", WRITER | {"Content-Type": "application/json"}
    problem(client.post(path, content=b"x" * 70_000, headers=headers), 413)
    response = client.post(path, content=flood(), headers=headers)
    problem(response, response.status_code)
    assert response.status_code in {400, 413}


def test_a_method_that_is_not_possible_is_a_problem_document(client: Client) -> None:
    problem(client.post(f"{API}/areas", headers=WRITER), 405)


def test_what_broke_is_not_told_to_strangers(here: World, client: Client) -> None:
    here.registry.areas = None  # type: ignore[assignment]
    response = client.get(f"{API}/areas", headers=READER)
    problem(response, 500)
    assert "NoneType" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_history_that_is_down_says_try_again(here: World, client: Client) -> None:
    here.history.down = "the disk is on fire"
    response = client.get(READING, headers=READER)
    assert (
        problem(response, 503)["detail"] == "The history does not answer now. Try again soon."
    )
    assert int(response.headers["retry-after"]) > 0


def test_a_ledger_that_is_down_says_try_again(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.ledger.write(lambda c: c.execute(sa.text("DROP TABLE quarantine"))))
    with pytest.raises(LedgerUnavailable):
        runner.run(here.ledger.read(lambda c: c.execute(sa.text("SELECT * FROM quarantine"))))
    response = client.get(f"{API}/quarantine", headers=READER)
    assert "ledger" in problem(response, 503)["detail"]
    assert "quarantine" not in response.json()["detail"]
