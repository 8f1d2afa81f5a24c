"""Logging in by name and password: who is let in, how fast one may try, and when it ends."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher, Type
from argon2.profiles import RFC_9106_LOW_MEMORY

from api.console.login import COOKIE
from api.http.throttle import Rate, Rates
from api.passwords import HashingBusy, Passwords, Weakness, generated, weakness
from api.serving import configured
from api.settings import HttpSettings
from ingest.ledger import tables
from ingest.ledger.audit import AuditLine, audit_lines
from ingest.people import Role
from rules.readings import Reading
from tests.http_doubles import (
    PAGE,
    QUICK,
    READ_TOKEN,
    SMOKE,
    TOKENS,
    WRITE_TOKEN,
    Client,
    World,
    csrf_on,
    log_in,
    log_in_as,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

PASSWORD = "correct horse battery"
OTHER = "a quite different phrase"


@pytest.fixture
def li(here: World, runner: asyncio.Runner) -> World:
    runner.run(here.add(somebody("li"), PASSWORD))
    return here


def deeds(here: World, runner: asyncio.Runner) -> list[AuditLine]:
    return runner.run(here.ledger.read(audit_lines))


def kept(here: World, runner: asyncio.Runner, column: sa.ColumnElement[object]) -> list[object]:
    return runner.run(here.ledger.read(lambda c: list(c.scalars(sa.select(column)))))


def words(response: httpx.Response) -> list[str]:
    """Return what a login page says, without what was typed."""
    return re.sub(r' value="[^"]*"| autofocus', "", response.text).split()


# --- who is let in -------------------------------------------------------------------------


def test_name_and_password_let_a_person_in_as_who_they_are(
    li: World, client: Client, runner: asyncio.Runner
) -> None:
    response = log_in_as(client, " Li ", PASSWORD)
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert client.get("/stations/xuhui/renmin-lu", headers=PAGE).status_code == 200
    assert client.get("/stations/berlin/hof", headers=PAGE).status_code == 404
    [deed] = deeds(li, runner)
    assert (deed.who, deed.what, deed.via, deed.detail) == (
        "li",
        "login.begun",
        "console",
        "10.0.0.7",
    )


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("li", OTHER),
        ("li", ""),
        ("wang", PASSWORD),
        ("", ""),
        ("li\x00", PASSWORD),
        ("李", "x"),
    ],
)
@pytest.mark.usefixtures("li")
def test_a_wrong_name_and_a_wrong_password_get_the_same_words(
    client: Client, name: str, password: str
) -> None:
    response = log_in_as(client, name, password)
    assert response.status_code == 401
    assert COOKIE not in response.cookies
    assert words(response) == words(log_in_as(client, "nobody", "wrong"))


def test_who_is_not_active_or_has_no_password_is_not_let_in(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    gone = msgspec.structs.replace(somebody("chen"), active=False)
    runner.run(here.add(gone, PASSWORD))
    runner.run(here.add(somebody("zhou")))
    assert log_in_as(client, "chen", PASSWORD).status_code == 401
    assert log_in_as(client, "zhou", "").status_code == 401


def test_a_name_that_nobody_has_costs_a_hash_too_and_is_not_written_down(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    class Counting(PasswordHasher):
        looked_at = 0

        def verify(
            self,
            hash: str | bytes,  # noqa: A002
            password: str | bytes,
        ) -> Literal[True]:
            Counting.looked_at += 1
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    assert not runner.run(passwords.fits("", "anything"))
    assert not runner.run(passwords.fits(hasher.hash("right"), "anything"))
    assert runner.run(passwords.fits(hasher.hash("right"), "right"))
    assert Counting.looked_at == 3
    log_in_as(client, "my-password-by-mistake", "x")
    [deed] = deeds(here, runner)
    assert (deed.what, deed.who) == ("login.refused", "?")
    assert "mistake" not in str(deed)


def test_a_person_whom_a_command_has_just_made_is_known_at_the_first_login(
    li: World, client: Client
) -> None:
    li.directory.people.clear()
    assert log_in_as(client, "li", PASSWORD).status_code == 303
    assert "li" in li.directory.people


def test_a_person_s_token_opens_no_page(client: Client) -> None:
    assert client.post("/login", data={"token": "cw_" + "x" * 43}).status_code == 401


# --- how a login is kept -------------------------------------------------------------------


def test_a_restart_logs_nobody_out_and_the_ledger_holds_no_secret_of_a_login(
    li: World, client: Client, runner: asyncio.Runner
) -> None:
    cookie = log_in_as(client, "li", PASSWORD).cookies[COOKIE]
    again = Client(li.app_for(TOKENS), runner)
    headers = PAGE | {"Cookie": f"{COOKIE}={cookie}"}
    assert again.get("/", headers=headers).status_code == 200
    everything = runner.run(
        li.ledger.read(lambda c: str(c.execute(sa.select(tables.logins)).all()))
    )
    assert cookie not in everything


@pytest.mark.usefixtures("li")
def test_an_id_that_somebody_brought_along_is_never_taken_over(client: Client) -> None:
    headers = PAGE | {"Cookie": f"{COOKIE}=chosen-by-somebody-else"}
    data = {"name": "li", "password": PASSWORD}
    first = client.post("/login", data=data, headers=headers).cookies[COOKIE]
    second = log_in_as(client, "li", PASSWORD).cookies[COOKIE]
    assert len({first, second, "chosen-by-somebody-else"}) == 3


Happens = Callable[[World], None]


def _deactivated(here: World) -> None:
    li = here.directory.people["li"]
    here.directory.people["li"] = msgspec.structs.replace(li, active=False)


def _promoted(here: World) -> None:
    li = here.directory.people["li"]
    here.directory.people["li"] = msgspec.structs.replace(li, role=Role.MANAGER)


def _moved(here: World) -> None:
    li = here.directory.people["li"]
    here.directory.people["li"] = msgspec.structs.replace(li, areas=frozenset({"berlin"}))


def _removed(here: World) -> None:
    del here.directory.people["li"]


@pytest.mark.parametrize("happens", [_deactivated, _promoted, _moved, _removed])
def test_a_login_ends_when_somebody_is_no_longer_who_they_were(
    li: World, client: Client, runner: asyncio.Runner, happens: Happens
) -> None:
    log_in_as(client, "li", PASSWORD)
    assert client.get("/", headers=PAGE).status_code == 200
    happens(li)
    assert client.get("/", headers=PAGE).status_code == 303
    assert kept(li, runner, tables.logins.c.who) == []


def test_a_change_of_the_name_or_the_ways_ends_no_login(li: World, client: Client) -> None:
    log_in_as(client, "li", PASSWORD)
    person = msgspec.structs.replace(li.directory.people["li"], name="李警官", language="en")
    li.directory.people["li"] = person
    assert client.get("/", headers=PAGE).status_code == 200


def test_a_login_by_a_token_ends_with_the_token(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    only_reading = {READ_TOKEN: TOKENS[READ_TOKEN]}
    cookie = client.post("/login", data={"token": WRITE_TOKEN}, headers=PAGE).cookies[COOKIE]
    again = Client(here.app_for(only_reading), runner)
    headers = PAGE | {"Cookie": f"{COOKIE}={cookie}"}
    assert again.get("/", headers=headers).status_code == 303


def test_somebody_is_logged_in_at_twenty_places_and_no_more(
    li: World, client: Client, runner: asyncio.Runner
) -> None:
    cookies = []
    for _ in range(21):
        cookies.append(log_in_as(client, "li", PASSWORD).cookies[COOKIE])
        li.elapsed_s += 1
    sessions = li.app.state.context.sessions
    found = [runner.run(sessions.find(each)) is not None for each in cookies]
    assert found == [False] + [True] * 20


def test_own_logins_are_listed_and_ended_and_nobody_else_s(
    li: World, runner: asyncio.Runner
) -> None:
    runner.run(li.add(somebody("wang"), OTHER))
    here, there, other = (Client(li.app, runner) for _ in range(3))
    cookie = log_in_as(here, "li", PASSWORD).cookies[COOKIE]
    log_in_as(there, "li", PASSWORD)
    log_in_as(other, "wang", OTHER)
    sessions = li.app.state.context.sessions
    session = runner.run(sessions.find(cookie))
    assert session is not None
    own = runner.run(sessions.of(session.caller))
    assert [login.who for login in own] == ["li", "li"]
    [elsewhere] = [login for login in own if login.digest != session.digest]
    assert runner.run(sessions.end(session, elsewhere.digest))
    assert there.get("/", headers=PAGE).status_code == 303
    foreign = runner.run(
        li.ledger.read(
            lambda c: c.scalar(
                sa.select(tables.logins.c.digest).where(tables.logins.c.who == "wang")
            )
        )
    )
    assert not runner.run(sessions.end(session, foreign))
    assert other.get("/", headers=PAGE).status_code == 200
    assert here.get("/", headers=PAGE).status_code == 200


# --- guessing ------------------------------------------------------------------------------


def test_strangers_who_guess_never_lock_an_officer_out(
    li: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in_as(client, "li", PASSWORD)
    for number in range(40):
        log_in_as(Client(li.app, runner, f"198.51.100.{number}"), "li", "guess")
    stranger = log_in_as(Client(li.app, runner, "203.0.113.1"), "li", PASSWORD)
    assert stranger.status_code == 429
    assert int(stranger.headers["retry-after"]) <= 60
    assert log_in_as(client, "li", PASSWORD).status_code == 303, "at a known place: at once"
    for number in range(40):
        log_in_as(Client(li.app, runner, f"198.51.100.{number}"), "li", "guess")
    li.elapsed_s += 60
    elsewhere = log_in_as(Client(li.app, runner, "203.0.113.2"), "li", PASSWORD)
    assert elsewhere.status_code == 303, "elsewhere: after the pause"


def test_guesses_for_one_name_from_many_addresses_are_slowed_down(
    li: World, runner: asyncio.Runner
) -> None:
    answers = [
        log_in_as(Client(li.app, runner, f"198.51.100.{number}"), "li", "guess").status_code
        for number in range(10)
    ]
    assert answers == [401] * 3 + [429] * 7


def test_many_guesses_at_the_same_moment_are_counted_before_they_are_looked_at(
    li: World, runner: asyncio.Runner
) -> None:
    door = li.app.state.context.door

    async def storm() -> Sequence[object]:
        return await asyncio.gather(  # type: ignore[no-any-return]
            *(door.by_password("li", "guess", "198.51.100.1") for _ in range(20)),
            return_exceptions=True,
        )

    assert [answer is None for answer in runner.run(storm())].count(True) == 3


def test_an_address_of_ipv6_is_as_wide_as_a_subscriber(
    li: World, runner: asyncio.Runner
) -> None:
    answers = [
        log_in_as(Client(li.app, runner, f"2001:db8::{number}"), f"n{number}", "x").status_code
        for number in range(4)
    ]
    assert answers == [401, 401, 401, 429]


def test_strangers_cannot_fill_the_log_of_deeds(li: World, runner: asyncio.Runner) -> None:
    door = li.app.state.context.door
    for number in range(70):
        address = f"198.51.{number}.1"
        assert runner.run(door.by_password(f"name-{number}", "x", address)) is None
    assert len(deeds(li, runner)) == 60
    li.elapsed_s += 60
    runner.run(door.by_password("one-more", "x", "198.51.200.1"))
    assert deeds(li, runner)[0].detail == "198.51.200.1 (+10)"


def test_few_hashes_are_made_at_once_and_few_wait(runner: asyncio.Runner) -> None:
    passwords = Passwords(QUICK)

    async def storm() -> list[object]:
        wanted = (passwords.fits("", "x") for _ in range(100))
        return await asyncio.gather(*wanted, return_exceptions=True)

    answers = runner.run(storm())
    assert sum(isinstance(answer, HashingBusy) for answer in answers) == 80


# --- asking too much -----------------------------------------------------------------------


def test_whoever_asks_too_much_is_told_when_to_come_again(
    here: World, runner: asyncio.Runner
) -> None:
    app = here.app_for(TOKENS, Rates(address=Rate(5, 1)))
    greedy, other = Client(app, runner, "198.51.100.1"), Client(app, runner, "198.51.100.2")
    answers = [greedy.get("/api/v1/ready").status_code for _ in range(7)]
    assert answers == [200] * 5 + [429] * 2
    refused = greedy.get("/api/v1/ready")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert greedy.get("/health/live").status_code == 200, "the pulse is always there"
    assert other.get("/api/v1/ready").status_code == 200
    assert greedy.get("/login", headers=PAGE).status_code == 429
    here.elapsed_s += 2
    assert [greedy.get("/api/v1/ready").status_code for _ in range(3)] == [200, 200, 429]


def test_this_machine_itself_may_ask_what_it_likes(here: World, runner: asyncio.Runner) -> None:
    app = here.app_for(TOKENS, Rates(address=Rate(1, 1), change=Rate(1, 1)))
    for address in ("127.0.0.1", "::1"):
        local = Client(app, runner, address)
        assert {local.get("/api/v1/ready").status_code for _ in range(9)} == {200}


def test_one_caller_s_haste_is_bounded_wherever_they_ask_from(
    here: World, runner: asyncio.Runner
) -> None:
    app = here.app_for(TOKENS, Rates(caller=Rate(3, 1)))
    headers = {"Authorization": f"Bearer {READ_TOKEN}"}
    answers = [
        Client(app, runner, f"198.51.100.{n}").get("/api/v1/areas", headers=headers).status_code
        for n in range(4)
    ]
    assert answers == [200, 200, 200, 429]


def test_logins_are_taken_more_slowly_than_anything_else(
    here: World, runner: asyncio.Runner
) -> None:
    client = Client(here.app_for(TOKENS, Rates(entry=Rate(2, 1))), runner, "198.51.100.1")
    answers = [log_in_as(client, f"n{n}", "x").status_code for n in range(3)]
    assert answers == [401, 401, 429]
    assert client.get("/login", headers=PAGE).status_code == 200


@pytest.mark.parametrize(
    ("trusted", "said", "believed"),
    [
        ([], "198.51.100.9", "10.0.0.7"),
        (["10.0.0.0/24"], "198.51.100.9", "198.51.100.9"),
        (["10.0.0.0/24"], "6.6.6.6, 198.51.100.9", "198.51.100.9"),
        (["10.0.0.0/24"], "6.6.6.6, 198.51.100.9, 10.0.0.3", "198.51.100.9"),
        (["10.0.1.0/24"], "198.51.100.9", "10.0.0.7"),
        (["10.0.0.0/24"], "", "10.0.0.7"),
    ],
)
def test_a_proxy_is_believed_about_who_asks_only_if_it_is_named(
    li: World, runner: asyncio.Runner, trusted: list[str], said: str, believed: str
) -> None:
    http = HttpSettings.model_validate({"trusted_proxies": trusted})
    config = configured(li.app, http)
    config.load()
    client = Client(config.loaded_app, runner)
    headers = PAGE | {"X-Forwarded-For": said, "X-Forwarded-Proto": "https"}
    data = {"name": "li", "password": PASSWORD}
    cookie = client.post("/login", data=data, headers=headers).headers["set-cookie"]
    assert deeds(li, runner)[0].detail == believed
    assert ("Secure" in cookie) is (trusted == ["10.0.0.0/24"])


# --- passwords -----------------------------------------------------------------------------


def test_a_first_password_is_changed_before_anything_else(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.add(somebody("li"), PASSWORD, must_change=True))
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    response = log_in_as(client, "li", PASSWORD)
    assert response.headers["location"] == "/password"
    before = client.get("/", headers=PAGE)
    assert (before.status_code, before.headers["location"]) == (303, "/password")
    csrf = csrf_on(client, "/password")
    press = client.post("/alerts/1/acknowledge", data={"csrf": csrf}, headers=PAGE)
    assert press.headers["location"] == "/password"
    assert not any(deed.what == "alert.acknowledged" for deed in deeds(here, runner))
    data = {"csrf": csrf, "old": PASSWORD, "new": OTHER, "again": OTHER}
    assert client.post("/password", data=data, headers=PAGE).headers["location"] == "/"
    assert client.get("/", headers=PAGE).status_code == 200
    assert log_in_as(client, "li", PASSWORD).status_code == 401
    assert log_in_as(client, "li", OTHER).headers["location"] == "/"


def test_a_changed_password_ends_every_other_login(
    li: World, client: Client, runner: asyncio.Runner
) -> None:
    elsewhere = Client(li.app, runner)
    log_in_as(elsewhere, "li", PASSWORD)
    old = log_in_as(client, "li", PASSWORD).cookies[COOKIE]
    csrf = csrf_on(client, "/password")
    data = {"csrf": csrf, "old": PASSWORD, "new": OTHER, "again": OTHER}
    fresh = client.post("/password", data=data, headers=PAGE).cookies[COOKIE]
    assert fresh != old
    assert client.get("/", headers=PAGE).status_code == 200
    assert elsewhere.get("/", headers=PAGE).status_code == 303
    [_, changed, *_] = deeds(li, runner)
    assert (changed.what, changed.who) == ("password.changed", "li")


@pytest.mark.parametrize(
    ("old", "new", "again", "reason"),
    [
        ("wrong", OTHER, OTHER, "wrong"),
        (PASSWORD, OTHER, OTHER + "!", "differs"),
        (PASSWORD, PASSWORD, PASSWORD, "same"),
        (PASSWORD, "tiny!", "tiny!", "short"),
        (PASSWORD, "1qaz2wsx3edc", "1qaz2wsx3edc", "common"),
    ],
)
def test_a_password_that_will_not_do_changes_nothing(  # noqa: PLR0913, PLR0917
    li: World,
    client: Client,
    runner: asyncio.Runner,
    old: str,
    new: str,
    again: str,
    reason: str,
) -> None:
    before = kept(li, runner, tables.people.c.password)
    log_in_as(client, "li", PASSWORD)
    csrf = csrf_on(client, "/password")
    data = {"csrf": csrf, "old": old, "new": new, "again": again}
    response = client.post("/password?lang=en", data=data, headers=PAGE)
    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert new not in response.text, reason
    assert kept(li, runner, tables.people.c.password) == before


@pytest.mark.parametrize(
    ("password", "weak"),
    [
        ("short one", Weakness.SHORT),
        ("１２３", Weakness.SHORT),
        ("x" * 201, Weakness.LONG),
        ("13800001111", Weakness.COMMON),
        ("20261123000", Weakness.COMMON),
        ("aaaaaaaaaaaa", Weakness.COMMON),
        ("ababababab", Weakness.COMMON),
        ("QwertyUiop", Weakness.COMMON),
        ("poiuytrewq", Weakness.COMMON),
        ("ｐａｓｓｗｏｒｄ１２３", Weakness.COMMON),
        ("Chargewatch", Weakness.COMMON),
        ("wang-fei-12", Weakness.NAME),
        ("Wang-Fei2026", Weakness.NAME),
        ("correct horse battery", None),
        ("wang-fei likes old tea", None),
        ("人民路的充电桩今晚很安静", None),
    ],
)
def test_passwords_that_are_guessed_first_are_refused(
    password: str, weak: Weakness | None
) -> None:
    assert weakness(password, ("wang-fei", "王飞")) == weak


def test_a_generated_password_will_do_and_is_never_the_same() -> None:
    made = {generated() for _ in range(50)}
    assert len(made) == 50
    assert all(weakness(each, ("li",)) is None and len(each) == 23 for each in made)


def test_a_hash_of_older_parameters_is_made_anew_at_the_next_login(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.add(somebody("li"), PASSWORD))
    older = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    runner.run(
        here.ledger.write(lambda c: c.execute(sa.update(tables.people).values(password=older)))
    )
    assert log_in_as(client, "li", PASSWORD).status_code == 303
    [newer] = kept(here, runner, tables.people.c.password)
    assert newer != older
    assert not QUICK.check_needs_rehash(str(newer))
    assert log_in_as(client, "li", PASSWORD).status_code == 303


def test_what_is_kept_is_argon2id_with_the_parameters_of_rfc_9106() -> None:
    made = Passwords().made(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert RFC_9106_LOW_MEMORY.type is Type.ID


def test_a_login_shows_no_secret_where_it_is_printed(
    li: World, client: Client, runner: asyncio.Runner
) -> None:
    cookie = log_in_as(client, "li", PASSWORD).cookies[COOKIE]
    session = runner.run(li.app.state.context.sessions.find(cookie))
    assert session is not None
    assert cookie not in repr(session)
    assert session.csrf not in repr(session)
    li.elapsed_s += timedelta(hours=12).total_seconds()
    assert runner.run(li.app.state.context.sessions.find(cookie)) is None
