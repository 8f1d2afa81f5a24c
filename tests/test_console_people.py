"""The pages of people: entering by forms what the API takes, and everybody's own page."""

import asyncio
import re
from typing import Any

import pytest

from ingest.people import EVERYWHERE, Role
from tests.http_doubles import (
    PAGE,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    csrf_on,
    log_in,
    log_in_as,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

PERSON = {
    "id": "wang",
    "new": "true",
    "name": "王力",
    "role": "manager",
    "areas": ["xuhui", "berlin"],
    "via": ["sms", "webhook", ""],
    "address": ["13800001111", "https://hooks.example.org/t0ken", ""],
    "secret": ["", "a-secret-of-theirs", ""],
    "hours": "workdays 08:00-18:00\nsat 09:00-12:00",
    "exceptions": "2026-07-01 2026-07-14\n2026-07-15 2026-07-15 09:00-10:00",
    "active": "true",
}
POST = {
    "id": "desk",
    "new": "true",
    "name_zh": "派出所",
    "name_en": "Police station",
    "area": "xuhui",
    "members": "wang",
    "via": ["sms"],
    "address": ["110"],
    "secret": [""],
    "checks": "3",
    "active": "true",
}
ROUTE = {
    "id": "danger",
    "new": "true",
    "areas": [EVERYWHERE],
    "severity": "critical",
    "tiers": "post:desk\nrole:manager, person:wang\n",
    "active": "true",
}


@pytest.fixture
def admin(client: Client) -> Client:
    log_in(client, WRITE_TOKEN)
    return client


def posted(client: Client, path: str, form: dict[str, Any], status: int = 303) -> str:
    form = form | {"csrf": csrf_on(client, "/people")}
    response = client.post(path, data=form, headers=PAGE)
    assert response.status_code == status, response.text
    return response.text


def seen(client: Client, path: str, lang: str = "en") -> str:
    mark = "&" if "?" in path else "?"
    response = client.get(f"{path}{mark}lang={lang}", headers=PAGE)
    assert response.status_code == 200
    return response.text


def enter_all(client: Client) -> None:
    posted(client, "/people/person", PERSON)
    posted(client, "/people/post", POST)
    posted(client, "/people/route", ROUTE)


def test_what_is_typed_is_kept_and_shown_again(here: World, admin: Client) -> None:
    enter_all(admin)
    wang = here.directory.people["wang"]
    assert (wang.name, wang.role) == ("王力", Role.MANAGER)
    assert wang.areas == {"xuhui", "berlin"}
    assert [way.address for way in wang.ways] == [
        "13800001111",
        "https://hooks.example.org/t0ken",
    ]
    form = seen(admin, "/people/person/wang")
    for text in ("workdays 08:00-18:00\nsat 09:00-12:00", "2026-07-01 2026-07-14\n2026-07-15"):
        assert text in form
    assert here.directory.posts["desk"].checks_per_week == 3
    assert here.directory.routes["danger"].tiers == (
        ("post:desk",),
        ("role:manager", "person:wang"),
    )
    assert "post:desk\nrole:manager person:wang" in seen(admin, "/people/route/danger")
    for which, word in (("people", "王力"), ("posts", "Police station"), ("routes", "danger")):
        assert word in seen(admin, f"/people?which={which}")


def test_saving_a_form_as_it_is_shown_changes_nothing_and_keeps_secrets(
    here: World, admin: Client
) -> None:
    enter_all(admin)
    before = here.directory.people["wang"]
    form = seen(admin, "/people/person/wang")
    assert "t0ken" not in form
    assert "a-secret-of-theirs" not in form
    version = re.search(r'name="version" value="([^"]+)"', form)
    assert version
    again = PERSON | {"address": ["13800001111", "", ""], "secret": ["", "", ""]}
    again |= {"version": version[1], "new": "false"}
    posted(admin, "/people/person", again)
    assert here.directory.people["wang"] == before
    posted(admin, "/people/person", again | {"name": "王力力"})
    shown = posted(admin, "/people/person", again | {"name": "王"}, 422)
    assert "It was changed meanwhile" in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "Wang"}, "编号为 1 到 64 个小写字母"),
        ({"areas": ["nowhere"]}, "这里没有辖区“nowhere”"),
        ({"address": ["12", "", ""], "via": ["sms", "", ""]}, "1: 电话号码为"),
        ({"via": ["", "email", ""]}, "1: 这不是邮箱地址"),
        ({"hours": "8 to 5"}, "无法识别的时段"),
        ({"exceptions": "soon"}, "填写有误"),
        ({"name": ""}, "填写有误"),
        ({"role": "king"}, "填写有误"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(
    here: World, admin: Client, change: dict[str, Any], said: str
) -> None:
    shown = posted(admin, "/people/person", PERSON | change, 422)
    assert said in shown
    assert 'role="alert"' in shown
    assert "sat 09:00-12:00" in shown or "hours" in change
    assert "wang" not in here.directory.people


def test_an_id_that_is_taken_and_a_post_that_is_named_are_refused_in_words(
    here: World, admin: Client
) -> None:
    enter_all(admin)
    assert "此编号已被使用" in posted(admin, "/people/person", PERSON, 422)
    assert "danger" in posted(admin, "/people/post/desk/delete", {}, 422)
    posted(admin, "/people/route/danger/delete", {})
    posted(admin, "/people/post/desk/delete", {})
    assert (here.directory.posts, here.directory.routes) == ({}, {})


def test_a_password_is_shown_once_and_lets_in(
    here: World, admin: Client, runner: asyncio.Runner
) -> None:
    enter_all(admin)
    shown = posted(admin, "/people/person/wang/password", {}, 200)
    found = re.search(r'class="given mono">([^<]+)<', shown)
    assert found
    assert found[1] not in seen(admin, "/people/person/wang")
    wang = Client(here.app, runner, "10.0.0.9")
    assert log_in_as(wang, "wang", found[1]).headers["location"] == "/password"


def test_a_way_is_tried_and_the_answer_is_shown(admin: Client) -> None:
    enter_all(admin)
    assert "没有送达" in posted(admin, "/people/person/wang/try", {"via": "sms"}, 200)
    assert "没有送达" in posted(admin, "/people/post/desk/try", {"via": "sms"}, 200)


def test_who_would_be_told_is_explained_in_words(admin: Client) -> None:
    assert "No routes yet" in seen(admin, "/people/explain")
    enter_all(admin)
    shown = seen(admin, "/people/explain?site=xuhui/renmin-lu")
    assert "If nobody answers: tier 2" in shown
    assert "Police station: This way of telling is not set up here" in shown
    assert "王力" in shown
    warning = seen(admin, "/people/explain?site=xuhui/renmin-lu&rule=warm&severity=warning")
    assert "no route is for such an alarm" in warning


def test_what_people_typed_stays_text(admin: Client) -> None:
    wicked = '<img src=x onerror="alert(1)">'
    posted(admin, "/people/person", PERSON | {"name": wicked})
    for path in ("/people", "/people/person/wang", "/people/explain"):
        assert "<img src=x" not in seen(admin, path)


def test_who_is_on_duty_now_is_named_by_area(admin: Client) -> None:
    enter_all(admin)
    shown = seen(admin, "/people")
    assert shown.index("On duty now") < shown.index("Xuhui")
    off = PERSON | {"id": "zhou", "name": "周", "hours": "22:00-06:00", "areas": ["berlin"]}
    posted(admin, "/people/person", off)
    duty = seen(admin, "/people").split('<table class="cards">')[0]
    assert ("王力" in duty, "周" in duty) == (True, False)


# --- one's own page -------------------------------------------------------------------------


@pytest.fixture
def li(here: World, client: Client, runner: asyncio.Runner) -> Client:
    runner.run(here.add(somebody("li"), "quite a phrase"))
    log_in_as(client, "li", "quite a phrase")
    return client


def test_everybody_sees_how_they_are_reached_and_may_not_change_it(li: Client) -> None:
    shown = seen(li, "/me")
    assert "you are not told of alarms" in shown
    assert "Xuhui" in shown
    assert li.get("/people", headers=PAGE).status_code == 403


def test_a_login_elsewhere_is_ended_and_a_foreign_one_is_not_there(
    here: World, li: Client, runner: asyncio.Runner
) -> None:
    other = Client(here.app, runner, "10.0.0.9")
    log_in_as(other, "li", "quite a phrase")
    found = re.search(r'name="login" value="([0-9a-f]+)"', seen(li, "/me"))
    assert found

    def end(login: str) -> int:
        form = {"csrf": csrf_on(li, "/me"), "login": login}
        return li.post("/me/logins/end", data=form, headers=PAGE).status_code

    assert other.get("/", headers=PAGE).status_code == 200
    assert end(found[1]) == 303
    assert other.get("/", headers=PAGE).status_code == 303
    for foreign in ("", "zz", "00" * 32):
        assert end(foreign) == 404


def test_a_token_is_made_shown_once_and_revoked(li: Client) -> None:
    form = {"csrf": csrf_on(li, "/me"), "name": "wall", "right": ["see"], "days": "30"}
    shown = li.post("/me/tokens", data=form, headers=PAGE).text
    found = re.search(r"cw_[A-Za-z0-9_-]+", shown)
    assert found
    assert li.get("/api/v1/alerts", headers=bearer(found[0])).status_code == 200
    page = seen(li, "/me")
    assert found[0] not in page
    number = re.search(r"/me/tokens/(\d+)/revoke", page)
    assert number
    form = {"csrf": csrf_on(li, "/me")}
    assert li.post(f"/me/tokens/{number[1]}/revoke", data=form, headers=PAGE).status_code == 303
    assert li.get("/api/v1/alerts", headers=bearer(found[0])).status_code == 401
    assert li.post("/me/tokens/999/revoke", data=form, headers=PAGE).status_code == 404
    form = {"csrf": csrf_on(li, "/me"), "name": "wall", "right": ["people"], "days": "30"}
    assert li.post("/me/tokens", data=form, headers=PAGE).status_code == 422
