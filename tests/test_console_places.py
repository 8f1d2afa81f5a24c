"""What the pages of alerts, stations, devices and sessions say, and what they do not."""

import asyncio
import csv
import io
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from api.console import chart as charts
from api.console.chart import Chart, Found, Limit, Point, Question
from api.console.charted import UNITS, chart_of_alert, question_of
from api.console.command_life import life_of
from api.console.control import can_be_cut
from api.console.declaring import snippet_of
from api.console.devices import Asked, Which, find
from api.console.drawing import as_json, drawing_of
from api.console.schematic import NAMED_MAX, Spot, plan_of
from api.console.sessions import written
from api.console.stations import label_of
from api.console.timeline import timeline
from api.http.access import Caller
from api.http.scope import Scoped
from api.http.shapes.sessions import Session
from api.sites import parsed
from api.text import Texts
from ingest.ledger import queries
from ingest.ledger.queries import AlertRow, DeliveryRow, EventRow
from ingest.people import Directory
from ingest.registry import Device, Name, Site
from rules.cutting import Action, Command, CommandState, Failure
from rules.readings import DeviceId, Kind, Reading
from rules.session import Ending
from tests.http_doubles import (
    NOON,
    ODD,
    PAGE,
    PILE,
    SMOKE,
    TOKENS,
    WRITE_TOKEN,
    Client,
    World,
    csrf_on,
    log_in,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

SHANGHAI = ZoneInfo("Asia/Shanghai")
EN, ZH = Texts.of("en"), Texts.of("zh")
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
POWER = Question(device=PILE, channels=(3,), quantity="power_w", unit="W")
SOCKET = f"/sockets/{PILE}?channel=3"
STATION = "/stations/xuhui/renmin-lu"


def chart(*values: float, apart: timedelta = MINUTE, question: Question = POWER) -> Chart:
    points = tuple(Point(NOON + n * apart, value) for n, value in enumerate(values))
    return Chart(
        question=question,
        since=NOON - MINUTE,
        until=NOON + len(values) * apart,
        step=MINUTE,
        found=Found.POINTS if points else Found.NOTHING,
        points=points,
        limits=(Limit(800.0, "warning"), Limit(1000.0, "critical")),
    )


# --- charts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [0.25, 1, 6, 24, 24 * 7, 24 * 400])
def test_a_chart_has_no_more_points_than_a_phone_can_show(hours: float) -> None:
    span = timedelta(hours=hours)
    assert span / charts.step_for(span) <= charts.POINTS_MAX


def test_an_event_is_drawn_with_what_led_to_it_and_nothing_of_the_future() -> None:
    began, now = NOON, NOON + 10 * MINUTE
    since, until = charts.window(began, None, now)
    assert (since, until - now) == (began - 15 * MINUTE, charts.STEPS[0])
    since, until = charts.window(began, began + MINUTE, now + timedelta(days=2))
    assert until - began < timedelta(hours=1)


def test_limits_are_in_the_picture_although_no_value_is_near_them() -> None:
    low, high = chart(200.0, 210.0).bounds
    assert low == 0
    assert high > 1000
    drawn = drawing_of(chart(200.0, 210.0), EN, SHANGHAI)
    assert [each.text for each in drawn.limits] == ["800 W", "1,000 W"]
    assert all(0 < each.at < drawn.height for each in drawn.limits)


def test_where_nothing_was_heard_the_line_is_broken_and_no_value_is_made_up() -> None:
    broken = chart(200.0, 210.0, apart=timedelta(hours=1))
    assert [len(each) for each in broken.stretches()] == [1, 1]
    assert b'"values":[200.0,null,210.0]' in as_json(broken, EN, SHANGHAI)
    assert len(drawing_of(broken, EN, SHANGHAI).dots) == 2
    whole = drawing_of(chart(200.0, 210.0), EN, SHANGHAI)
    assert (len(whole.lines), len(whole.dots)) == (1, 0)


def test_the_summary_says_in_words_what_the_picture_shows() -> None:
    words = drawing_of(chart(200.0, 1403.0, 190.0), EN, SHANGHAI).summary
    assert "Highest 1,403 W at 23 Nov 2026, 12:01:00" in words
    assert "last 190 W" in words
    lowest = Question(
        device=SMOKE, channels=(None,), quantity="battery_pct", unit="%", lowest=True
    )
    assert "最低 4 %" in drawing_of(chart(80.0, 4.0, question=lowest), ZH, SHANGHAI).summary


def test_the_table_has_few_rows_and_keeps_the_highest_of_all() -> None:
    values = [200.0] * 200
    values[77] = 1403.0
    rows = drawing_of(chart(*values), EN, SHANGHAI).rows
    assert len(rows) <= 20
    assert "1,403 W" in {row.text for row in rows}


@pytest.mark.parametrize("values", [(0.0,), (5.0, 5.0), (-40.0, 1e9), (0.001,)])
def test_any_values_can_be_drawn(values: tuple[float, ...]) -> None:
    drawn = drawing_of(chart(*values), EN, SHANGHAI)
    assert len(drawn.values) <= 6
    assert all(0 <= each.at <= drawn.height for each in drawn.values)


def test_an_alert_is_charted_by_what_its_evidence_names(
    here: World, runner: asyncio.Runner
) -> None:
    for power_w in (200.0, 1203.0, 1198.0):
        runner.run(here.hear(PILE, Reading(channel=3, power_w=power_w)))
        runner.run(here.wait(MINUTE))
    [alert] = alerts_of(here, runner)
    found = runner.run(chart_of_alert(here.watch, alert, [], here.at))
    assert found
    assert found.question == POWER
    assert [point.value for point in found.points] == [200.0, 1203.0, 1198.0]
    assert [(each.value, each.level) for each in found.limits] == [
        (800.0, "warning"),
        (1000.0, "critical"),
    ]


def test_the_chart_of_a_hot_pile_is_of_the_socket_that_is_hot(
    here: World, runner: asyncio.Runner
) -> None:
    hot = Reading(channel=4, device_temperature_c=86.0)
    for _ in range(4):
        runner.run(here.hear(PILE, Reading(channel=3, device_temperature_c=30.0), hot))
        runner.run(here.wait(20 * SECOND))
    [alert] = [each for each in alerts_of(here, runner) if each.rule == "heat"]
    question = question_of(alert, here.engine.device(PILE))
    assert question
    assert (question.quantity, question.channels) == ("device_temperature_c", (4,))


def test_what_is_not_measured_has_no_chart(here: World, runner: asyncio.Runner) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    [alert] = alerts_of(here, runner)
    assert runner.run(chart_of_alert(here.watch, alert, [], here.at)) is None


@pytest.mark.parametrize("down", ["", "no route to host"])
def test_a_chart_tells_no_readings_from_no_history(
    here: World, client: Client, runner: asyncio.Runner, down: str
) -> None:
    runner.run(here.hear(PILE, Reading(channel=3, relay_on=True)))
    here.history.down = down
    log_in(client)
    page = client.get(f"{SOCKET}&lang=en", headers=PAGE).text
    assert (EN("chart.unreachable") in page.split("chart-canvas")[1][:400]) is bool(down)
    assert (EN("chart.nothing") in page.split("chart-canvas")[1][:400]) is not bool(down)


def test_a_slow_history_does_not_keep_an_alert_from_whoever_wants_to_see_it(
    overloaded: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(charts, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(overloaded.history, "aggregate", never)
    log_in(client)
    page = client.get("/alerts/1?lang=en", headers=PAGE)
    assert page.status_code == 200
    assert EN("chart.unreachable") in page.text


def test_every_quantity_that_is_charted_has_a_name() -> None:
    for say in (EN, ZH):
        assert {f"quantity.{each}" for each in UNITS} <= say.messages.keys()
        wanted = {f"quantity.{name}" for name in Reading.__struct_fields__ if name != "channel"}
        wanted |= {f"ending.{each}" for each in Ending}
        wanted |= {f"health.{each}" for each in Which}
        assert wanted <= say.messages.keys()


def alerts_of(here: World, runner: asyncio.Runner) -> list[AlertRow]:
    return runner.run(here.ledger.read(lambda c: queries.find_alerts(c, queries.AlertFilter())))


# --- what happened ---------------------------------------------------------------------------


def event(what: str, after_s: float, who: str = "chargewatch", detail: str = "") -> EventRow:
    return EventRow(at=NOON + after_s * SECOND, what=what, who=who, detail=detail)


def delivery(state: str, reason: str, **more: object) -> DeliveryRow:
    values: dict[str, object] = {
        "id": 1,
        "transition": "firing",
        "channel": "dingtalk",
        "state": state,
        "reason": reason,
        "attempts": 1,
        "created_at": NOON + SECOND,
        "next_at": NOON,
        "told_at": None,
        "receipt": "",
        "idempotency_key": "k",
    }
    return DeliveryRow(**values | more)  # type: ignore[arg-type]


def test_what_was_sent_and_what_was_done_are_one_list_in_the_order_of_time() -> None:
    directory = Directory([somebody("li")])
    told = delivery(
        "told", "new_alert", told_at=NOON + 3 * SECOND, recipient="person:li", receipt="ok 7"
    )
    log = [
        event("acknowledged", 5, "wang", "on the way"),
        event("firing", 0),
        event("told", 3, "dingtalk", "firing"),
    ]
    found, left_out = timeline(log, [told], directory, EN)
    assert left_out == 0
    assert [each.words for each in found] == [
        "The alert fired",
        "李 was told through dingtalk (Firing)",
        "Acknowledged by wang",
    ]
    assert [each.note for each in found] == ["", "ok 7", "on the way"]


def test_who_was_not_told_is_in_the_list_with_the_reason_in_words() -> None:
    rows = [delivery("failed", "refused_for_good", attempts=3), delivery("skipped", "no_call")]
    notes = [each.note for each in timeline([], rows, Directory(), EN)[0]]
    assert notes == ["Refused for good, not tried again; Attempts: 3", EN("reason.no_call")]


def test_each_step_of_a_command_is_told_in_words_and_by_whom() -> None:
    log = [
        event("command_ordered", 0, "li", "switch_off c-1: smells"),
        event("command_sent", 1, detail="switch_off c-1: attempt 1"),
        event("command_failed", 9, detail="switch_off c-1: still_flows"),
    ]
    ordered, sent, failed = timeline(log, [], Directory(), EN)[0]
    assert (ordered.words, ordered.who) == ("Switching off was ordered", "li")
    assert (sent.words, sent.who) == ("The order to switch off was sent", "")
    assert "relay welded" in failed.note


def command(state: CommandState, **more: object) -> Command:
    made = Command(
        id="c-1",
        device=PILE,
        channel=3,
        action=Action.CUT,
        ordered_by="li",
        reason="smells",
        episode="e",
        ordered_at=NOON,
        expires_at=NOON + MINUTE,
        state=state,
    )
    return msgspec.structs.replace(made, **more)


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        (command(CommandState.ORDERED), "done now todo todo"),
        (command(CommandState.SENT, sent_at=NOON), "done done now todo"),
        (
            command(CommandState.CONFIRMED, sent_at=NOON, confirmed_at=NOON),
            "done done done now",
        ),
        (
            command(CommandState.FAILED, sent_at=NOON, ended_at=NOON, failure=Failure.NO_REPLY),
            "done done skipped failed",
        ),
        (
            command(CommandState.VERIFIED, sent_at=NOON, confirmed_at=NOON, ended_at=NOON),
            "done done done done",
        ),
    ],
    ids=lambda each: each.state if isinstance(each, Command) else "",
)
def test_the_life_of_a_command_shows_what_is_waited_for(found: Command, steps: str) -> None:
    assert " ".join(step.state for step in life_of(found)) == steps


# --- switching -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", [{}, {"reason": "smells"}, {"sure": "true"}, {"reason": " ", "sure": "true"}]
)
def test_nothing_is_cut_without_a_reason_and_a_tick(
    overloaded: World, client: Client, form: dict[str, str]
) -> None:
    log_in(client)
    data = {"csrf": csrf_on(client, "/alerts/1"), "device": PILE, "channel": "3"} | form
    response = client.post("/cut", data=data, headers=PAGE)
    assert response.status_code == 422
    assert 'aria-invalid="true"' in response.text
    state = overloaded.engine.device(PILE)
    assert state
    assert state.sockets[3].cut is None


