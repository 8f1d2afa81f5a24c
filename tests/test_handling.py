"""Notes, photos, taking over and handing over, as programs and people at the console do it."""

import asyncio
import io
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from PIL import Image

from api.console.login import COOKIE
from api.http.hardening import PHOTO_BODY_BYTES_MAX
from ingest.ledger import answers, photos, tables
from ingest.ledger.audit import audit_lines
from ingest.ledger.chain import verify_events
from ingest.people import EVERYWHERE, Post, Role, Via, Way
from ingest.registry import Name
from rules.readings import Reading
from tests.http_doubles import (
    PAGE,
    SMOKE,
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
pytestmark = pytest.mark.usefixtures("smoking")

HOSTILE = "<script>alert(1)</script>\u202e{who}"
PASSWORD = "correct horse battery"
MAY = bearer(WRITE_TOKEN)
FORM = "multipart/form-data"
SMS = Way(via=Via.SMS, address="13800000000")
CALL = Way(via=Via.VOICE, address="13800000000")


def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(written, kind)
    return written.getvalue()


@pytest.fixture
def smoking(here: World, runner: asyncio.Runner) -> World:
    """A world with one smoke alarm, people of the area and beside it, and a post."""
    for person in (
        replace(somebody("li"), name="李伟", ways=(SMS,)),
        replace(somebody("wang", Role.MANAGER), name="Wang Fang", ways=(CALL, SMS)),
        somebody("tester", Role.TESTER),
        somebody("foreign", areas=frozenset({"berlin"})),
        replace(somebody("left"), active=False),
        replace(somebody("chief", Role.ADMIN, frozenset({EVERYWHERE})), ways=()),
    ):
        runner.run(here.add(person, PASSWORD))
    here.directory.posts["gate"] = Post(id="gate", name=Name("门卫", "Gate"), area="xuhui")
    here.directory.posts["far"] = Post(id="far", name=Name("远", "Far"), area="berlin")
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    return here


def log_of(here: World, runner: asyncio.Runner) -> list[tuple[str, str, str]]:
    line = tables.alert_events.c
    asked = sa.select(line.what, line.who, line.detail).order_by(line.id)
    return runner.run(here.ledger.read(lambda c: [tuple(row) for row in c.execute(asked)]))


def post(client: Client, deed: str, **body: object) -> httpx.Response:
    return client.post(f"/api/v1/alerts/1/{deed}", json=body, headers=MAY)


def told(here: World, runner: asyncio.Runner) -> list[tuple[str, str, str, str]]:
    row = tables.outbox.c
    asked = sa.select(row.transition, row.recipient, row.channel, row.reason)
    asked = asked.where(row.recipient != "").order_by(row.id)
    return runner.run(here.ledger.read(lambda c: [tuple(each) for each in c.execute(asked)]))


# --- notes -----------------------------------------------------------------------------------


def test_a_note_stands_in_the_log_with_who_wrote_it(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    assert post(client, "notes", text=f" {HOSTILE} ").status_code == 200
    assert log_of(smoking, runner)[-1] == ("note", "patrol", HOSTILE)
    [deed, *_] = runner.run(smoking.ledger.read(audit_lines))
    assert (deed.what, deed.about, deed.area) == ("alert.noted", "1", "xuhui")
    assert runner.run(smoking.ledger.read(verify_events)).broken_at is None


@pytest.mark.parametrize("text", ["", " \n ", "x" * 1001])
def test_no_note_and_too_long_a_one_are_refused(
    smoking: World, client: Client, runner: asyncio.Runner, text: str
) -> None:
    before = log_of(smoking, runner)
    problem(post(client, "notes", text=text), 422)
    assert log_of(smoking, runner) == before


def test_a_note_of_a_thousand_characters_is_kept_whole(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    assert post(client, "notes", text="警" * 1000).status_code == 200
    assert log_of(smoking, runner)[-1][2] == "警" * 1000


def test_an_alert_has_so_many_notes_and_no_more(
    smoking: World, client: Client, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "NOTES_MAX", 2)
    answered = [post(client, "notes", text="here").status_code for _ in range(3)]
    assert answered == [200, 200, 409]
    assert [what for what, _, _ in log_of(smoking, runner)].count("note") == 2


# --- photos ----------------------------------------------------------------------------------


def send(client: Client, raw: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    path = "/api/v1/alerts/1/photos"
    return client.post(path, files={"photo": ("a.svg", raw)}, headers=headers or MAY)


def test_a_photo_is_shown_to_those_who_see_the_alert(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    made = send(client, picture("PNG"))
    assert made.status_code == 200, made.text
    kept = made.json()
    assert (kept["width"], kept["height"], kept["who"]) == (64, 48, "patrol")
    shown = client.get(kept["path"], headers=MAY)
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["content-disposition"] == 'inline; filename="alert-1-1.jpg"'
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert Image.open(io.BytesIO(shown.content)).size == (64, 48)
    listed = client.get("/api/v1/alerts/1/photos", headers=MAY).json()
    assert listed == {"photos": [kept]}
    assert log_of(smoking, runner)[-1] == ("photo", "patrol", f"1 sha256:{kept['sha256']}")


def test_a_photo_of_another_alert_is_not_there(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    send(client, picture())
    runner.run(smoking.wait(timedelta(minutes=1)))
    for path in ("/api/v1/alerts/1/photos/2", "/api/v1/alerts/2/photos/1"):
        problem(client.get(path, headers=MAY), 404)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 422),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 422),
        (b"\xff\xd8" + bytes(8 * 1024 * 1024), 413),
        (bytes(PHOTO_BODY_BYTES_MAX), 413),
    ],
    ids=["none", "svg", "nine megabytes", "more than a body"],
)
def test_what_is_no_photo_leaves_no_trace(
    smoking: World, client: Client, runner: asyncio.Runner, raw: bytes, status: int
) -> None:
    before = log_of(smoking, runner)
    problem(send(client, raw), status)
    assert client.get("/api/v1/alerts/1/photos", headers=MAY).json() == {"photos": []}
    assert log_of(smoking, runner) == before


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"photo": "x"}},
        {"data": {"photo": "text, and no file"}},
        {
            "content": b"--x",
            "headers": MAY | {"Content-Type": "multipart/form-data; boundary=x"},
        },
        {"content": b"x", "headers": MAY | {"Content-Type": "multipart/form-data"}},
        {"files": [("photo", b"x"), ("photo", b"y")]},
    ],
    ids=["json", "text", "cut short", "no boundary", "two"],
)
def test_other_bodies_hold_no_photo(client: Client, how: dict[str, object]) -> None:
    how.setdefault("headers", MAY)
    problem(client.post("/api/v1/alerts/1/photos", **how), 422)


