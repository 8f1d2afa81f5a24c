"""Tokens that people make for their programs: never worth more than who made them."""

import asyncio

import msgspec
import pytest
import sqlalchemy as sa

from api.http.access import Caller
from api.http.people_tokens import LASTS_MAX
from ingest.ledger import tables
from ingest.ledger.audit import audit_lines
from ingest.people import Role
from tests.http_doubles import READ_TOKEN, Client, World, bearer, problem, somebody

pytest_plugins = ["tests.http_fixtures"]

API = "/api/v1"
TOKENS = f"{API}/tokens"
SEEING = {"name": "the wall", "rights": ["see"], "days": 90}


def token_of(here: World, runner: asyncio.Runner, person: str, *rights: str) -> str:
    """Return a token that somebody made on their own page."""
    caller = Caller.of_person(here.directory.people[person], "console")
    wanted = rights or tuple(caller.rights)
    tokens = here.app.state.context.tokens
    made: tuple[object, str] = runner.run(tokens.make(caller, "first", wanted, LASTS_MAX))
    return made[1]


def written(here: World, runner: asyncio.Runner, table: sa.Table) -> str:
    return runner.run(here.ledger.read(lambda c: str(c.execute(sa.select(table)).all())))


@pytest.fixture
def li(here: World, runner: asyncio.Runner) -> dict[str, str]:
    runner.run(here.add(somebody("li", Role.MANAGER)))
    return bearer(token_of(here, runner, "li"))


def test_a_token_is_good_for_its_rights_in_the_areas_of_its_person(
    client: Client, li: dict[str, str]
) -> None:
    made = client.post(TOKENS, json=SEEING, headers=li)
    assert made.status_code == 200
    secret = made.json()["secret"]
    assert secret.startswith("cw_")
    assert len(secret) > 40
    wall = bearer(secret)
    assert [a["id"] for a in client.get(f"{API}/areas", headers=wall).json()["areas"]] == [
        "xuhui"
    ]
    problem(client.get(f"{API}/sites/berlin/hof", headers=wall), 404)
    cut = {"device": "xuhui/renmin-lu/pile-1", "channel": 3, "reason": "smells"}
    problem(client.post(f"{API}/cut", json=cut, headers=wall), 403)
    assert client.post(f"{API}/cut", json=cut, headers=li).status_code == 202


def test_a_secret_is_shown_once_and_never_kept(
    here: World, client: Client, runner: asyncio.Runner, li: dict[str, str]
) -> None:
    secret = client.post(TOKENS, json=SEEING, headers=li).json()["secret"]
    assert secret not in client.get(TOKENS, headers=li).text
    for table in (tables.api_tokens, tables.audit):
        assert secret not in written(here, runner, table)
    [made, first] = runner.run(here.ledger.read(audit_lines))
    assert (made.what, made.who, made.detail) == ("token.made", "li", "the wall: see")
    assert (made.via, first.via) == ("api", "console")


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (SEEING | {"rights": ["see", "policy"]}, 422),
        (SEEING | {"rights": ["people"]}, 422),
        (SEEING | {"rights": []}, 422),
        (SEEING | {"rights": ["everything"]}, 422),
        (SEEING | {"days": 366}, 422),
        (SEEING | {"days": 0}, 422),
        (SEEING | {"name": ""}, 422),
        (SEEING | {"name": "   "}, 422),
        (SEEING | {"name": "x" * 65}, 422),
        (SEEING | {"person": "wang"}, 422),
    ],
)
def test_nobody_makes_a_token_that_is_worth_more_than_they_are(
    client: Client, li: dict[str, str], wanted: dict[str, object], status: int
) -> None:
    problem(client.post(TOKENS, json=wanted, headers=li), status)


def test_a_token_cannot_make_one_with_more_rights_or_a_longer_life(
    client: Client, li: dict[str, str]
) -> None:
    short = client.post(TOKENS, json=SEEING | {"days": 1}, headers=li).json()
    headers = bearer(short["secret"])
    problem(client.post(TOKENS, json=SEEING | {"rights": ["cut"]}, headers=headers), 422)
    child = client.post(TOKENS, json=SEEING | {"days": 365}, headers=headers).json()
    assert child["token"]["ends_at"] == short["token"]["ends_at"]