@pytest.mark.usefixtures("overloaded")
def test_an_order_of_a_person_is_part_of_the_story_of_the_alert_at_that_socket(
    client: Client,
) -> None:
    log_in(client)
    data = {
        "csrf": csrf_on(client, "/alerts/1"),
        "device": PILE,
        "channel": "3",
        "reason": "smells",
        "sure": "true",
        "back": "/alerts/1",
    }
    response = client.post("/cut", data=data, headers=PAGE)
    assert (response.status_code, response.headers["location"]) == (303, "/alerts/1")
    page = client.get("/alerts/1?lang=en", headers=PAGE).text
    assert EN("timeline.switch_off.ordered") in page
    assert "patrol" in page
    assert EN("latch.clear") in page
    other = client.get(f"/sockets/{PILE}?channel=1&lang=en", headers=PAGE).text
    assert EN("ui.socket.latched") not in other


@pytest.mark.usefixtures("overloaded")
def test_a_socket_that_nobody_knows_is_not_found_and_no_way_leads_out_of_the_console(
    client: Client,
) -> None:
    log_in(client)
    assert client.get(f"/sockets/{PILE}?channel=99", headers=PAGE).status_code == 404
    assert client.get(f"/cut?device={PILE}&channel=99", headers=PAGE).status_code == 404
    page = client.get(
        f"/cut?device={PILE}&channel=3&back=https://evil.example/", headers=PAGE
    ).text
    assert 'href="https:' not in page
    assert 'name="back" value="/"' in page


