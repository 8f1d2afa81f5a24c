"""Duty-post checks through the API and on the pages."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from api.http.access import RIGHTS, Caller
from api.links import Purpose
from ingest.clock import utc_now
from ingest.ledger import post_checks as kept
from ingest.ledger.audit import audit_lines
from ingest.people import EVERYWHERE, Role
from ingest.post_checks import About, CheckState, PostCheck, Told
from ingest.registry import Name
from rules.readings import Reading
from tests.checking import asks, gate
from tests.http_doubles import (
    LINKS,
    NOON,
    PAGE,
    SMOKE,
    TOKENS,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    csrf_on,
    log_in,
    log_in_as,
    problem,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

WRITE = bearer(WRITE_TOKEN)
WICKED = "<img src=x onerror=alert(1)>"
MEMBERS_TOKEN = "the-token-of-a-member"
PASSWORD = "a long phrase of mine"


@pytest.fixture(autouse=True)
def posts(here: World) -> None:
    """Put a post into each area, and one that answers for all."""
    for post in (
        gate(id="gate", area="xuhui", members=("guard",), per_week=3),
        gate(id="hof", area="berlin"),
        gate(id="center", area=EVERYWHERE),
    ):
        here.directory.posts[post.id] = post


def past(  # noqa: PLR0913  (a check is many things)
    here: World,
    runner: asyncio.Runner,
    state: CheckState,
    took_s: float | None = None,
    *,
    post: str = "gate",
    area: str = "xuhui",
    ago: timedelta = timedelta(days=1),
    told: tuple[Told, ...] = (),
) -> PostCheck:
    """Write down a check that is over."""
    at = NOON - ago
    check = PostCheck(
        post=post,
        area=area,
        asked_at=at,
        due_at=at + timedelta(minutes=3),
        state=state,
        answered_at=None if took_s is None else at + timedelta(seconds=took_s),
        answered_by="" if took_s is None else "li",
        told=told,
    )
    return runner.run(here.ledger.write(lambda c: kept.begin_check(c, check, asks("x"))))


def begun(here: World, runner: asyncio.Runner, post: str = "gate") -> PostCheck:
    return runner.run(here.post_checks.begin(post, asks("chief")))


# --- asking and answering --------------------------------------------------------------------


def test_a_post_is_asked_and_answers_and_all_of_it_can_be_read(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    made = client.post("/api/v1/posts/gate/check", headers=WRITE).json()
    assert (made["post"], made["state"], made["asked_by"]) == ("gate", "asked", "patrol")
    assert made["name"] == {"zh": "东门岗", "en": "East gate"}
    here.at += timedelta(seconds=42)
    path = f"/api/v1/post-checks/{made['id']}"
    answered = client.post(f"{path}/answer", headers=WRITE).json()
    assert (answered["state"], answered["answered_by"]) == ("answered", "patrol")
    assert answered["answer_seconds"] == 42.0
    assert client.get(path, headers=WRITE).json() == answered
    assert client.get("/api/v1/post-checks", headers=WRITE).json()["checks"] == [answered]
    deeds = runner.run(here.ledger.read(audit_lines))
    assert [(d.who, d.via, d.what, d.about, d.area, d.detail) for d in deeds] == [
        ("patrol", "api", "check.answered", "1", "xuhui", "gate"),
        ("patrol", "api", "check.asked", "1", "xuhui", "gate"),
    ]


def test_a_post_that_is_being_asked_is_not_asked_again(client: Client) -> None:
    assert client.post("/api/v1/posts/gate/check", headers=WRITE).is_success
    refused = client.post("/api/v1/posts/gate/check", headers=WRITE)
    assert "being asked" in problem(refused, 409)["detail"]
    assert client.post("/api/v1/posts/hof/check", headers=WRITE).is_success


def test_no_post_is_asked_while_smoke_in_its_area_waits(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    for post in ("gate", "center"):
        refused = client.post(f"/api/v1/posts/{post}/check", headers=WRITE)
        assert "waits to be acknowledged" in problem(refused, 409)["detail"]
    assert client.post("/api/v1/posts/hof/check", headers=WRITE).is_success
    client.post("/api/v1/alerts/1/acknowledge", json={}, headers=WRITE)
    assert client.post("/api/v1/posts/gate/check", headers=WRITE).is_success


def test_a_post_that_is_not_there_or_not_in_service_is_refused(
    here: World, client: Client
) -> None:
    problem(client.post("/api/v1/posts/nothing/check", headers=WRITE), 404)
    here.directory.posts["gate"] = msgspec.structs.replace(
        here.directory.posts["gate"], active=False
    )
    problem(client.post("/api/v1/posts/gate/check", headers=WRITE), 409)
    problem(client.post("/api/v1/post-checks/7/answer", headers=WRITE), 404)


def test_a_member_of_the_post_may_answer_and_others_of_foreign_areas_do_not_see_it(
    here: World, runner: asyncio.Runner
) -> None:
    def asking(name: str, *areas: str, role: Role = Role.POLICE) -> Client:
        caller = Caller(name=name, person=name, rights=RIGHTS[role], areas=frozenset(areas))
        return Client(here.app_for({MEMBERS_TOKEN: caller}), runner)

    begun(here, runner)
    headers, path = bearer(MEMBERS_TOKEN), "/api/v1/post-checks/1/answer"
    problem(asking("other", "berlin").post(path, headers=headers), 404)
    problem(asking("tester", "xuhui", role=Role.TESTER).post(path, headers=headers), 403)
    answered = asking("guard", "berlin").post(path, headers=headers).json()
    assert answered["answered_by"] == "guard"


def test_a_post_for_everything_is_seen_by_those_who_answer_for_everything(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    begun(here, runner, "center")
    assert client.get("/api/v1/post-checks", headers=WRITE).json()["checks"]
    here.directory.people["li"] = li = somebody("li")
    theirs = Client(here.app_for({MEMBERS_TOKEN: Caller.of_person(li)}), runner)
    headers = bearer(MEMBERS_TOKEN)
    assert theirs.get("/api/v1/post-checks", headers=headers).json()["checks"] == []
    posts = theirs.get("/api/v1/post-checks/summary", headers=headers).json()["posts"]
    assert [each["post"] for each in posts] == ["gate"]


# --- lists and figures -----------------------------------------------------------------------


def test_checks_are_found_by_post_area_state_and_time(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    day = timedelta(days=1)
    past(here, runner, CheckState.ANSWERED, 10, ago=3 * day)
    past(here, runner, CheckState.MISSED, ago=2 * day)
    past(here, runner, CheckState.LATE, 200, post="hof", area="berlin", ago=day)

    def found(**wanted: str) -> list[int]:
        response = client.get("/api/v1/post-checks", params=wanted, headers=WRITE)
        return [each["id"] for each in response.json()["checks"]]

    assert found() == [3, 2, 1]
    assert found(post="gate") == [2, 1]
    assert found(area="berlin") == [3]
    assert found(state="missed") == [2]
    assert found(since=(NOON - 2 * day).isoformat()) == [3, 2]
    assert found(until=(NOON - 2 * day).isoformat()) == [1]
    first = client.get("/api/v1/post-checks", params={"limit": 2}, headers=WRITE).json()
    assert first["next_before_id"] == 2
    assert found(before_id="2") == [1]
    problem(client.get("/api/v1/post-checks?state=nothing", headers=WRITE), 422)


def test_a_summary_says_how_each_post_answered(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    for took_s in (20, 30, 40):
        past(here, runner, CheckState.ANSWERED, took_s)
    past(here, runner, CheckState.MISSED)
    past(here, runner, CheckState.MISSED, ago=timedelta(days=40))
    said = client.get("/api/v1/post-checks/summary", headers=WRITE).json()
    assert [each["post"] for each in said["posts"]] == ["center", "gate", "hof"]
    assert said["posts"][1] == {
        "post": "gate",
        "name": {"zh": "东门岗", "en": "East gate"},
        "area": "xuhui",
        "checks_per_week": 3.0,
        "asked": 4,
        "in_time": 3,
        "late": 0,
        "missed": 1,
        "waiting": 0,
        "median_seconds": 30.0,
        "p90_seconds": 40.0,
    }
    assert said["posts"][0]["median_seconds"] is None
    since = (NOON - timedelta(days=60)).isoformat()
    wider = client.get(
        "/api/v1/post-checks/summary", params={"since": since, "post": "gate"}, headers=WRITE
    ).json()
    assert [each["asked"] for each in wider["posts"]] == [5]


# --- the pages -------------------------------------------------------------------------------


def test_the_page_says_how_each_post_answers_and_lists_the_checks(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    told = Told(
        at=NOON, to="post:gate", channel="sms:gate", about=About.ASKED, ok=True, detail=WICKED
    )
    past(here, runner, CheckState.ANSWERED, 42, told=(told,))
    past(here, runner, CheckState.MISSED, 5000)
    log_in(client)
    text = client.get("/checks?lang=en", headers=PAGE).text
    assert "Asked 2 times: 1 in time, 0 late, 1 missed." in text
    assert "no more than 42 seconds" in text
    assert "answered afterwards" in text
    assert "asked 3 times a week on average" in text
    assert "sms:gate" in text
    assert WICKED not in text
    assert "&lt;img" in text
    missed = client.get("/checks?state=missed&lang=en", headers=PAGE).text
    assert "42 seconds</td>" not in missed


def test_without_posts_the_page_says_what_to_do(here: World, client: Client) -> None:
    here.directory.posts.clear()
    log_in(client)
    text = client.get("/checks?lang=en", headers=PAGE).text
    assert "There are no posts yet" in text
    assert "No checks" in text


def test_older_checks_are_on_a_page_of_their_own(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    for _ in range(21):
        past(here, runner, CheckState.ANSWERED, 10)
    log_in(client)
    assert 'href="/checks?before_id=2"' in client.get("/checks", headers=PAGE).text
    last = client.get("/checks?before_id=2", headers=PAGE).text
    assert last.count("<tr>") == 2  # its head, and the oldest check
    assert 'rel="next"' not in last


def test_a_post_is_asked_by_a_button_and_the_refusal_is_in_words(client: Client) -> None:
    log_in(client)
    form = {"csrf": csrf_on(client, "/checks"), "post": "gate"}
    done = client.post("/checks/begin", data=form, headers=PAGE)
    assert (done.status_code, done.headers["location"]) == (303, "/checks")
    again = client.post("/checks/begin", data=form, headers=PAGE)
    assert again.status_code == 409
    assert "该岗位正在被查岗" in again.text


def test_the_duty_desk_asks_those_who_may_answer_until_somebody_has(
    here: World, runner: asyncio.Runner
) -> None:
    runner.run(here.add(somebody("li"), PASSWORD))
    runner.run(here.add(somebody("guard", areas=frozenset({"berlin"})), PASSWORD))
    runner.run(here.add(somebody("far", areas=frozenset({"berlin"})), PASSWORD))
    runner.run(here.add(somebody("tester", Role.TESTER), PASSWORD))
    begun(here, runner)
    clients = {name: Client(here.app, runner) for name in ("li", "guard", "far", "tester")}
    for name, client in clients.items():
        log_in_as(client, name, PASSWORD)
        asked = "您在岗吗" in client.get("/", headers=PAGE).text
        assert asked is (name in {"li", "guard"}), name
    form = {"csrf": csrf_on(clients["guard"], "/"), "back": "/?area=berlin"}
    here.at += timedelta(seconds=20)
    done = clients["guard"].post("/checks/1/answer", data=form, headers=PAGE)
    assert done.headers["location"] == "/?area=berlin"
    assert "您在岗吗" not in clients["li"].get("/", headers=PAGE).text


def test_open_pages_hear_of_a_check(here: World, runner: asyncio.Runner) -> None:
    with here.changes.listening() as queue:
        begun(here, runner)
        assert queue.get_nowait().site == ""


# --- the link --------------------------------------------------------------------------------


def link_to(
    check: PostCheck, to: str = "post:gate", lasts: timedelta = timedelta(hours=1)
) -> str:
    return LINKS.make(Purpose.CHECK, check.id, to, utc_now() + lasts)


def test_a_link_answers_by_its_button_and_not_by_being_opened(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    path = link_to(begun(here, runner))
    here.at += timedelta(seconds=15)
    page = client.get(f"{path}?lang=en", headers=PAGE)
    assert "Duty check: East gate, are you there?" in page.text
    assert here.post_checks.open
    done = client.post(path, headers=PAGE)
    assert (done.status_code, done.headers["location"]) == (303, path)
    assert "East gate (by link), after 15 seconds" in client.get(path, headers=PAGE).text
    [check] = runner.run(here.ledger.read(lambda c: kept.find_checks(c, kept.CheckFilter(), 9)))
    assert (check.answered_by, check.answer_s) == ("post:gate", 15.0)
    [deed, _] = runner.run(here.ledger.read(audit_lines))
    assert (deed.who, deed.via, deed.what) == ("post:gate", "link", "check.answered")


def test_a_link_that_was_used_changes_nothing_any_more(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    path = link_to(begun(here, runner))
    client.post(path, headers=PAGE)
    here.at += timedelta(seconds=15)
    assert client.post(path, headers=PAGE).status_code == 303
    [check] = runner.run(here.ledger.read(lambda c: kept.find_checks(c, kept.CheckFilter(), 9)))
    assert check.answer_s == 0


def test_a_members_link_answers_in_their_name_for_as_long_as_they_are_one(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    check = begun(here, runner)
    for name in ("guard", "li"):
        here.directory.people[name] = somebody(name)
    assert client.post(link_to(check, "person:li"), headers=PAGE).status_code == 404
    guard = here.directory.people["guard"]
    here.directory.people["guard"] = msgspec.structs.replace(guard, active=False)
    assert client.post(link_to(check, "person:guard"), headers=PAGE).status_code == 404
    here.directory.people["guard"] = guard
    assert client.post(link_to(check, "person:guard"), headers=PAGE).status_code == 303
    [answered] = runner.run(
        here.ledger.read(lambda c: kept.find_checks(c, kept.CheckFilter(), 9))
    )
    assert answered.answered_by == "guard"


def test_a_link_of_another_kind_or_of_another_time_opens_nothing(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    check = begun(here, runner)
    alert = LINKS.make(Purpose.ALERT, check.id, "", utc_now() + timedelta(hours=1))
    forged = link_to(check)[:-4] + "AAAA"
    nowhere = LINKS.make(Purpose.CHECK, 99, "", utc_now() + timedelta(hours=1))
    for path in (f"/a/c/{alert.rpartition('/')[2]}", forged, nowhere):
        for ask in (client.get, client.post):
            response = ask(path, headers=PAGE)
            assert response.status_code == 404
            assert "链接无效" in response.text
    expired = client.post(link_to(check, lasts=timedelta(minutes=-2)), headers=PAGE)
    assert expired.status_code == 410
    assert "链接已过期" in expired.text
    foreign = client.post(link_to(check), headers=PAGE | {"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    assert here.post_checks.open


def test_a_name_of_a_post_stays_text(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    here.directory.posts["gate"] = msgspec.structs.replace(
        here.directory.posts["gate"], name=Name(WICKED, WICKED)
    )
    path = link_to(begun(here, runner))
    log_in(client, token=next(token for token in TOKENS if token == WRITE_TOKEN))
    for each in ("/", "/checks", path):
        text = client.get(each, headers=PAGE).text
        assert WICKED not in text
        assert "&lt;img" in text
