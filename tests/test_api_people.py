"""People, posts and routes over the API: what is kept, what is refused, what is never shown."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from api.http.access import Caller
from ingest.ledger import tables
from ingest.ledger.audit import audit_lines
from ingest.ledger.people import read_kept
from ingest.people import EVERYWHERE, Role, Way
from tests.http_doubles import (
    NOON,
    PAGE,
    TOKENS,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    log_in_as,
    problem,
    somebody,
)
from tests.receivers import receiving

pytest_plugins = ["tests.http_fixtures"]

API = "/api/v1"
ADMIN = bearer(WRITE_TOKEN)
XUHUI = "administrates-xuhui-alone"
OF_XUHUI = bearer(XUHUI)
PERSON: dict[str, Any] = {
    "name": "王力",
    "role": "manager",
    "areas": ["xuhui"],
    "ways": [{"via": "sms", "address": "138-0000-1111"}],
}
POST: dict[str, Any] = {"name": {"zh": "派出所", "en": "Police station"}, "area": "xuhui"}
ROUTE: dict[str, Any] = {"severity": "critical", "tiers": [["role:manager"]]}
HOOK = {"via": "webhook", "address": "https://hooks.example.org/t0ken", "secret": "s" * 24}


@pytest.fixture
def of_xuhui(here: World, runner: asyncio.Runner) -> Client:
    """Somebody with all rights, in one area."""
    person = somebody("xu", Role.ADMIN, frozenset({"xuhui"}))
    return Client(here.app_for(TOKENS | {XUHUI: Caller.of_person(person)}), runner)


def add(client: Client, kind: str, number: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(f"{API}/{kind}", json={"id": number, **body}, headers=ADMIN)
    assert response.status_code == 201, response.text
    return dict(response.json())


def wrong(
    client: Client, kind: str, body: dict[str, Any], headers: dict[str, str] = ADMIN
) -> dict[str, str]:
    """Return what is said to be wrong, by place."""
    response = client.post(f"{API}/{kind}", json={"id": "x", **body}, headers=headers)
    found = problem(response, 422)
    return {each["where"]: each["what"] for each in found["errors"]}


def deeds(here: World, runner: asyncio.Runner) -> list[tuple[str, str, str]]:
    lines = runner.run(here.ledger.read(audit_lines))
    return [(line.what, line.about, line.detail) for line in reversed(lines)]


# --- people ---------------------------------------------------------------------------------


def test_somebody_is_added_found_changed_and_deactivated(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    made = add(client, "people", "wang", PERSON | {"duty": {"hours": ["mon-fri 08:00-18:00"]}})
    assert (made["name"], made["on_duty"], made["has_password"]) == ("王力", True, False)
    assert made["duty"] == {
        "hours": ["mon-fri 08:00-18:00"],
        "zone": "Asia/Shanghai",
        "exceptions": [],
    }
    assert here.directory.people["wang"].name == "王力", "the running service knows at once"
    assert client.get(f"{API}/people/wang", headers=ADMIN).json() == made
    changed = PERSON | {"role": "police", "areas": ["xuhui", "berlin"]}
    client.put(f"{API}/people/wang", json=changed, headers=ADMIN)
    assert here.directory.people["wang"].role is Role.POLICE
    gone = client.delete(f"{API}/people/wang", headers=ADMIN).json()
    assert (gone["active"], gone["on_duty"]) == (False, False)
    assert not here.directory.people["wang"].active
    assert deeds(here, runner) == [
        ("person.made", "wang", ""),
        ("person.changed", "wang", "role areas duty"),
        ("person.changed", "wang", "active"),
    ]


def test_the_same_again_is_no_deed(here: World, client: Client, runner: asyncio.Runner) -> None:
    add(client, "people", "wang", PERSON)
    for _ in range(2):
        assert client.put(f"{API}/people/wang", json=PERSON, headers=ADMIN).status_code == 200
    assert len(deeds(here, runner)) == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"areas": ["xuhiu"]}, "areas.0"),
        ({"name": " "}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"ways": [{"via": "sms", "address": "12"}]}, "ways.0.address"),
        ({"ways": [{"via": "voice", "address": "+86 138"}]}, "ways.0.address"),
        ({"ways": [{"via": "email", "address": "wang@"}]}, "ways.0.address"),
        ({"ways": [{"via": "email", "address": "a@b.cn\nBcc: x@y.z"}]}, "ways.0.address"),
        ({"ways": [{"via": "sms", "address": "110", "secret": "s" * 20}]}, "ways.0.secret"),
        ({"ways": [{"via": "sms", "address": "110"}] * 2}, "ways.1.via"),
        ({"ways": [{"via": "sms"}]}, "ways.0.address"),
        ({"ways": [{"via": "webhook", "address": "https://a.example/hook"}]}, "ways.0.secret"),
        ({"ways": [HOOK | {"secret": "short"}]}, "ways.0.secret"),
        ({"ways": [HOOK | {"address": "ftp://a.example/hook"}]}, "ways.0.address"),
        ({"ways": [HOOK | {"address": "https://u:p@a.example/"}]}, "ways.0.address"),
        ({"ways": [HOOK | {"address": "https://a.example:22/"}]}, "ways.0.address"),
        ({"ways": [HOOK | {"address": "https://a.example/your-token"}]}, "ways.0.address"),
        ({"ways": [{"via": "ntfy", "address": "https://ntfy.example/"}]}, "ways.0.address"),
        ({"duty": {"hours": ["25:00-26:00"]}}, "duty.hours"),
        ({"duty": {"hours": ["someday 08:00-18:00"]}}, "duty.hours"),
        ({"duty": {"hours": ["08:00-18:00"], "zone": "Mars"}}, "duty.zone"),
        (
            {
                "duty": {
                    "hours": ["08:00-18:00"],
                    "exceptions": [{"from": "2026-05-03", "to": "2026-05-01"}],
                }
            },
            "duty.exceptions",
        ),
    ],
)
def test_what_is_wrong_with_somebody_is_said_by_its_place(
    client: Client, change: dict[str, Any], where: str
) -> None:
    assert list(wrong(client, "people", PERSON | change)) == [where]


def test_a_slip_of_the_pen_is_answered_with_what_was_meant(client: Client) -> None:
    said = wrong(client, "people", PERSON | {"areas": ["xuhiu"]})
    assert said["areas.0"] == 'There is no area "xuhiu" here. Did you mean "xuhui"?'


@pytest.mark.parametrize("number", ["", "Wang", "a b", "../x", "王", "x" * 65])
def test_an_id_is_plain(client: Client, number: str) -> None:
    body = {"id": number, **PERSON}
    problem(client.post(f"{API}/people", json=body, headers=ADMIN), 422)


def test_people_and_posts_share_their_ids(client: Client) -> None:
    add(client, "people", "wang", PERSON)
    add(client, "posts", "desk", POST)
    taken = client.post(f"{API}/people", json={"id": "wang", **PERSON}, headers=ADMIN)
    problem(taken, 409)
    body = {"id": "desk", **PERSON}
    found = problem(client.post(f"{API}/people", json=body, headers=ADMIN), 422)
    assert [each["where"] for each in found["errors"]] == ["id"]
    body = {"id": "wang", **POST}
    problem(client.post(f"{API}/posts", json=body, headers=ADMIN), 422)


def test_a_change_of_what_was_changed_meanwhile_is_refused(client: Client) -> None:
    read = add(client, "people", "wang", PERSON)["version"]
    other = PERSON | {"name": "Wang Li"}
    path = f"{API}/people/wang"
    assert client.put(f"{path}?version={read}", json=other, headers=ADMIN).status_code == 200
    problem(client.put(f"{path}?version={read}", json=PERSON, headers=ADMIN), 409)
    assert client.put(path, json=PERSON, headers=ADMIN).status_code == 200, "the last one wins"


def test_a_list_has_pages_and_filters(client: Client) -> None:
    for number in ("a", "b", "c"):
        add(client, "people", number, PERSON)
    add(client, "people", "d", PERSON | {"areas": ["berlin"], "role": "police"})
    first = client.get(f"{API}/people?limit=3", headers=ADMIN).json()
    assert [each["id"] for each in first["people"]] == ["a", "b", "c"]
    after = first["next_after"]
    rest = client.get(f"{API}/people?limit=3&after={after}", headers=ADMIN).json()
    assert ([each["id"] for each in rest["people"]], rest["next_after"]) == (["d"], None)
    for query in ("area=berlin", "role=police"):
        found = client.get(f"{API}/people?{query}", headers=ADMIN).json()
        assert [each["id"] for each in found["people"]] == ["d"]
    assert client.get(f"{API}/people?active=false", headers=ADMIN).json()["people"] == []


# --- secrets --------------------------------------------------------------------------------


def test_no_secret_and_no_address_that_is_one_is_ever_shown(client: Client) -> None:
    made = add(client, "people", "wang", PERSON | {"ways": [HOOK, *PERSON["ways"]]})
    assert made["ways"] == [
        {"via": "webhook", "address": "https://hooks.example.org/…", "secret_set": True},
        {"via": "sms", "address": "138-0000-1111", "secret_set": False},
    ]
    for path in ("people", "people/wang", "audit"):
        text = client.get(f"{API}/{path}", headers=ADMIN).text
        assert "t0ken" not in text
        assert HOOK["secret"] not in text


def test_a_way_that_is_sent_without_them_keeps_address_and_secret(
    here: World, client: Client
) -> None:
    add(client, "people", "wang", PERSON | {"ways": [HOOK]})

    def ways(*parts: dict[str, Any]) -> tuple[Way, ...]:
        body = PERSON | {"ways": list(parts)}
        answer = client.put(f"{API}/people/wang", json=body, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        return here.directory.people["wang"].ways

    [kept] = ways({"via": "webhook"})
    assert (kept.address, kept.secret) == (HOOK["address"], HOOK["secret"])
    [kept] = ways({"via": "webhook", "address": HOOK["address"]})
    assert kept.secret == HOOK["secret"]
    moved = {"via": "webhook", "address": "https://elsewhere.example/hook"}
    body = PERSON | {"ways": [moved]}
    answer = client.put(f"{API}/people/wang", json=body, headers=ADMIN)
    assert problem(answer, 422)["errors"][0]["where"] == "ways.0.secret", (
        "what signs for one address is not handed to another"
    )


def test_a_generated_password_lets_in_once_it_is_changed(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    add(client, "people", "wang", PERSON)
    password = client.post(f"{API}/people/wang/password", headers=ADMIN).json()["password"]
    assert log_in_as(client, "wang", password).headers["location"] == "/password"
    assert client.get(f"{API}/people/wang", headers=ADMIN).json()["has_password"]
    assert ("password.reset", "wang", "") in deeds(here, runner)
    client.delete(f"{API}/people/wang", headers=ADMIN)
    problem(client.post(f"{API}/people/wang/password", headers=ADMIN), 409)


def test_another_role_or_being_deactivated_ends_the_logins(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    add(client, "people", "wang", PERSON)
    runner.run(here.add(somebody("li", Role.MANAGER), "quite a phrase"))
    runner.run(here.add(somebody("zhou", Role.MANAGER), "quite a phrase"))
    for who, change in (("li", {"role": "police"}), ("zhou", None)):
        browser = Client(here.app, runner, f"10.0.1.{len(who)}")
        log_in_as(browser, who, "quite a phrase")
        assert browser.get("/", headers=PAGE).status_code == 200
        if change:
            client.put(f"{API}/people/{who}", json=PERSON | change, headers=ADMIN)
        else:
            client.delete(f"{API}/people/{who}", headers=ADMIN)
        assert browser.get("/", headers=PAGE).status_code == 303


# --- whose they are -------------------------------------------------------------------------


def test_the_last_administrator_of_everything_stays(client: Client) -> None:
    admin = PERSON | {"role": "admin", "areas": [EVERYWHERE]}
    add(client, "people", "wang", admin)
    path = f"{API}/people/wang"
    for change in ({"role": "manager"}, {"areas": ["xuhui"]}, {"active": False}):
        found = problem(client.put(path, json=admin | change, headers=ADMIN), 409)
        assert "last administrator" in found["detail"]
    problem(client.delete(path, headers=ADMIN), 409)
    add(client, "people", "li", admin)
    assert client.delete(path, headers=ADMIN).status_code == 200
    problem(client.delete(f"{API}/people/li", headers=ADMIN), 409)


def test_an_areas_administrator_sees_and_makes_what_is_of_the_area_alone(
    here: World, client: Client, of_xuhui: Client
) -> None:
    add(client, "people", "own", PERSON)
    add(client, "people", "both", PERSON | {"areas": ["xuhui", "berlin"]})
    add(client, "people", "all", PERSON | {"areas": [EVERYWHERE]})
    add(client, "people", "none", PERSON | {"areas": []})
    add(client, "posts", "desk", POST)
    add(client, "posts", "foreign", POST | {"area": "berlin"})
    add(client, "routes", "own", ROUTE | {"areas": ["xuhui"]})
    add(client, "routes", "everything", ROUTE)
    for kind, own, foreign in (
        ("people", "own", ("both", "all", "none")),
        ("posts", "desk", ("foreign",)),
        ("routes", "own", ("everything",)),
    ):
        found = of_xuhui.get(f"{API}/{kind}", headers=OF_XUHUI).json()[kind]
        assert [each["id"] for each in found] == [own]
        body = {"people": PERSON, "posts": POST, "routes": ROUTE | {"areas": ["xuhui"]}}[kind]
        for number in foreign:
            path = f"{API}/{kind}/{number}"
            problem(of_xuhui.get(path, headers=OF_XUHUI), 404)
            problem(of_xuhui.put(path, json=body, headers=OF_XUHUI), 404)
            problem(of_xuhui.delete(path, headers=OF_XUHUI), 404)
    problem(of_xuhui.post(f"{API}/people/all/password", headers=OF_XUHUI), 404)
    problem(of_xuhui.post(f"{API}/people/all/try", json={"via": "sms"}, headers=OF_XUHUI), 404)
    assert here.directory.people["all"].areas == {EVERYWHERE}


@pytest.mark.parametrize("areas", [[EVERYWHERE], ["berlin"], ["xuhui", "berlin"], []])
def test_nobody_gives_more_areas_than_they_have(of_xuhui: Client, areas: list[str]) -> None:
    for body in (PERSON | {"role": "admin"}, PERSON):
        assert wrong(of_xuhui, "people", body | {"areas": areas}, OF_XUHUI)
    assert wrong(of_xuhui, "routes", ROUTE | {"areas": areas or [EVERYWHERE]}, OF_XUHUI)


def test_the_right_is_needed(here: World, runner: asyncio.Runner) -> None:
    runner.run(here.add(somebody("li", Role.OPERATOR), ""))
    who = Caller.of_person(here.directory.people["li"])
    operator = Client(here.app_for({"an-operators-token": who}), runner)
    for kind in ("people", "posts", "routes"):
        answer = operator.get(f"{API}/{kind}", headers=bearer("an-operators-token"))
        problem(answer, 403)


# --- posts and routes -----------------------------------------------------------------------


def test_a_post_has_members_of_its_area(client: Client) -> None:
    add(client, "people", "wang", PERSON)
    add(client, "people", "hans", PERSON | {"areas": ["berlin"]})
    made = add(client, "posts", "desk", POST | {"members": ["wang"], "checks_per_week": 3})
    assert (made["members"], made["checks_per_week"]) == (["wang"], 3)
    said = wrong(client, "posts", POST | {"members": ["wang", "hans", "nobody"]})
    assert list(said) == ["members.1", "members.2"]


def test_a_post_that_a_route_names_is_not_deleted(client: Client) -> None:
    add(client, "posts", "desk", POST)
    add(client, "routes", "danger", ROUTE | {"tiers": [["post:desk"]]})
    found = problem(client.delete(f"{API}/posts/desk", headers=ADMIN), 409)
    assert "danger" in found["detail"]
    assert client.delete(f"{API}/routes/danger", headers=ADMIN).status_code == 204
    assert client.delete(f"{API}/posts/desk", headers=ADMIN).status_code == 204
    problem(client.get(f"{API}/posts/desk", headers=ADMIN), 404)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"tiers": [["role:king"]]}, "tiers.0.0"),
        ({"tiers": [["role:admin"], ["person:nobody"]]}, "tiers.1.0"),
        ({"tiers": [["post:nowhere"]]}, "tiers.0.0"),
        ({"tiers": [["wang"]]}, "tiers.0.0"),
        ({"tiers": [["person:hans"]], "areas": ["xuhui"]}, "tiers.0.0"),
        ({"rules": ["smoke", "smokes"]}, "rules.1"),
        ({"areas": ["nowhere"]}, "areas.0"),
        ({"hours": {"hours": ["8-18"]}}, "hours.hours"),
    ],
)
def test_what_is_wrong_with_a_route_is_said_by_its_place(
    client: Client, change: dict[str, Any], where: str
) -> None:
    add(client, "people", "hans", PERSON | {"areas": ["berlin"]})
    assert list(wrong(client, "routes", ROUTE | change)) == [where]


def test_no_route_is_called_like_an_address_of_ours(client: Client) -> None:
    response = client.post(f"{API}/routes", json={"id": "explain", **ROUTE}, headers=ADMIN)
    assert problem(response, 422)["errors"][0]["where"] == "id"


@pytest.mark.parametrize("tiers", [[], [[]], [["role:admin"]] * 10, [["role:admin"] * 51]])
def test_a_route_has_tiers_and_not_too_many(client: Client, tiers: list[list[str]]) -> None:
    body = {"id": "x", "tiers": tiers}
    problem(client.post(f"{API}/routes", json=body, headers=ADMIN), 422)


# --- explaining and trying ------------------------------------------------------------------


def test_it_is_explained_who_would_be_told_at_which_tier_and_why_others_not(
    client: Client,
) -> None:
    mail = PERSON | {"ways": [*PERSON["ways"], {"via": "email", "address": "w@example.org"}]}
    add(client, "people", "wang", mail)
    add(client, "people", "li", mail | {"duty": {"hours": ["22:00-06:00"]}})
    add(client, "people", "zhou", PERSON)
    add(client, "routes", "danger", ROUTE | {"tiers": [["person:li", "role:manager"]]})
    found = client.get(f"{API}/routes/explain?site=xuhui/renmin-lu", headers=ADMIN).json()
    assert (found["routes"], len(found["tiers"])) == (["danger"], 3)
    first = found["tiers"][0]
    assert first["told"] == [
        {"recipient": "person:wang", "name": "王力", "channel": "email:wang", "off_duty": False}
    ]
    assert [(each["recipient"], each["reason"]) for each in first["not_told"]] == [
        ("person:li", "off_duty"),
        ("person:zhou", "way_not_set_up"),
    ]
    warning = client.get(
        f"{API}/routes/explain?site=xuhui/renmin-lu&rule=warm&severity=warning", headers=ADMIN
    ).json()
    assert warning["tiers"][0]["reached_nobody"] == "no_route"
    for query, status in (("site=nowhere/x", 404), ("site=xuhui/renmin-lu&rule=x", 422)):
        problem(client.get(f"{API}/routes/explain?{query}", headers=ADMIN), status)


def test_a_test_message_says_what_the_receiver_answered_and_not_too_often(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    with receiving() as receiver:
        way = HOOK | {"address": receiver.url}
        add(client, "people", "wang", PERSON | {"ways": [way, *PERSON["ways"]]})
        path = f"{API}/people/wang/try"
        said = client.post(path, json={"via": "webhook"}, headers=ADMIN).json()
        assert said["told"], said
        [posted] = receiver.posts
    heard = posted.json
    assert heard["drill"] is True
    assert "patrol" in heard["text"]
    no_gateway = client.post(path, json={"via": "sms"}, headers=ADMIN).json()
    assert (no_gateway["told"], "gateway" in no_gateway["said"]) == (False, True)
    problem(client.post(path, json={"via": "email"}, headers=ADMIN), 409)
    client.post(path, json={"via": "sms"}, headers=ADMIN)
    problem(client.post(path, json={"via": "sms"}, headers=ADMIN), 429)
    here.elapsed_s += 60
    assert client.post(path, json={"via": "sms"}, headers=ADMIN).status_code == 200
    tried = [each for each in deeds(here, runner) if each[0] == "way.tried"]
    assert tried[:2] == [
        ("way.tried", "person:wang", "webhook: told"),
        ("way.tried", "person:wang", "sms: not told"),
    ]


def test_what_is_kept_by_a_command_and_by_the_api_is_the_same(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    add(client, "people", "wang", PERSON)
    kept = runner.run(here.ledger.read(read_kept)).people["wang"]
    assert here.directory.people["wang"] == kept
    assert kept.added_at == NOON
    rows = runner.run(here.ledger.read(lambda c: c.execute(sa.select(tables.people)).all()))
    assert [row.password for row in rows] == [""]
