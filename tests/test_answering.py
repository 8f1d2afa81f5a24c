"""Answering by the link of a notification: by name, once, by whoever may and nobody else."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from api.announce import Composer, handed_to
from api.answering import AnswerLinks
from api.console.answering import NAME_COOKIE
from api.http.throttle import Rates
from api.links import LASTS, LinkKey, Links, Purpose
from ingest.ledger import outbox, tables
from ingest.ledger.audit import audit_lines
from ingest.ledger.commit import Commit
from ingest.ledger.outbox import Due
from ingest.people import Person, Post, Role, Via, Way
from ingest.registry import Name
from rules.readings import Reading
from tests.http_doubles import LINKS, NOON, PAGE, SMOKE, TOKENS, Client, World, somebody
from tests.test_handling import log_of, picture

pytest_plugins = ["tests.http_fixtures"]
pytestmark = pytest.mark.usefixtures("smoking")

HOSTILE = "<img src=x onerror=alert(1)>\r\nSet-Cookie: a=b\u202e"
SMS = Way(via=Via.SMS, address="13800000000")
LI = replace(somebody("li"), name="李伟", ways=(SMS,))
GATE = Post(
    id="gate", name=Name("门卫", "Gate"), area="xuhui", members=("li", "left"), ways=(SMS,)
)


@pytest.fixture
def smoking(here: World, runner: asyncio.Runner) -> World:
    """A world with one smoke alarm, of which a channel, a person and a post are told."""
    for person in (
        LI,
        replace(somebody("left"), active=False, name="Left"),
        replace(somebody("tester", Role.TESTER), ways=(SMS,)),
    ):
        runner.run(here.add(person))
    here.directory.posts["gate"] = GATE
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    [alert] = here.engine.open_alerts()
    told = [
        replace(each, idempotency_key=f"{recipient}:{each.idempotency_key}")
        for recipient in ("person:li", "person:tester", "post:gate")
        for each in handed_to(here.directory, alert, recipient, NOON)
    ]
    firing = [replace(each, transition="firing") for each in told]
    runner.run(here.ledger.commit(Commit(now=here.at, to_tell=firing)))
    return here


def due(here: World, runner: asyncio.Runner) -> dict[str, Due]:
    """Return the notifications, by who hears of them."""
    rows = runner.run(here.ledger.read(lambda c: outbox.waiting_after(c, 0, 0, 100)))
    return {row.who: row for row in rows}


def path_for(here: World, runner: asyncio.Runner, who: str, language: str = "zh") -> str:
    links = AnswerLinks(
        links=LINKS, directory=here.directory, console_url="http://watch/", wall=lambda: NOON
    )
    return links.url_for(due(here, runner)[who], language).removeprefix("http://watch")


def shown(client: Client, path: str) -> httpx.Response:
    return client.get(path, headers=PAGE)


def answer(client: Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data=form, headers=PAGE)


def acknowledged_by(here: World, runner: asyncio.Runner) -> str | None:
    asked = sa.select(tables.alerts.c.acknowledged_by)
    return runner.run(here.ledger.read(lambda c: c.scalar(asked)))


def used(here: World, runner: asyncio.Runner) -> Sequence[object]:
    asked = sa.select(tables.links.c.used_by)
    return runner.run(here.ledger.read(lambda c: list(c.scalars(asked))))


# --- who -------------------------------------------------------------------------------------


def test_a_person_answers_by_their_name_with_one_press(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li", "en")
    page = shown(client, path)
    assert page.status_code == 200
    for words in ("Smoke", "李伟", "renmin", "Acknowledge", "This link is good until"):
        assert words in page.text or words.lower() in page.text.lower(), words
    assert answer(client, path).status_code == 303
    assert acknowledged_by(smoking, runner) == "li"
    after = shown(client, path).text
    assert "李伟 answered by this link" in after
    assert '<button class="primary big">' not in after
    [deed, *_] = runner.run(smoking.ledger.read(audit_lines))
    assert (deed.who, deed.via, deed.what, deed.area) == (
        "li",
        "link",
        "alert.acknowledged",
        "xuhui",
    )


def test_what_is_answered_escalates_no_further(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    answer(client, path_for(smoking, runner, "person:li"))
    runner.run(smoking.wait(timedelta(hours=1)))
    tier = runner.run(smoking.ledger.read(lambda c: c.scalar(sa.select(tables.alerts.c.tier))))
    assert tier == 1


def test_where_many_read_somebody_says_who_they_are(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "duty")
    nameless = answer(client, path, name=" \r\n ")
    assert nameless.status_code == 422
    assert "请填写姓名" in nameless.text
    assert acknowledged_by(smoking, runner) is None
    assert used(smoking, runner) == []
    assert answer(client, path, name="王芳").status_code == 303
    assert acknowledged_by(smoking, runner) == "王芳 via duty"


def test_a_name_is_remembered_by_the_browser_for_links_alone(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "duty")
    cookie = answer(client, path, name="王芳").headers["set-cookie"]
    flags = {flag.strip().casefold() for flag in cookie.split(";")}
    assert {"httponly", "samesite=lax", "path=/a/"} <= flags
    kept = cookie.partition(";")[0]
    assert kept.startswith(f"{NAME_COOKIE}=")
    page = client.get(path, headers=PAGE | {"Cookie": kept}).text
    assert 'value="王芳"' in page


def test_at_a_post_one_of_its_members_is_chosen_or_somebody_else_types(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "post:gate")
    page = shown(client, path).text
    assert '<option value="李伟">' in page
    assert "Left" not in page  # no longer active
    assert answer(client, path, who="nobody of them").status_code == 422
    assert answer(client, path, who="李伟", name="ignored").status_code == 303
    assert acknowledged_by(smoking, runner) == "李伟 via 门卫"


def test_nobody_who_types_a_name_becomes_a_known_person(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    answer(client, path_for(smoking, runner, "duty"), name="li")
    assert acknowledged_by(smoking, runner) == "li via duty"


def test_a_hostile_name_stays_text_and_is_cut(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "duty")
    response = answer(client, path, name=HOSTILE + "x" * 100)
    assert response.status_code == 303
    assert len(response.headers.get_list("set-cookie")) == 1
    name = acknowledged_by(smoking, runner) or ""
    assert name.endswith(" via duty")
    assert name.isprintable()
    assert len(name) <= 50
    page = shown(client, path).text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert answer(client, path, name="x" * 201).status_code == 422


# --- once ------------------------------------------------------------------------------------


def test_fetching_a_link_answers_nothing_however_often(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li")
    before = log_of(smoking, runner)
    for agent in ("DingTalkBot", "Mail-Scanner/1.0", "facebookexternalhit", "curl"):
        headers = {"User-Agent": agent, "Accept": "*/*"}
        assert client.get(path, headers=headers).status_code == 200
    for method in ("HEAD", "OPTIONS", "PUT"):
        client.request(method, path)
    assert log_of(smoking, runner) == before
    assert acknowledged_by(smoking, runner) is None
    assert used(smoking, runner) == []


def test_a_second_use_does_nothing_and_says_who_was_first(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "duty", "en")
    assert answer(client, path, name="first").status_code == 303
    after = log_of(smoking, runner)
    again = answer(client, path, name="second")
    assert again.status_code == 409
    assert "This did nothing" in again.text
    assert "first via duty answered by this link" in again.text
    assert log_of(smoking, runner) == after
    assert acknowledged_by(smoking, runner) == "first via duty"


def test_of_many_at_once_one_has_answered(smoking: World, runner: asyncio.Runner) -> None:
    path = path_for(smoking, runner, "duty")

    async def all_at_once() -> list[int]:
        transport = httpx.ASGITransport(smoking.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://watch") as client:
            asked = (client.post(path, data={"name": f"n{k}"}, headers=PAGE) for k in range(8))
            return [response.status_code for response in await asyncio.gather(*asked)]

    assert sorted(runner.run(all_at_once())) == [303] + [409] * 7
    assert [what for what, _, _ in log_of(smoking, runner)].count("acknowledged") == 1
    deeds = runner.run(smoking.ledger.read(audit_lines))
    assert [deed.what for deed in deeds].count("alert.acknowledged") == 1
    assert len(used(smoking, runner)) == 1


def test_a_link_of_an_alert_that_another_has_answered_says_who(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    answer(client, path_for(smoking, runner, "person:li"))
    other = path_for(smoking, runner, "duty", "en")
    assert "Acknowledged by 李伟" in shown(client, other).text
    assert answer(client, other, name="late").status_code == 409
    assert acknowledged_by(smoking, runner) == "li"
    assert len(used(smoking, runner)) == 1


# --- not any more ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now",
    [
        replace(LI, active=False),
        replace(LI, areas=frozenset({"berlin"})),
        replace(LI, role=Role.TESTER),
        None,
    ],
    ids=["left", "elsewhere", "may not", "gone"],
)
def test_a_link_of_somebody_who_may_not_answer_any_more_is_refused(
    smoking: World, client: Client, runner: asyncio.Runner, now: Person | None
) -> None:
    path = path_for(smoking, runner, "person:li", "en")
    if now is None:
        del smoking.directory.people["li"]
    else:
        smoking.directory.people["li"] = now
    for response in (shown(client, path), answer(client, path)):
        assert response.status_code == 410
        assert "no longer good" in response.text
        assert "Smoke" not in response.text
    assert acknowledged_by(smoking, runner) is None


@pytest.mark.parametrize(
    "now",
    [replace(GATE, active=False), replace(GATE, area="berlin")],
    ids=["closed", "elsewhere"],
)
def test_a_link_of_a_post_that_may_not_answer_any_more_is_refused(
    smoking: World, client: Client, runner: asyncio.Runner, now: Post
) -> None:
    path = path_for(smoking, runner, "post:gate")
    smoking.directory.posts["gate"] = now
    assert answer(client, path, name="x").status_code == 410


def test_a_link_of_a_channel_that_was_switched_off_is_refused(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    row = tables.outbox.c
    change = sa.update(tables.outbox).where(row.channel == "duty").values(channel="old robot")
    runner.run(smoking.ledger.write(lambda c: c.execute(change)))
    path = path_for(smoking, runner, "old robot")
    assert shown(client, path).status_code == 410


def test_a_link_expires(smoking: World, client: Client, runner: asyncio.Runner) -> None:
    path = path_for(smoking, runner, "person:li", "en")
    smoking.elapsed_s = LASTS.total_seconds()
    for response in (shown(client, path), answer(client, path)):
        assert response.status_code == 410
        assert "expired" in response.text
    assert acknowledged_by(smoking, runner) is None


def test_forged_links_and_those_of_others_open_nothing_and_say_nothing(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    good = path_for(smoking, runner, "person:li")
    ends = NOON + LASTS
    row = due(smoking, runner)["person:li"]
    mark = LINKS.read(good.rpartition("/")[2], Purpose.ALERT, NOON)
    assert not isinstance(mark, str)
    stranger = Links([LinkKey(0, b"z" * 32)])
    forged = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        stranger.make(Purpose.ALERT, row.id, mark.to, ends),
        LINKS.make(Purpose.ALERT, row.id + 1, mark.to, ends),
        LINKS.make(Purpose.ALERT, 999, mark.to, ends),
        "/a/" + LINKS.make(Purpose.CHECK, row.id, mark.to, ends).rpartition("/")[2],
        "/a/1",
        "/a/%00",
        "/a/..%2f..%2fetc",
    ]
    said = {
        (response.status_code, response.text)
        for path in forged
        for response in (shown(client, path), answer(client, path, name="x"))
    }
    texts = {text.replace(path, "") for path in forged for _, text in said}
    assert {status for status, _ in said} == {404}
    assert all("Smoke" not in text and "李伟" not in text for text in texts)
    assert acknowledged_by(smoking, runner) is None


def test_whoever_guesses_is_slowed_down(smoking: World, runner: asyncio.Runner) -> None:
    client = Client(smoking.app_for(TOKENS, Rates()), runner)
    statuses = [shown(client, f"/a/guess{k}").status_code for k in range(40)]
    assert statuses[0] == 404
    assert statuses[-1] == 429


def test_another_site_cannot_make_a_browser_answer(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li")
    for deed in ("", "/notes", "/photos"):
        headers = PAGE | {"Sec-Fetch-Site": "cross-site"}
        assert client.post(path + deed, headers=headers).status_code == 403
    assert acknowledged_by(smoking, runner) is None


# --- what the page keeps to itself -----------------------------------------------------------


def test_the_page_is_kept_by_nobody_and_tells_nobody_where_it_is(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li")
    for response in (shown(client, path), shown(client, "/a/wrong"), answer(client, path)):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-robots-tag"].startswith("noindex")
    assert '<meta name="robots" content="noindex' in shown(client, path).text


def test_the_page_shows_one_alert_and_opens_nothing_else(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li")
    page = shown(client, path)
    for word in ("pile-1", "csrf", "sse-connect", "13800000000"):
        assert word not in page.text
    assert client.get("/alerts/1", headers=PAGE).status_code == 303
    assert client.get("/api/v1/alerts/1").status_code == 401


# --- notes and photos ------------------------------------------------------------------------


def test_a_note_and_a_photo_can_be_left_before_and_after_the_answer(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li")
    assert answer(client, f"{path}/notes", text=HOSTILE).status_code == 303
    answer(client, path)
    sent = client.post(f"{path}/photos", files={"photo": picture()}, headers=PAGE)
    assert sent.status_code == 303
    what = [(what, who) for what, who, _ in log_of(smoking, runner)]
    assert what[-3:] == [("note", "li"), ("acknowledged", "li"), ("photo", "li")]
    assert "已有 1 张" in shown(client, path).text


def test_whoever_is_not_known_says_who_they_are_for_notes_and_photos_too(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path, before = path_for(smoking, runner, "duty"), log_of(smoking, runner)
    photo = {"photo": picture()}
    assert answer(client, f"{path}/notes", text="x").status_code == 422
    assert client.post(f"{path}/photos", files=photo, headers=PAGE).status_code == 422
    assert log_of(smoking, runner) == before
    named = client.post(f"{path}/photos", files=photo, data={"name": "王芳"}, headers=PAGE)
    assert named.status_code == 303
    assert log_of(smoking, runner)[-1][:2] == ("photo", "王芳 via duty")


def test_a_link_that_opens_nothing_takes_no_photo(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    path = path_for(smoking, runner, "person:li")
    smoking.elapsed_s = LASTS.total_seconds()
    for wrong, status in ((path, 410), ("/a/wrong", 404)):
        for how in ({"files": {"photo": picture()}}, {"content": b"x" * 100_000}):
            sent = client.post(f"{wrong}/photos", headers=PAGE, **how)
            assert sent.status_code == status
    assert "photo" not in {what for what, _, _ in log_of(smoking, runner)}


# --- what carries a link ---------------------------------------------------------------------


def test_what_was_handed_over_is_taken_over_by_its_link(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    answer(client, path_for(smoking, runner, "duty"), name="first")
    [alert] = smoking.engine.open_alerts()
    told = list(handed_to(smoking.directory, alert, "person:li", smoking.at))
    change = sa.update(tables.outbox).values(state="told")
    runner.run(smoking.ledger.write(lambda c: c.execute(change)))
    runner.run(smoking.ledger.commit(Commit(now=smoking.at, to_tell=told)))
    path = path_for(smoking, runner, "person:li", "en")
    assert "Take it over" in shown(client, path).text
    assert answer(client, path).status_code == 303
    assert log_of(smoking, runner)[-1][:2] == ("taken", "li")
    [deed, *_] = runner.run(smoking.ledger.read(audit_lines))
    assert (deed.via, deed.what) == ("link", "alert.taken")


def test_an_end_and_whoever_may_not_answer_have_no_link(
    smoking: World, runner: asyncio.Runner
) -> None:
    links = AnswerLinks(
        links=LINKS, directory=smoking.directory, console_url="http://w", wall=lambda: NOON
    )
    rows = due(smoking, runner)
    assert links.url_for(rows["person:li"], "zh").startswith("http://w/a/")
    assert links.url_for(rows["person:tester"], "zh") == ""
    assert links.url_for(replace(rows["person:li"], transition="resolved"), "zh") == ""
    assert links.url_for(replace(rows["person:li"], recipient="person:gone"), "zh") == ""


def test_a_notice_has_the_link_of_its_own_row(smoking: World, runner: asyncio.Runner) -> None:
    links = AnswerLinks(
        links=LINKS, directory=smoking.directory, console_url="http://w", wall=lambda: NOON
    )
    composer = Composer(smoking.registry, "http://w", links.url_for)
    rows = due(smoking, runner)
    urls = {
        who: composer.notice(rows[who], "en").answer_url
        for who in ("duty", "person:li", "post:gate")
    }
    assert len(set(urls.values())) == 3
    assert all(len(url.removeprefix("http://w")) <= 80 for url in urls.values())
