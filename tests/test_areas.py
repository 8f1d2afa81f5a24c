"""Whoever answers for one area sees nothing of another: lists leave it out, the rest is 404."""

import asyncio
from datetime import timedelta

import pytest

from api.http.access import RIGHTS, Caller, Right
from ingest.ledger.audit import audit_lines
from ingest.people import Role
from rules.readings import Reading
from tests.http_doubles import (
    NOON,
    ODD,
    PILE,
    SMOKE,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    problem,
)

pytest_plugins = ["tests.http_fixtures"]

API = "/api/v1"
ENDS = (NOON + timedelta(days=1)).isoformat()


def of(area: str, *rights: Right) -> Caller:
    areas = frozenset({area} if area else set())
    return Caller(name=f"li-{area}", rights=frozenset(rights or Right), areas=areas)


OWN, FOREIGN, NOBODY = (bearer(f"token-of-somebody-in-{area}") for area in ("xuhui", "b", "-"))


@pytest.fixture
def busy(here: World, runner: asyncio.Runner) -> World:
    """Return the world with something of everything in xuhui: alert, cut, latch, silence."""
    runner.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
    runner.run(here.wait(timedelta(seconds=31)))
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    client = client_of(here, runner)
    for path, body in (
        ("cut", {"device": PILE, "channel": 3, "reason": "smells"}),
        ("silences", {"owner": "Li", "reason": "tests", "device": SMOKE, "ends": ENDS}),
    ):
        client.post(f"{API}/{path}", json=body, headers=OWN).raise_for_status()
    return here


def client_of(here: World, runner: asyncio.Runner) -> Client:
    tokens = {
        "token-of-somebody-in-xuhui": of("xuhui"),
        "token-of-somebody-in-b": of("berlin"),
        "token-of-somebody-in--": of(""),
    }
    return Client(here.app_for(tokens), runner)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sites", "sites"),
        ("devices", "devices"),
        ("areas", "areas"),
        ("alerts", "alerts"),
        ("alerts?state=firing", "alerts"),
        ("silences", "silences"),
        ("silences?which=all", "silences"),
        ("commands", "commands"),
        ("latches", "latches"),
        ("sessions?open=true", "sessions"),
    ],
)
def test_a_list_holds_ones_own_area_and_nothing_else(
    busy: World, runner: asyncio.Runner, path: str, name: str
) -> None:
    client = client_of(busy, runner)
    own = client.get(f"{API}/{path}", headers=OWN).json()[name]
    foreign = client.get(f"{API}/{path}", headers=FOREIGN).json()[name]
    assert own
    assert "berlin" not in str(own)
    assert "xuhui" not in str(foreign)
    assert client.get(f"{API}/{path}", headers=NOBODY).json()[name] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "sites/xuhui/renmin-lu", None),
        ("GET", f"devices/{PILE}", None),
        ("GET", f"readings?device={PILE}", None),
        ("GET", f"readings/aggregate?device={PILE}&quantity=power_w", None),
        ("GET", "alerts/1", None),
        ("POST", "alerts/1/acknowledge", {}),
        ("POST", "cut", {"device": PILE, "channel": 3, "reason": "smells"}),
        ("POST", "silences/1/end", None),
        ("GET", "commands/{command}", None),
        ("POST", "latches/{latch}/clear", {"reason": "looked at"}),
    ],
)
def test_what_is_foreign_is_answered_like_what_does_not_exist(
    busy: World, runner: asyncio.Runner, method: str, path: str, body: object
) -> None:
    client = client_of(busy, runner)
    [latch] = client.get(f"{API}/latches", headers=OWN).json()["latches"]
    [command] = client.get(f"{API}/commands", headers=OWN).json()["commands"]
    path = f"{API}/{path.format(latch=latch['id'], command=command['id'])}"
    for stranger in (FOREIGN, NOBODY):
        problem(client.request(method, path, json=body, headers=stranger), 404)
    assert client.request(method, path, json=body, headers=OWN).is_success


def test_nothing_can_be_asked_for_at_a_foreign_place(
    busy: World, runner: asyncio.Runner
) -> None:
    client = client_of(busy, runner)
    silence = {"owner": "Li", "reason": "tests", "device": ODD, "ends": ENDS}
    here = problem(client.post(f"{API}/silences", json=silence, headers=OWN), 422)
    nowhere = silence | {"device": "berlin/hof/nobody"}
    assert here == problem(client.post(f"{API}/silences", json=nowhere, headers=OWN), 422)
    for site in ("berlin/hof", "berlin/nowhere", ""):
        problem(client.post(f"{API}/drills", json={"site": site}, headers=OWN), 422)


def test_deeds_are_written_down_with_who_and_where(busy: World, runner: asyncio.Runner) -> None:
    client = client_of(busy, runner)
    client.post(f"{API}/alerts/1/acknowledge", json={"note": "on my way"}, headers=OWN)
    client.post(f"{API}/alerts/1/acknowledge", json={}, headers=FOREIGN)
    [seen, silenced, cut] = runner.run(busy.ledger.read(audit_lines))
    assert (cut.what, cut.about, cut.detail) == ("socket.cut", f"{PILE}#3", "smells")
    assert (silenced.what, silenced.about) == ("silence.made", "1")
    assert (seen.what, seen.about, seen.detail) == ("alert.acknowledged", "1", "on my way")
    for deed in (seen, silenced, cut):
        assert (deed.who, deed.via, deed.area) == ("li-xuhui", "api", "xuhui")


def test_no_role_but_the_admin_may_give_rights_away_or_read_what_everybody_did() -> None:
    for role, rights in RIGHTS.items():
        assert (Right.PEOPLE in rights, Right.AUDIT in rights) == (role is Role.ADMIN,) * 2


def test_what_was_set_for_places_of_other_areas_is_left_out(
    here: World, runner: asyncio.Runner
) -> None:
    here.policy_file.write_text(
        "[default.overload]\nact_w = 980\n"
        "[area.xuhui.overload]\nact_w = 970\n"
        '[site."xuhui/renmin-lu".overload]\nact_w = 950\n'
        '[site."xuhui/renmin".overload]\nact_w = 950\n'
    )
    client = client_of(here, runner)
    client.post(f"{API}/policy/reload", headers=OWN).raise_for_status()
    own = client.get(f"{API}/policy/changes", headers=OWN).json()["changes"]
    assert [value["layer"] for change in own for value in change["changes"]] == [
        "default",
        "area xuhui",
        "site xuhui/renmin-lu",
        "site xuhui/renmin",
    ]
    foreign = client.get(f"{API}/policy/changes", headers=FOREIGN).json()["changes"]
    assert [value["layer"] for change in foreign for value in change["changes"]] == ["default"]


def test_what_is_wrong_with_the_policy_is_told_to_those_who_answer_for_all(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    everywhere = bearer(WRITE_TOKEN)
    here.policy_file.write_text('[site."xuhui/renmin".overload]\nact_w = 950\n')
    client.post(f"{API}/policy/reload", headers=everywhere).raise_for_status()
    ours = client_of(here, runner)
    assert len(client.get(f"{API}/policy", headers=everywhere).json()["warnings"]) == 1
    assert ours.get(f"{API}/policy", headers=OWN).json()["warnings"] == []
    here.policy_file.write_text('[site."xuhui/renmin".overload]\nact_w = "many"\n')
    client.post(f"{API}/policy/reload", headers=everywhere)
    assert "renmin" in client.get(f"{API}/policy", headers=everywhere).json()["error"]
    assert ours.get(f"{API}/policy", headers=OWN).json()["error"] == "The file is wrong."