@pytest.mark.parametrize(
    ("dialect", "kind", "can"),
    [
        ("native", Kind.CHARGER, True),
        ("unheard", Kind.CHARGER, False),
        ("native", Kind.SMOKE, False),
    ],
)
def test_only_what_its_dialect_has_a_word_for_can_be_cut(
    dialect: str, kind: Kind, can: bool
) -> None:
    device = Device(id=PILE, site="xuhui/renmin-lu", dialect=dialect, name=PILE, kind=kind)
    assert can_be_cut(device, 3, NOON) is can


# --- stations --------------------------------------------------------------------------------


def test_a_station_says_whether_it_is_open_and_until_when(client: Client) -> None:
    log_in(client)
    page = client.get(f"{STATION}?lang=en", headers=PAGE).text
    assert "Open now" in page
    assert "closes at 23 Nov 2026, 22:00:00, in 10 hrs" in page
    berlin = client.get("/stations/berlin/hof?lang=en", headers=PAGE).text
    assert "Open now" in berlin


def test_no_two_stations_are_drawn_in_one_place_and_north_is_up() -> None:
    spots = [Spot(f"a/{n}", 30.0 + (n % 3) * 1e-7, 120.0) for n in range(230)]
    plan = plan_of(spots)
    assert len({(cell.x, cell.y) for cell in plan.cells}) == 230
    assert all(0 < cell.x < plan.width and 0 < cell.y < plan.height for cell in plan.cells)
    assert not plan.named
    few = plan_of([Spot("south", 30.0, 120.0), Spot("north", 30.2, 120.1)])
    places = {cell.id: cell for cell in few.cells}
    assert few.named
    assert places["north"].y < places["south"].y
    assert places["north"].x > places["south"].x
    assert plan_of([]).cells == ()
    assert plan_of(spots[:NAMED_MAX]) == plan_of(spots[:NAMED_MAX][::-1])


