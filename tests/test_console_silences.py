"""Silences on their pages: what is shown, what is refused, and on whose clock it is read."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from api.console.hazards import HAZARDS_PER_PAGE
from api.console.local_time import Misread, as_typed, moment_typed
from api.console.silence_form import (
    Mistakes,
    Typed,
    Until,
    end_of,
    place_typed,
    silence_typed,
    where_typed,
)
from api.text import Texts
from ingest.ledger.hazards import write_hazard
from rules.readings import Reading
from rules.retrospect import Hazard
from rules.silences import Silence, SilenceKind
from rules.verdict import Evidence
from tests.http_doubles import (
    NOON,
    ODD,
    PAGE,
    PILE,
    READ_TOKEN,
    SMOKE,
    Client,
    World,
    csrf_on,
    log_in,
)

pytest_plugins = ["tests.http_fixtures"]

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
SITE = "xuhui/renmin-lu"
NEW = f"/silences/new?device={PILE}&channel=3&rule=overload"
WICKED = '<img src=x onerror="document.title=1">{{7919*7907}}'
EN = Texts.of("en")


def typed(**values: str) -> Silence | Mistakes:
    """Return what the form makes of a silence of the whole site, but for `values`."""
    said = {"site": SITE, "owner": "Wang", "reason": "a new meter"} | values
    return silence_typed(Typed(**said), [PILE, SMOKE], NOON, SHANGHAI)


def wrong(**values: str) -> dict[str, str]:
    found = typed(**values)
    assert isinstance(found, Mistakes)
    return dict(found.fields)


def make(client: Client, **values: str) -> str:
    """Make a silence by the form and return where the browser is sent."""
    form = {"csrf": csrf_on(client, NEW), "site": SITE, "owner": "Wang", "reason": "a meter"}
    response = client.post("/silences", data=form | values, headers=PAGE)
    assert response.status_code == 303, response.text
    return response.headers["location"]


# --- what was typed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-11-23T12:00", SHANGHAI, datetime(2026, 11, 23, 4, tzinfo=UTC)),
        ("2026-07-01T12:00", BERLIN, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-10-25T02:30", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # the first
        ("2026-03-29T02:30", BERLIN, Misread.SKIPPED),
        ("2026-03-29T03:00", BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("0001-01-01T00:00", SHANGHAI, Misread.NO_TIME),
        ("2026-11-23T12:00+08:00", SHANGHAI, Misread.NO_TIME),
        ("tomorrow", SHANGHAI, Misread.NO_TIME),
        ("", SHANGHAI, Misread.NO_TIME),
    ],
)
def test_a_time_is_read_on_the_clock_of_the_place(
    text: str, zone: ZoneInfo, moment: datetime | Misread
) -> None:
    assert moment_typed(text, zone) == moment
    if isinstance(moment, datetime):
        assert as_typed(moment, zone) == text


def test_until_the_morning_is_the_next_day_at_eight_there_also_when_the_clocks_change() -> None:
    evening = datetime(2026, 3, 28, 21, tzinfo=UTC)
    assert end_of(Until.MORNING, evening, BERLIN) == datetime(2026, 3, 29, 6, tzinfo=UTC)
    assert end_of(Until.MORNING, NOON, SHANGHAI) == datetime(2026, 11, 24, 0, tzinfo=UTC)


def test_a_place_is_the_site_a_device_of_it_or_a_socket_and_nothing_else() -> None:
    devices = [PILE, "a/b/odd#7"]
    for place in (("", None), (PILE, None), (PILE, 3), ("a/b/odd#7", None)):
        assert place_typed(where_typed(*place), devices) == place
    for none in (SMOKE, f"{PILE}#0", f"{PILE}#257", f"{PILE}#x", f"{PILE}#", f"{PILE}#³"):
        assert place_typed(none, devices) is None


def test_the_usual_ends_are_counted_from_the_beginning() -> None:
    now, later = typed(), typed(starts="2026-11-24T09:00", until="two_hours")
    assert isinstance(now, Silence)
    assert isinstance(later, Silence)
    assert (now.starts, now.ends) == (NOON, NOON + timedelta(minutes=30))
    assert later.ends == datetime(2026, 11, 24, 3, tzinfo=UTC)


def test_a_silence_that_began_in_the_past_begins_now() -> None:
    found = typed(starts="2026-11-23T11:00", until="at", ends="2026-11-23T13:00")
    assert isinstance(found, Silence)
    assert found.starts == NOON


def test_every_mistake_is_told_at_its_field() -> None:
    assert wrong(owner=" ", reason="") == {
        "owner": "ui.silence.wrong.owner",
        "reason": "ui.silence.wrong.reason",
    }
    assert wrong(until="at", ends="2026-11-23T11:59") == {"ends": "ui.silence.wrong.ends"}
    assert wrong(until="at", ends="2027-11-23T11:59") == {"ends": "ui.silence.wrong.long"}
    assert wrong(until="at") == {"ends": "ui.time.no_time"}
    assert wrong(until="for ever") == {"ends": "ui.time.no_time"}
    assert wrong(starts="soon") == {"starts": "ui.time.no_time"}
    assert wrong(where="berlin/hof/pile-1") == {"where": "ui.silence.wrong.where"}
    for key in ("owner", "reason", "where", "rule", "ends", "long", "too_many", "refused"):
        assert f"ui.silence.wrong.{key}" in EN.messages
    assert {f"ui.time.{misread}" for misread in Misread} <= EN.messages.keys()


def test_what_would_silence_nothing_is_refused() -> None:
    for rule in ("smoke", "fire"):
        assert wrong(rule=rule) == {"rule": "ui.silence.wrong.rule"}
        assert wrong(rule=rule, where=SMOKE) == {"rule": "ui.silence.wrong.rule"}
        assert wrong(rule=rule, kind="maintenance") == {"rule": "ui.silence.wrong.rule"}
        found = typed(rule=rule, kind="maintenance", where=SMOKE)
        assert isinstance(found, Silence)
        assert found.kind is SilenceKind.MAINTENANCE


# --- the pages -------------------------------------------------------------------------------


def test_a_silence_is_made_shown_with_what_it_withholds_and_ended(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    assert "没有静默或维护" in client.get("/silences", headers=PAGE).text
    where = make(client, where=f"{PILE}#3", rule="overload", until="two_hours")
    assert where == "/silences/1"
    runner.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
    runner.run(here.wait(timedelta(seconds=31)))
    page = client.get("/silences/1?lang=en", headers=PAGE).text
    assert 'data-alert="1"' in page
    assert "The 1 alerts that still fire will be told at once." in page
    assert "Withholds 1 alerts now" in client.get("/silences", headers=PAGE).text
    ended = client.post(
        "/silences/1/end", data={"csrf": csrf_on(client, "/silences/1")}, headers=PAGE
    )
    assert ended.headers["location"] == "/silences/1"
    page = client.get("/silences/1", headers=PAGE).text
    assert "Ended early" in page
    assert "/silences/1/end" not in page
    assert "No silence is in force" in client.get("/silences", headers=PAGE).text
    runner.run(here.wait(timedelta(seconds=1)))
    [alert] = here.engine.alerts_of(PILE)
    assert not alert.withheld


def test_a_silence_that_was_over_long_ago_is_not_listed(here: World, client: Client) -> None:
    log_in(client)
    make(client)
    here.at += timedelta(days=29)
    assert "人民路充电站 · 全站" in client.get("/silences", headers=PAGE).text
    here.at += timedelta(days=3)
    assert "人民路充电站 · 全站" not in client.get("/silences", headers=PAGE).text


def test_a_link_fills_in_the_form_and_a_wrong_one_does_not(client: Client) -> None:
    log_in(client)
    page = client.get(NEW, headers=PAGE).text
    assert f'<option value="{PILE}#3" selected>' in page
    assert '<option value="overload" selected>' in page
    page = client.get(f"/silences/new?site={SITE}&rule=<b>", headers=PAGE).text
    assert "<b>" not in page
    assert '<option value="" selected>' in page
    assert client.get("/silences/new?device=xuhui/x/y", headers=PAGE).status_code == 404
    assert client.get("/silences/new?channel=999", headers=PAGE).status_code == 422


def test_the_form_says_what_it_will_not_silence_and_in_which_zone_it_is_read(
    client: Client,
) -> None:
    log_in(client)
    page = client.get(f"/silences/new?site={SITE}&lang=en", headers=PAGE).text
    assert "Emergencies: nothing silences them." in page
    assert "Smoke and fire" in page
    assert "China Standard Time" in page
    page = client.get("/silences/new?site=berlin/hof", headers=PAGE).text
    assert "Central European Standard Time" in page


def test_mistakes_are_shown_with_what_was_typed_and_make_no_silence(client: Client) -> None:
    log_in(client)
    form = {"csrf": csrf_on(client, NEW), "site": "berlin/hof", "reason": WICKED}
    form |= {"where": str(ODD), "until": "at", "ends": "2027-03-28T02:30"}
    response = client.post("/silences?lang=en", data=form, headers=PAGE)
    assert response.status_code == 422
    assert "the clocks go forward over it" in response.text
    assert "Say who answers for it." in response.text
    assert "&lt;img src=x" in response.text
    assert 'value="2027-03-28T02:30"' in response.text
    assert "<img src=x" not in response.text
    assert client.get("/silences/1", headers=PAGE).status_code == 404


def test_a_rule_that_nobody_knows_is_refused_in_words(client: Client) -> None:
    log_in(client)
    form = {"csrf": csrf_on(client, NEW), "site": SITE, "owner": "W", "reason": "r"}
    response = client.post("/silences?lang=en", data=form | {"rule": "nothing"}, headers=PAGE)
    assert response.status_code == 422
    assert "Choose again." in response.text


def test_what_people_wrote_is_text_on_every_page(client: Client) -> None:
    log_in(client)
    make(client, owner=WICKED, reason=WICKED + "\u202e")
    for path in ("/silences", "/silences/1"):
        page = client.get(path, headers=PAGE).text
        assert "&lt;img src=x" in page
        assert "<img src=x" not in page
        assert "62615533" not in page
        assert "\u202e" not in page


def test_who_may_only_look_is_offered_nothing_to_do(client: Client) -> None:
    log_in(client)
    make(client)
    client.post("/logout", data={"csrf": csrf_on(client, "/")}, headers=PAGE)
    log_in(client, READ_TOKEN)
    for path in ("/silences", "/silences/1"):
        page = client.get(path, headers=PAGE).text
        assert "/silences/new" not in page
        assert not re.search(r'action="/silences', page)
    assert client.get(NEW, headers=PAGE).status_code == 403


# --- hazards ---------------------------------------------------------------------------------


def test_hazards_are_told_in_words_and_of_one_site_if_asked(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    assert "没有事后发现的隐患" in client.get("/hazards", headers=PAGE).text
    for device, site in ((PILE, SITE), (ODD, "berlin/hof")):
        found = Hazard(
            rule="overload",
            device=device,
            channel=1,
            site=site,
            began_at=NOON - timedelta(hours=3),
            ended_at=NOON - timedelta(hours=2),
            evidence=Evidence(1310.0, 1000.0, "W"),
        )
        runner.run(here.ledger.write(partial(write_hazard, hazard=found, now=NOON)))
    page = client.get("/hazards?lang=en", headers=PAGE).text
    assert "Measured: 1,310 W; limit: 1,000 W." in page
    assert "Säule &lt;b&gt;1&lt;/b&gt; 桩" in page
    assert "Renmin Road" not in client.get("/hazards?site=berlin/hof", headers=PAGE).text
    assert client.get("/hazards?site=berlin/x", headers=PAGE).status_code == 404


def test_more_hazards_than_a_page_holds_are_on_the_next(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    for day in range(HAZARDS_PER_PAGE + 1):
        at = NOON - timedelta(days=day + 1)
        found = Hazard(
            rule="smoke",
            device=SMOKE,
            channel=None,
            site=SITE,
            began_at=at,
            ended_at=at,
            evidence=Evidence(),
        )
        runner.run(here.ledger.write(partial(write_hazard, hazard=found, now=NOON)))
    log_in(client)
    first = client.get("/hazards", headers=PAGE).text
    assert first.count('<li class="panel">') == HAZARDS_PER_PAGE
    [older] = re.findall(r'href="(/hazards\?before_id=\d+)"', first)
    assert client.get(older, headers=PAGE).text.count('<li class="panel">') == 1
