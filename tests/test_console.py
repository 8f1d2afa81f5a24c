import asyncio
import json
import re
from contextlib import ExitStack
from datetime import timedelta
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa

from api.console import events, rendering
from api.console.assets import asset
from api.console.login import COOKIE
from api.console.navigation import PLACES, navigation_of
from api.http.access import RIGHTS, Caller
from api.text import Texts
from api.watch import LATE_CHANGES_MAX, Change, Changes, Part
from ingest.people import Role
from rules.policies import Policies
from rules.readings import Reading
from tests.http_doubles import (
    ODD,
    PAGE,
    PILE,
    READ_TOKEN,
    SMOKE,
    TOKENS,
    Client,
    World,
    csrf_on,
    log_in,
)

WICKED = '<img src=x onerror="document.title=1">{{7919*7907}}'

STATION = "/stations/xuhui/renmin-lu"

pytest_plugins = ["tests.http_fixtures"]


@pytest.mark.parametrize("path", ["/", "/quarantine", f"/stations/{'xuhui/renmin-lu'}"])
def test_a_page_sends_strangers_to_log_in_and_back(client: Client, path: str) -> None:
    response = client.get(path, headers=PAGE)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/login")
    log_in(client, after=path)
    assert client.get(path, headers=PAGE).status_code == 200


def test_every_answer_forbids_foreign_scripts_and_frames(client: Client) -> None:
    log_in(client)
    for path in ("/", "/login", "/nothing", "/static/console.js", "/api/v1/live"):
        headers = client.get(path, headers=PAGE).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


class Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href", "action"} and not (value or "").startswith(
                ("/", "#", "?")
            ):
                self.foreign.append(f"{tag} {value}")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")


