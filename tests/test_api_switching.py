"""Ordering cuts, and clearing latches, by the API: what it refuses, and what it keeps."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rules.readings import Reading
from tests.http_doubles import (
    ODD,
    PILE,
    READ_TOKEN,
    SMOKE,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    problem,
)

pytest_plugins = ["tests.http_fixtures"]

WRITE, READ = {"headers": bearer(WRITE_TOKEN)}, {"headers": bearer(READ_TOKEN)}
CUT = "/api/v1/cut"
ORDER = {"device": PILE, "channel": 3, "reason": "smells of burning"}


def order_cut(client: Client, **other: object) -> dict[str, Any]:
    answer = client.post(CUT, json=ORDER | other, **WRITE)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def latches(client: Client, **query: object) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/latches", params=query, **READ)
    assert answer.status_code == 200
    return list(answer.json()["latches"])


# --- what is refused ------------------------------------------------------------------


def test_who_may_only_read_switches_nothing_off(client: Client) -> None:
    problem(client.post(CUT, json=ORDER, **READ), 403)
    problem(client.post(CUT, json=ORDER), 401)
    assert client.get("/api/v1/commands", **READ).json()["commands"] == []
    assert latches(client) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, None])
def test_nothing_is_switched_off_without_a_reason(client: Client, reason: object) -> None:
    problem(client.post(CUT, json=ORDER | {"reason": reason}, **WRITE), 422)


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"device": "xuhui/renmin-lu/pile-9"}, 404),
        ({"device": SMOKE, "channel": None}, 422),
        ({"channel": 11}, 422),
        ({"channel": 0}, 422),
        ({"channel": None}, 422),
        ({"by": "somebody else"}, 422),
    ],
)
def test_what_cannot_be_switched_off_is_refused(
    client: Client, other: dict[str, object], status: int
) -> None:
    problem(client.post(CUT, json=ORDER | other, **WRITE), status)


def test_a_latch_is_not_cleared_without_a_reason_or_by_a_reader(client: Client) -> None:
    order_cut(client)
    [latch] = latches(client)
    path = f"/api/v1/latches/{latch['id']}/clear"
    problem(client.post(path, json={"reason": " "}, **WRITE), 422)
    problem(client.post(path, json={}, **WRITE), 422)
    problem(client.post(path, json={"reason": "looked at"}, **READ), 403)
    assert latches(client) == [latch]


def test_a_latch_that_is_not_there_is_not_cleared(client: Client) -> None:
    path = "/api/v1/latches/c-0/clear"
    problem(client.post(path, json={"reason": "looked at"}, **WRITE), 404)


def test_a_command_that_is_not_there_is_not_found(client: Client) -> None:
    problem(client.get("/api/v1/commands/c-0", **READ), 404)


# --- what is kept ---------------------------------------------------------------------


def test_an_order_is_kept_and_latches_the_socket(client: Client) -> None:
    command = order_cut(client)
    assert command["action"] == "switch_off"
    assert command["state"] == "ordered"
    assert command["ordered_by"] == "patrol"
    assert command["reason"] == "smells of burning"
    [listed] = client.get("/api/v1/commands", **READ).json()["commands"]
    assert listed == command
    [latch] = latches(client)
    assert (latch["device"], latch["channel"], latch["by"]) == (PILE, 3, "patrol")
    assert latch["cleared_at"] is None
    full = client.get(f"/api/v1/commands/{command['id']}", **READ).json()
    assert full["command"] == command
    assert [line["what"] for line in full["log"]] == ["command_ordered", "latched"]
    assert {line["who"] for line in full["log"]} == {"patrol"}


def test_an_order_on_its_way_is_answered_again(client: Client) -> None:
    assert order_cut(client) == order_cut(client, reason="still smells")
    assert len(latches(client)) == 1


def test_each_socket_has_a_command_and_a_latch_of_its_own(client: Client) -> None:
    first, second = order_cut(client), order_cut(client, channel=4)
    other = order_cut(client, device=ODD, channel=1)
    assert len({first["id"], second["id"], other["id"]}) == 3
    assert {latch["channel"] for latch in latches(client, device=PILE)} == {3, 4}
    listed = client.get("/api/v1/commands", params={"device": ODD}, **READ).json()
    assert [each["id"] for each in listed["commands"]] == [other["id"]]


def test_a_latch_is_cleared_once_and_the_socket_is_to_be_switched_on(client: Client) -> None:
    cut = order_cut(client)
    [latch] = latches(client)
    path = f"/api/v1/latches/{latch['id']}/clear"
    cleared = client.post(path, json={"reason": "bike removed"}, **WRITE)
    assert cleared.status_code == 200, cleared.text
    assert cleared.json()["cleared_by"] == "patrol"
    assert cleared.json()["clear_reason"] == "bike removed"
    problem(client.post(path, json={"reason": "again"}, **WRITE), 409)
    assert latches(client) == []
    assert latches(client, cleared=True) == [cleared.json()]
    release, old = client.get("/api/v1/commands", **READ).json()["commands"]
    if release["id"] == cut["id"]:  # ordered at the same moment: this clock stands still
        release, old = old, release
    assert (release["action"], release["state"]) == ("switch_on", "ordered")
    assert (old["state"], old["failure"]) == ("failed", "superseded")
    log = client.get(f"/api/v1/commands/{cut['id']}", **READ).json()["log"]
    assert [line["what"] for line in log] == [
        "command_ordered",
        "latched",
        "latch_cleared",
        "command_failed",
        "command_ordered",
    ]


def test_a_socket_that_was_cleared_can_be_cut_again_at_the_same_moment(client: Client) -> None:
    first = order_cut(client)
    [latch] = latches(client)
    client.post(f"/api/v1/latches/{latch['id']}/clear", json={"reason": "fine"}, **WRITE)
    second = order_cut(client)
    assert second["id"] != first["id"]
    [again] = latches(client)
    assert again["id"] != latch["id"]


def test_commands_are_listed_page_by_page(
    client: Client, here: World, runner: asyncio.Runner
) -> None:
    for channel in (1, 2, 3):
        order_cut(client, channel=channel)
        runner.run(here.wait(timedelta(seconds=1)))
    first = client.get("/api/v1/commands", params={"limit": 2}, **READ).json()
    rest = client.get(
        "/api/v1/commands", params={"before": first["next_before"]}, **READ
    ).json()
    channels = [each["channel"] for each in (*first["commands"], *rest["commands"])]
    assert channels == [3, 2, 1]
    assert rest["next_before"] is None


def test_a_cut_that_expires_raises_an_alarm(
    client: Client, here: World, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(PILE, Reading(channel=3, power_w=400.0)))
    command = order_cut(client)
    runner.run(here.wait(timedelta(seconds=61)))
    runner.run(here.hear(PILE, Reading(channel=3, power_w=400.0)))
    found = client.get(f"/api/v1/commands/{command['id']}", **READ).json()["command"]
    assert (found["state"], found["failure"]) == ("failed", "expired")
    alerts = client.get("/api/v1/alerts", params={"rule": "cut_failed"}, **READ).json()[
        "alerts"
    ]
    assert [alert["channel"] for alert in alerts] == [3]


@pytest.mark.parametrize("path", [CUT, "/api/v1/policy/reload"])
def test_an_order_that_is_not_kept_in_time_is_answered_with_when_to_ask_again(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("ingest.desk.ANSWERS_WITHIN_S", 0)
    answer = client.post(path, json=ORDER, **WRITE)
    assert "not on the disk" in problem(answer, 503)["detail"]
    assert int(answer.headers["Retry-After"]) > 0