def test_an_operator_s_token_makes_none(client: Client) -> None:
    problem(client.post(TOKENS, json=SEEING, headers=bearer(READ_TOKEN)), 403)


def test_a_token_ends_at_its_time_and_when_it_is_revoked(
    here: World, client: Client, li: dict[str, str]
) -> None:
    first = client.post(TOKENS, json=SEEING | {"days": 1}, headers=li).json()
    second = client.post(TOKENS, json=SEEING, headers=li).json()
    number = second["token"]["id"]
    assert client.delete(f"{TOKENS}/{number}", headers=li).json()["revoked_at"]
    assert client.delete(f"{TOKENS}/{number}", headers=li).status_code == 200
    problem(client.get(f"{API}/areas", headers=bearer(second["secret"])), 401)
    here.elapsed_s += 86_399
    assert client.get(f"{API}/areas", headers=bearer(first["secret"])).status_code == 200
    here.elapsed_s += 1
    problem(client.get(f"{API}/areas", headers=bearer(first["secret"])), 401)


def test_a_token_loses_what_its_person_loses(
    here: World, client: Client, li: dict[str, str]
) -> None:
    everyone = here.directory.people
    change = msgspec.structs.replace
    silence = f"{API}/silences/9/end"
    problem(client.post(silence, headers=li), 404)
    everyone["li"] = change(everyone["li"], role=Role.POLICE)
    problem(client.post(silence, headers=li), 403)
    everyone["li"] = change(everyone["li"], areas=frozenset({"berlin"}))
    problem(client.get(f"{API}/sites/xuhui/renmin-lu", headers=li), 404)
    everyone["li"] = change(everyone["li"], active=False)
    problem(client.get(f"{API}/areas", headers=li), 401)


def test_others_tokens_are_seen_and_revoked_by_who_may_and_by_nobody_else(
    here: World, client: Client, runner: asyncio.Runner, li: dict[str, str]
) -> None:
    runner.run(here.add(somebody("wang", Role.MANAGER)))
    runner.run(here.add(somebody("root", Role.ADMIN, frozenset({"*"}))))
    wang = bearer(token_of(here, runner, "wang"))
    root = bearer(token_of(here, runner, "root"))
    [own] = client.get(TOKENS, headers=wang).json()["tokens"]
    assert own["person"] == "wang"
    problem(client.get(f"{TOKENS}?everybody=true", headers=li), 403)
    problem(client.delete(f"{TOKENS}/{own['id']}", headers=li), 404)
    problem(client.delete(f"{TOKENS}/99", headers=li), 404)
    everybody = client.get(f"{TOKENS}?everybody=true", headers=root).json()["tokens"]
    assert {each["person"] for each in everybody} == {"li", "wang", "root"}
    assert client.delete(f"{TOKENS}/{own['id']}", headers=root).status_code == 200
    problem(client.get(TOKENS, headers=wang), 401)


def test_nobody_has_more_than_fifty(client: Client, li: dict[str, str]) -> None:
    answers = [client.post(TOKENS, json=SEEING, headers=li).status_code for _ in range(50)]
    assert answers == [200] * 49 + [409]


def test_the_log_of_deeds_is_for_who_may_read_it(
    here: World, client: Client, runner: asyncio.Runner, li: dict[str, str]
) -> None:
    runner.run(here.add(somebody("root", Role.ADMIN, frozenset({"*"}))))
    root = bearer(token_of(here, runner, "root"))
    problem(client.get(f"{API}/audit", headers=li), 403)
    client.post(TOKENS, json=SEEING, headers=li)

    def found(query: str) -> list[str]:
        deeds = client.get(f"{API}/audit?{query}", headers=root).json()["deeds"]
        return [f"{deed['who']} {deed['what']}" for deed in deeds]

    assert found("") == ["li token.made", "root token.made", "li token.made"]
    assert found("who=root") == ["root token.made"]
    assert len(found("what=token.")) == 3
    assert found("what=token") == []
    assert found("since=2026-11-23T04:00:01Z") == []
    page = client.get(f"{API}/audit?limit=2", headers=root).json()
    assert (len(page["deeds"]), page["next_before_id"]) == (2, 2)
    assert found("before_id=2") == ["li token.made"]