def test_a_long_name_is_cut_off_where_it_would_run_into_its_neighbour() -> None:
    assert label_of("幸福里小区东门") == "幸福里小区东门"
    assert label_of("幸福里小区东门第二充电站") == "幸福里小区东门第…"
    assert label_of("Xingfuli East Gate") == "Xingfuli East Ga…"


def test_a_station_whose_place_nobody_told_is_listed_below_the_map(client: Client) -> None:
    log_in(client)
    page = client.get("/stations?view=map&lang=en", headers=PAGE).text
    assert EN("stations.map.nowhere") in page
    assert "Renmin Road station" in page


# --- devices ---------------------------------------------------------------------------------


def found_by(here: World, runner: asyncio.Runner, asked: Asked) -> list[str]:
    scoped = Scoped(here.watch, TOKENS[WRITE_TOKEN])
    return [line.entry.id for line in runner.run(find(scoped, asked)).lines]


def test_devices_that_are_not_well_come_first_and_filters_narrow_the_list(
    here: World, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(PILE, Reading(channel=1, power_w=0.0)))
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    assert found_by(here, runner, Asked()) == [SMOKE, ODD, PILE]
    assert found_by(here, runner, Asked(which=Which.NEVER)) == [ODD]
    assert found_by(here, runner, Asked(area="xuhui", kind=Kind.CHARGER)) == [PILE]
    assert found_by(here, runner, Asked(q="SMOKE")) == [SMOKE]
    assert found_by(here, runner, Asked(number=2)) == []


def test_a_device_that_has_fallen_silent_is_silent_and_not_fine(
    here: World, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(PILE, Reading(channel=1, power_w=0.0)))
    assert found_by(here, runner, Asked(which=Which.FINE)) == [PILE]
    runner.run(here.wait(timedelta(hours=2)))
    assert PILE in found_by(here, runner, Asked(which=Which.SILENT))
    assert found_by(here, runner, Asked(which=Which.FINE)) == []


