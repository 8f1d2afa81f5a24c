import asyncio

import pytest

from api.http.throttle import KEYS_MAX, Throttle
from rules.readings import Reading
from tests.http_doubles import (
    PAGE,
    READ_TOKEN,
    SMOKE,
    WRITE_TOKEN,
    Client,
    World,
    csrf_on,
    log_in,
)

pytest_plugins = ["tests.http_fixtures"]


def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(
    client: Client,
) -> None:
    response = client.post("/login", data={"token": WRITE_TOKEN}, headers=PAGE)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert WRITE_TOKEN not in cookie


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x"],
)
def test_logging_in_never_leads_away(client: Client, after: str) -> None:
    response = client.post("/login", data={"token": WRITE_TOKEN, "next": after}, headers=PAGE)
    assert response.headers["location"] == "/"


@pytest.mark.parametrize(("asked", "shown"), [("en", "en"), ("zh", "zh-CN"), ("xx", "zh-CN")])
def test_the_language_that_was_asked_for_is_that_of_the_login_page_too(
    client: Client, asked: str, shown: str
) -> None:
    sent = client.get(f"/devices?lang={asked}", headers=PAGE).headers["location"]
    assert f'<html lang="{shown}">' in client.get(sent, headers=PAGE).text


def test_guessing_tokens_takes_ever_longer_and_is_forgiven_in_the_end(
    here: World, client: Client
) -> None:
    for _ in range(3):
        assert client.post("/login", data={"token": "guess"}, headers=PAGE).status_code == 401
    for wait_s in (2, 4, 8):
        response = client.post("/login", data={"token": WRITE_TOKEN}, headers=PAGE)
        assert response.status_code == 429
        assert response.headers["retry-after"] == str(wait_s)
        here.elapsed_s += wait_s
        assert client.post("/login", data={"token": "guess"}, headers=PAGE).status_code == 401
    here.elapsed_s += 3_601
    log_in(client)


def test_a_session_ends_after_twelve_hours_or_by_logging_out(
    here: World, client: Client
) -> None:
    log_in(client)
    here.elapsed_s += 12 * 3_600 - 1
    assert client.get("/", headers=PAGE).status_code == 200
    here.elapsed_s += 1
    assert client.get("/", headers=PAGE).status_code == 303
    log_in(client)
    csrf = csrf_on(client, "/")
    assert client.post("/logout", data={"csrf": csrf}, headers=PAGE).status_code == 303
    assert client.get("/", headers=PAGE).status_code == 303


def test_the_memory_for_guesses_is_bounded() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(KEYS_MAX + 1):
        for _ in range(4):
            throttle.failed(str(number))
    assert throttle.wait_s("0") == 0
    assert throttle.wait_s("1") > 0


def test_a_post_needs_the_token_of_its_own_session(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    path = "/alerts/1/acknowledge"
    assert client.post(path, headers=PAGE).status_code == 303
    log_in(client)
    csrf = csrf_on(client, "/")
    for data in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": "ü"}):
        assert client.post(path, data=data, headers=PAGE).status_code == 403
    elsewhere = PAGE | {"Sec-Fetch-Site": "cross-site"}
    assert client.post(path, data={"csrf": csrf}, headers=elsewhere).status_code == 403
    assert client.post(path, data={"csrf": csrf}, headers=PAGE).status_code == 303
    assert "patrol" in client.get("/alerts/1", headers=PAGE).text


def test_who_may_only_read_sees_no_button_and_cannot_press_it(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    log_in(client, READ_TOKEN)
    csrf = csrf_on(client, "/")
    assert "acknowledge" not in client.get("/", headers=PAGE).text
    response = client.post("/alerts/1/acknowledge", data={"csrf": csrf}, headers=PAGE)
    assert response.status_code == 403