def test_pages_load_nothing_from_elsewhere_and_hold_no_inline_code(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    log_in(client)
    for path in ("/", "/stations/xuhui/renmin-lu", "/alerts/1", "/quarantine", "/login"):
        found = Loads()
        found.feed(client.get(path, headers=PAGE).text)
        assert found.foreign == found.inline == []


def test_pages_are_chinese_unless_somebody_chooses_and_then_remember(client: Client) -> None:
    log_in(client)
    assert '<html lang="zh-CN">' in client.get("/", headers=PAGE).text
    assert '<html lang="en">' in client.get("/?lang=en", headers=PAGE).text
    assert "<h1>Duty desk</h1>" in client.get("/", headers=PAGE).text
    assert "值班台" in client.get("/?lang=zh", headers=PAGE).text
    assert "值班台" in client.get("/?lang=tlh", headers=PAGE).text


def test_a_station_says_how_well_a_device_is_received_and_its_firmware_if_it_told(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    assert "Firmware" not in client.get(f"{STATION}?lang=en", headers=PAGE).text
    runner.run(here.hear(SMOKE, Reading(signal_pct=44.0, firmware="2.0.1")))
    page = client.get(f"{STATION}?lang=en", headers=PAGE).text
    assert "Signal 44" in page
    assert "Firmware 2.0.1" in page


def test_what_devices_and_people_wrote_is_escaped_on_every_page(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    device = here.registry.enter(
        "native", f"xuhui/renmin-lu/{WICKED.replace('/', '')}", here.at
    )
    assert device is not None
    here.registry.learn(device, [Reading(smoke_alarm=True)])
    said = Reading(smoke_alarm=True, fault=WICKED, firmware=WICKED + "\u202e")
    runner.run(here.hear(device.id, said))
    runner.run(here.refuse(WICKED, WICKED.encode(), "not_json", WICKED))
    log_in(client)
    csrf = csrf_on(client, "/")
    data = {"csrf": csrf, "note": WICKED + "\u202e"}
    client.post("/alerts/1/acknowledge", data=data, headers=PAGE)
    for path in ("/", "/stations/xuhui/renmin-lu", "/alerts/1", "/quarantine", f"/{WICKED}"):
        text = client.get(path, headers=PAGE).text
        assert "<img src=x" not in text
        assert "62615533" not in text
        assert "\u202e" not in text
    assert "&lt;img src=x" in client.get("/alerts/1", headers=PAGE).text


def test_no_alert_is_no_comfort_while_the_service_is_not_well(
    here: World, client: Client
) -> None:
    log_in(client)
    assert "当前没有警报，但" not in client.get("/", headers=PAGE).text
    here.parts = (Part("broker", ok=False, reason="connection refused"),)
    text = client.get("/", headers=PAGE).text
    assert "当前没有警报，但监控不完整" in text
    assert "connection refused" in text


def test_alerts_that_somebody_sees_to_push_out_none_that_nobody_has_seen(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    for number in range(101):
        device = here.registry.enter("native", f"xuhui/renmin-lu/other-{number}", here.at)
        assert device is not None
        here.registry.learn(device, [Reading(smoke_alarm=True)])
        runner.run(here.hear(device.id, Reading(smoke_alarm=True)))
    seen = sa.text("UPDATE alerts SET acknowledged_at = 1, acknowledged_by = 'me' WHERE id > 1")
    runner.run(here.ledger.write(lambda c: c.execute(seen)))
    log_in(client)
    text = client.get("/", headers=PAGE).text
    assert text.index('data-alert="1"') < text.index('data-alert="102"')
    assert "另有 1 条" in text


def test_times_are_on_the_clock_of_the_site_with_its_name(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(ODD, Reading(channel=1, power_w=2_000.0)))
    runner.run(here.wait(timedelta(seconds=31)))
    log_in(client)
    text = client.get("/alerts/1?lang=en", headers=PAGE).text
    assert "23 Nov 2026, 05:00:31" in text
    assert "Times are Central European Standard Time, UTC+01:00" in text


def test_errors_are_pages_to_people(here: World, client: Client) -> None:
    log_in(client)
    assert "没有找到" in client.get("/alerts/9", headers=PAGE).text
    assert "没有找到" in client.get("/stations/xuhui/nowhere", headers=PAGE).text
    assert "页面已过期" in client.post("/logout", headers=PAGE).text
    here.registry.areas = None  # type: ignore[assignment]
    response = client.get("/", headers=PAGE)
    assert response.status_code == 500
    assert "系统内部错误" in response.text
    assert "NoneType" not in response.text


def test_every_template_speaks_only_words_of_the_catalogue() -> None:
    known = Texts.of("en").messages.keys()
    for path in (rendering.FOLDER / "templates").glob("*.html"):
        used = set(re.findall(r"""say\(\s*["']([\w.]+)["']""", path.read_text()))
        beginnings = {word for word in used if word.endswith(".")}
        assert used - beginnings <= known, path.name
        assert all(any(key.startswith(each) for key in known) for each in beginnings), path.name


def test_a_latched_socket_says_so_and_its_alert_tells_of_the_command(
    overloaded: World, client: Client, runner: asyncio.Runner
) -> None:
    say = Texts.of("zh")
    log_in(client)
    assert say("ui.socket.latched") not in client.get(STATION, headers=PAGE).text
    overloaded.registry.apply(Policies(default={"cut": {"automatic": True}}))
    runner.run(overloaded.hear(PILE, Reading(channel=3, power_w=1203.0)))
    assert say("ui.socket.latched") in client.get(STATION, headers=PAGE).text
    [socket] = [
        each
        for each in client.get(
            f"/api/v1/devices/{PILE}", headers={"Authorization": f"Bearer {READ_TOKEN}"}
        ).json()["sockets"]
        if each["latched_since"] is not None
    ]
    assert socket["channel"] == 3
    alert = client.get("/alerts/1", headers=PAGE).text
    assert say("timeline.switch_off.ordered") in alert
    assert say("event.latched") in alert


# --- events ----------------------------------------------------------------------------------


def test_changes_that_come_together_are_told_together() -> None:
    caller = TOKENS[READ_TOKEN]
    same = [Change("a/b", alerts=False), Change("a/b", alerts=True)]
    assert (merged := events.merged(same, caller))
    assert events.event_of(merged) == (b'event: change\ndata: {"site":"a/b","alerts":true}\n\n')
    assert (merged := events.merged([*same, Change("a/c", alerts=False)], caller))
    assert merged.site is None


def test_a_stream_tells_of_no_area_but_their_own() -> None:
    caller = Caller(name="li", rights=frozenset(), areas=frozenset({"xuhui"}))
    foreign, own = Change("berlin/hof", alerts=True), Change("xuhui/renmin-lu", alerts=False)
    assert events.merged([foreign], caller) is None
    assert events.merged([foreign, own], caller) == events.Event("xuhui/renmin-lu", False)
    assert events.merged([Change("", alerts=True)], caller) == events.Event(None, True)


def test_a_stream_beats_while_all_is_quiet_and_ends_with_its_session(
    here: World, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(events, "PAUSE_S", 0.01)
    context = here.app.state.context
    session = runner.run(context.sessions.begin(TOKENS[READ_TOKEN], "10.0.0.7"))

    async def listen() -> list[bytes]:
        heard = []
        async for said in events.changes(context, session.id):
            heard.append(said)
            if said.startswith(b": "):
                here.changes.tell(Change("a/b", alerts=False))
            if said.startswith(b"event"):
                await context.sessions.end(session)
        return heard

    assert [said.split(b":")[0] for said in runner.run(listen())] == [b"retry", b"", b"event"]
    assert here.changes.listeners() == 0


def test_a_page_hears_at_once_what_happened_before_it_listened(
    here: World, runner: asyncio.Runner
) -> None:
    context = here.app.state.context
    session = runner.run(context.sessions.begin(TOKENS[READ_TOKEN], "10.0.0.7"))

    async def first_of(seen: int | None) -> bytes:
        heard = events.changes(context, session.id, seen)
        assert (await anext(heard)).startswith(b"retry")
        said = await asyncio.wait_for(anext(heard), 1)
        await heard.aclose()
        return said

    seen = here.changes.number
    here.changes.tell(Change("a/b", alerts=True))
    assert b'"site":"a/b"' in runner.run(first_of(seen))
    for of_another_process in (0, seen + 7):
        assert b'"site":null' in runner.run(first_of(of_another_process))
    for up_to_date in (seen + 1, None):
        with pytest.raises(TimeoutError):
            runner.run(first_of(up_to_date))


def test_a_page_that_listens_very_late_is_told_that_it_is_old() -> None:
    changes = Changes()
    seen = changes.number
    for _ in range(LATE_CHANGES_MAX):
        changes.tell(Change("a/b", alerts=False))
    assert events.missed_since(changes, seen) == [Change("a/b", alerts=False)] * 1_000
    changes.tell(Change("a/b", alerts=False))
    assert events.missed_since(changes, seen) == [Change("", alerts=True)]


def test_a_page_says_up_to_when_it_knows_everything(here: World, client: Client) -> None:
    client.post("/login", data={"token": READ_TOKEN}, headers=PAGE)
    page = client.get("/", headers=PAGE).text
    assert f'sse-connect="/events?seen={here.changes.number}"' in page


def test_strangers_hear_nothing(client: Client) -> None:
    response = client.get("/events")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


def test_events_carry_the_site_as_json() -> None:
    data = events.event_of(events.Event("a/b", alerts=True)).split(b"data: ")[1]
    assert json.loads(data) == {"site": "a/b", "alerts": True}


def test_one_session_holds_only_some_of_the_streams(here: World, client: Client) -> None:
    response = client.post("/login", data={"token": READ_TOKEN}, headers=PAGE)
    session = response.cookies[COOKIE]
    with ExitStack() as open_pages:
        for _ in range(events.STREAMS_MAX_EACH):
            open_pages.enter_context(here.changes.listening(session))
        response = client.get("/events")
        assert response.status_code == 429
        assert response.headers["retry-after"] == "30"
    assert here.changes.listeners(session) == 0


# --- files beside the pages ------------------------------------------------------------------


def test_a_file_is_kept_by_browsers_if_they_asked_for_this_very_one(client: Client) -> None:
    for name in ("console.css", "console.js", "vendor/htmx.min.js", "icon.svg"):
        assert "immutable" in client.get(asset(name)).headers["cache-control"]
        assert client.get(f"/static/{name}?0123").headers["cache-control"] == "no-cache"
        assert client.get(f"/static/{name}").headers["cache-control"] == "no-cache"
    assert client.get("/static/nothing.css").headers["cache-control"] == "no-store"


def test_text_is_sent_compressed(client: Client) -> None:
    response = client.get(asset("console.css"), headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert "content-security-policy" in response.headers


# --- navigation ------------------------------------------------------------------------------


def test_the_navigation_shows_what_one_may_see_and_a_phone_has_room_for_its_bar() -> None:
    tester = Caller(name="t", rights=RIGHTS[Role.TESTER])
    police = Caller(name="p", rights=RIGHTS[Role.POLICE])
    assert "quarantine" in {place.key for place in navigation_of(tester).more}
    assert "quarantine" not in {place.key for place in navigation_of(police).more}
    assert navigation_of(police).bar[0].path == "/"
    assert sum(place.in_bar for place in PLACES) <= 4
    assert len({place.key for place in PLACES}) == len(PLACES)
    assert {place.text for place in PLACES} <= Texts.of("zh").messages.keys()
    assert navigation_of(Caller(name="n", rights=frozenset())).bar == ()


def test_every_line_of_the_navigation_leads_somewhere_and_shows_where_one_is(
    client: Client,
) -> None:
    log_in(client)
    for place in PLACES:
        response = client.get(place.path, headers=PAGE)
        assert response.status_code == 200, place
        assert f'<a href="{place.path}" aria-current="page">' in response.text