def test_nobody_finds_a_device_of_a_foreign_area(here: World, runner: asyncio.Runner) -> None:
    own = Caller.of_person(somebody("li", areas=frozenset({"berlin"})))
    found = runner.run(find(Scoped(here.watch, own), Asked()))
    assert [line.entry.id for line in found.lines] == [ODD]
    assert found.counts[Which.ALL] == 1


@pytest.mark.parametrize(
    "name", ['plug "7"', 'a"]\n[areas.x]', "back\\slash", "桩 7", "shed/left"]
)
def test_the_lines_that_declare_a_stranger_can_be_read_and_say_nothing_else(name: str) -> None:
    device = Device(
        id=DeviceId(f"undeclared/tasmota/{name}"),
        site="undeclared/tasmota",
        dialect="tasmota",
        name=name.replace("\n", " "),
        kind=Kind.CHARGER,
        declared=False,
        sockets=frozenset({1, 2}),
    )
    site = Site(id=device.site, area="undeclared", name=Name("x", "x"), declared=False)
    lines = snippet_of(device, site, known=False).replace("AREA/SITE", "a/b")
    names = 'name = { zh = "x", en = "x" }\n'
    text = f'[areas.a]\n{names}[sites."a/b"]\n{names}{lines}'
    declared = parsed(text.encode(), frozenset({"native", "tasmota"}), 2026)
    assert [(each.name, each.dialect) for each in declared.devices] == [
        (device.name, "tasmota")
    ]


def test_the_lines_for_a_native_stranger_declare_its_place_too() -> None:
    device = Device(
        id=DeviceId("new/place/pile-9"),
        site="new/place",
        dialect="native",
        name="new/place/pile-9",
        kind=Kind.SMOKE,
        declared=False,
    )
    site = Site(id="new/place", area="new", name=Name("x", "x"), declared=False)
    text = snippet_of(device, site, known=False)
    declared = parsed(text.encode(), frozenset({"native"}), 2026)
    assert [each.id for each in declared.devices] == [device.id]


# --- sessions --------------------------------------------------------------------------------


def session(**more: object) -> Session:
    values: dict[str, object] = {
        "id": 1,
        "device": PILE,
        "channel": 3,
        "site": "xuhui/renmin-lu",
        "began_at": NOON,
        "ended_at": NOON + MINUTE,
        "duration_s": 60.0,
        "energy_kwh": 0.5,
        "power_w": None,
        "charging_w": 200.0,
        "peak_w": 201.0,
        "phase": "finished",
        "ending": "stopped",
        "stop_reason": "",
    }
    return Session(**values | more)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", '"=1,2\n=3'])
def test_no_cell_of_the_table_is_a_formula(said: str) -> None:
    text = written([session(stop_reason=said)], SHANGHAI)
    _, row = csv.reader(io.StringIO(text))
    assert not row[-1].lstrip().startswith(("=", "+", "-", "@"))
    assert row[2] == "2026-11-23T12:00:00+08:00"


def test_sessions_that_go_on_and_that_ended_are_listed_with_their_alerts(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    for power_w in (200.0, 1203.0, 1203.0):
        runner.run(here.hear(PILE, Reading(channel=3, power_w=power_w)))
        runner.run(here.wait(MINUTE))
    log_in(client)
    page = client.get("/sessions?which=open&lang=en", headers=PAGE).text
    assert "socket 3" in page.casefold()
    assert 'href="/alerts/1"' in page
    ended = client.get("/sessions?lang=en", headers=PAGE).text
    assert EN("sessions.none") in ended
    for _ in range(2):
        runner.run(here.hear(PILE, Reading(channel=3, power_w=0.0, port_state="idle")))
        runner.run(here.wait(20 * SECOND))
    ended = client.get("/sessions?day=2026-11-23&lang=en", headers=PAGE).text
    assert 'href="/alerts/1"' in ended
    assert (
        EN("sessions.none") in client.get("/sessions?day=2026-11-22&lang=en", headers=PAGE).text
    )
    assert (
        EN("sessions.day.wrong") in client.get("/sessions?day=soon&lang=en", headers=PAGE).text
    )
    assert client.get("/sessions.csv?day=soon", headers=PAGE).status_code == 422
    table = client.get("/sessions.csv", headers=PAGE)
    assert table.headers["content-type"].startswith("text/csv")
    assert re.search(rf"^{PILE},3,", table.text, re.MULTILINE)
