"""Who may order a drill by the API, and how often."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from api.drills import UNDER_WAY
from ingest.ledger.commit import Commit
from rules.alerts import Alert, AlertKey, Change, Group, GroupKind, State, Transition
from rules.cut_log import Logged
from rules.places import DRILL_DEVICE
from rules.verdict import Evidence, Severity
from tests.http_doubles import (
    PAGE,
    READ_TOKEN,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    log_in,
    problem,
)

pytest_plugins = ["tests.http_fixtures"]

DRILLS = "/api/v1/drills"
SITE = {"site": "xuhui/renmin-lu"}


def order(client: Client, body: object = SITE) -> dict[str, object]:
    answer = client.post(DRILLS, json=body, headers=bearer(WRITE_TOKEN))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_drill_is_ordered_and_followed(client: Client) -> None:
    drill = order(client)
    assert (drill["site"], drill["who"], drill["stuck_at"]) == (
        "xuhui/renmin-lu",
        "patrol",
        "published",
    )
    same = client.get(f"{DRILLS}/{drill['id']}", headers=bearer(READ_TOKEN))
    assert same.json() == drill
    problem(client.get(f"{DRILLS}/other", headers=bearer(READ_TOKEN)), 404)


def test_without_a_site_it_is_at_none_that_is_real(client: Client) -> None:
    assert order(client, {})["site"] == "_drill/drill"


def test_only_who_may_write_orders_one(client: Client) -> None:
    problem(client.post(DRILLS, json=SITE), 401)
    problem(client.post(DRILLS, json=SITE, headers=bearer(READ_TOKEN)), 403)


@pytest.mark.parametrize("body", [{"site": "no/where"}, {"drill": True}, {"site": "x" * 500}])
def test_what_cannot_be_is_refused(client: Client, body: object) -> None:
    problem(client.post(DRILLS, json=body, headers=bearer(WRITE_TOKEN)), 422)


def test_one_at_a_time(client: Client, here: World) -> None:
    order(client)
    refused = client.post(DRILLS, json=SITE, headers=bearer(WRITE_TOKEN))
    problem(refused, 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 31
    here.at += UNDER_WAY
    order(client)


def test_a_broker_that_is_away_is_the_reason(
    client: Client, here: World, runner: asyncio.Runner
) -> None:
    drill = order(client)

    with suppress(TimeoutError):
        runner.run(asyncio.wait_for(here.drills.run(), 0.5))  # nobody answers on port 1
    shown = client.get(f"{DRILLS}/{drill['id']}", headers=bearer(READ_TOKEN)).json()
    assert shown["stuck_at"] == "published"
    assert "refused" in shown["failure"].lower() or "connect" in shown["failure"].lower()
    here.at += timedelta(seconds=6)
    order(client)


def test_the_console_shows_a_drill_as_one_and_counts_none(
    client: Client, here: World, runner: asyncio.Runner
) -> None:
    alert = Alert(
        key=AlertKey("smoke", DRILL_DEVICE),
        severity=Severity.CRITICAL,
        within=(Group(GroupKind.SITE, SITE["site"]),),
        state=State.FIRING,
        began_at=here.at,
        since=here.at,
        evidence=Evidence(since=here.at),
        told=Severity.CRITICAL,
        drill=True,
    )
    logged = Logged(alert.episode, here.at, "drill", "patrol", "")
    changes = [Change(alert, Transition.FIRING)]
    runner.run(here.ledger.commit(Commit(now=here.at, changes=changes, log=[logged])))
    log_in(client)
    for path in ("/", "/stations/xuhui/renmin-lu", "/alerts/1"):
        assert '<span class="word drill">演练</span>' in client.get(path, headers=PAGE).text
    assert "由人员下令演练" in client.get("/alerts/1", headers=PAGE).text
    told = bearer(READ_TOKEN)
    assert client.get("/api/v1/summary", headers=told).json()["alerts"] == []
    [site] = [
        each
        for each in client.get("/api/v1/sites", headers=told).json()["sites"]
        if each["id"] == SITE["site"]
    ]
    assert (site["firing"], site["condition"]) == (0, "unknown"), "nothing was heard there"
    shown = client.get("/api/v1/alerts?drill=true", headers=told).json()["alerts"]
    assert [each["drill"] for each in shown] == [True]
    assert client.get("/api/v1/alerts?drill=false", headers=told).json()["alerts"] == []