def test_an_alert_has_so_many_photos_and_no_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "EACH_MAX", 1)
    assert send(client, picture()).status_code == 200
    problem(send(client, picture()), 409)


def test_all_photos_together_do_not_fill_the_disk(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "BYTES_MAX", 100)
    problem(send(client, picture()), 507)


def test_a_stranger_is_not_even_listened_to(client: Client) -> None:
    problem(send(client, picture(), {"Authorization": "Bearer nobody"}), 401)


# --- taking over and handing over ------------------------------------------------------------


def test_whoever_takes_an_alert_over_has_acknowledged_it(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    alert = post(client, "take", note="going there").json()
    assert (alert["handler"], alert["acknowledged_by"]) == ("patrol", "patrol")
    assert alert["handler_since"] == alert["acknowledged_at"]
    runner.run(smoking.wait(timedelta(minutes=10)))
    assert client.get("/api/v1/alerts/1", headers=MAY).json()["alert"]["tier"] == 1
    assert [what for what, _, _ in log_of(smoking, runner)][-2:] == ["acknowledged", "taken"]


def test_whoever_takes_what_another_has_acknowledged_leaves_that_as_it_is(
    client: Client,
) -> None:
    log_in_as(client, "li", PASSWORD)
    csrf = csrf_on(client, "/alerts/1")
    client.post("/alerts/1/acknowledge", data={"csrf": csrf}, headers=PAGE)
    alert = post(client, "take").json()
    assert (alert["handler"], alert["acknowledged_by"]) == ("patrol", "li")


def test_whom_an_alert_is_handed_to_is_told_by_their_first_way_that_fits(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    post(client, "take")
    alert = post(client, "hand", to="person:wang", note="my shift ends").json()
    assert (alert["handler"], alert["handler_since"]) == ("person:wang", None)
    assert alert["acknowledged_at"] is None
    assert told(smoking, runner) == [
        ("handed", "person:wang", "voice:wang", "handed_over"),
    ]
    assert log_of(smoking, runner)[-1] == ("handed", "patrol", "person:wang my shift ends")


def test_what_is_handed_over_and_not_taken_escalates_and_what_is_taken_does_not(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    post(client, "take")
    runner.run(smoking.wait(timedelta(minutes=30)))
    post(client, "hand", to="person:li")
    runner.run(smoking.wait(timedelta(minutes=2)))
    assert client.get("/api/v1/alerts/1", headers=MAY).json()["alert"]["tier"] == 1
    runner.run(smoking.wait(timedelta(minutes=2)))
    assert client.get("/api/v1/alerts/1", headers=MAY).json()["alert"]["tier"] == 2
    log_in_as(client, "li", PASSWORD)
    csrf = csrf_on(client, "/alerts/1")
    client.post("/alerts/1/take", data={"csrf": csrf}, headers=PAGE)
    runner.run(smoking.wait(timedelta(minutes=30)))
    alert = client.get("/api/v1/alerts/1", headers=MAY).json()["alert"]
    assert (alert["tier"], alert["handler"]) == (2, "li")
    assert alert["acknowledged_by"] == "li"


def test_a_hand_over_is_remembered_over_a_restart(smoking: World, client: Client) -> None:
    post(client, "take")
    post(client, "hand", to="post:gate")
    restored = smoking.ledger.restored()
    [alert] = [alert for stored in restored.stored for alert in stored.alerts]
    assert alert.unanswered_since == smoking.at
    assert alert.acknowledged_at is None


@pytest.mark.parametrize(
    "to",
    [
        "",
        "li",
        "person:",
        "person:nobody",
        "person:tester",
        "person:foreign",
        "person:left",
        "post:far",
        "post:nowhere",
        "role:police",
        "person:li person:wang",
    ],
)
def test_nobody_who_may_not_answer_can_be_handed_an_alert(
    smoking: World, client: Client, runner: asyncio.Runner, to: str
) -> None:
    before = log_of(smoking, runner)
    problem(post(client, "hand", to=to), 422)
    assert log_of(smoking, runner) == before
    assert told(smoking, runner) == []


def test_nobody_hands_an_alert_to_themselves(client: Client) -> None:
    log_in_as(client, "li", PASSWORD)
    data = {"csrf": csrf_on(client, "/alerts/1"), "to": "person:li"}
    assert client.post("/alerts/1/hand", data=data, headers=PAGE).status_code == 422


def test_somebody_without_a_way_can_be_asked_and_the_alert_says_that_they_are_not_told(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    assert post(client, "hand", to="person:chief").status_code == 200
    assert told(smoking, runner) == [("handed", "person:chief", "", "no_way")]


def test_what_is_over_is_neither_taken_nor_handed(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(smoking.hear(SMOKE, Reading(smoke_alarm=False)))
    runner.run(smoking.wait(timedelta(hours=1)))
    assert client.get("/api/v1/alerts/1", headers=MAY).json()["alert"]["state"] == "resolved"
    problem(post(client, "take"), 409)
    problem(post(client, "hand", to="person:li"), 409)
    assert post(client, "notes", text="it was a cigarette").status_code == 200


# --- the console -----------------------------------------------------------------------------


def test_the_page_shows_who_sees_to_it_by_name_and_what_they_say(client: Client) -> None:
    log_in(client)
    post(client, "notes", text=HOSTILE)
    post(client, "hand", to="post:gate", note=HOSTILE)
    send(client, picture())
    page = client.get("/alerts/1?lang=en", headers=PAGE).text
    assert "Handed over to Gate, who has not taken it yet" in page
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;\ufffd{who}") == 2
    assert 'src="/alerts/1/photos/1"' in page
    for name in ("李伟", "Wang Fang", "Gate (duty post)"):
        assert name in page
    assert "Far" not in page


def test_a_photo_is_sent_from_the_page(
    smoking: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in_as(client, "li", PASSWORD)
    data = {"csrf": csrf_on(client, "/alerts/1")}
    sent = client.post("/alerts/1/photos", data=data, files={"photo": picture()}, headers=PAGE)
    assert (sent.status_code, sent.headers["location"]) == (303, "/alerts/1#handling")
    assert log_of(smoking, runner)[-1][:2] == ("photo", "li")
    wrong = client.post("/alerts/1/photos", data=data, files={"photo": b"no"}, headers=PAGE)
    assert wrong.status_code == 422
    assert "这不是能识别的照片" in wrong.text
    assert client.get("/alerts/1/photos/1", headers=PAGE).status_code == 200


def test_a_tester_sees_and_may_do_nothing(client: Client) -> None:
    log_in_as(client, "tester", PASSWORD)
    page = client.get("/alerts/1?lang=en", headers=PAGE).text
    assert "Nobody has taken it over yet" in page
    assert "/alerts/1/take" not in page
    assert COOKIE not in page
