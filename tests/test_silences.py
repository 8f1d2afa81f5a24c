"""Silences and maintenance windows: their limits, their log, and the way to make them."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.ledger import queries, silences
from ingest.ledger.silences import TooManySilences
from ingest.ledger.store import open_ledger
from rules.alerts import Alert, AlertKey, Group, GroupKind, State
from rules.readings import DeviceId, Reading
from rules.silences import LONGEST, Silence, SilenceKind, Silences
from rules.verdict import Evidence, Severity
from tests.http_doubles import (
    NOON,
    PILE,
    READ_TOKEN,
    SMOKE,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    problem,
)

pytest_plugins = ["tests.http_fixtures"]

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
API = "/api/v1/silences"
WRITER = bearer(WRITE_TOKEN)


def silence(**values: Any) -> Silence:
    """Return one of the pile for an hour, but for `values`."""
    said: dict[str, Any] = {
        "id": "1",
        "owner": "Wang",
        "reason": "a test",
        "starts": START,
        "ends": START + HOUR,
        "device": "town/north/pile-1",
    }
    return Silence(**(said | values))


def alert(rule: str = "overload", device: str = "town/north/pile-1", **values: Any) -> Alert:
    said: dict[str, Any] = {
        "key": AlertKey(rule, DeviceId(device), 1),
        "severity": Severity.CRITICAL,
        "within": (Group(GroupKind.SITE, "town/north"),),
        "state": State.FIRING,
        "began_at": START,
        "since": START,
        "evidence": Evidence(),
    }
    return Alert(**(said | values))


# --- what a silence may be ----------------------------------------------------------------

REFUSED: dict[str, dict[str, Any]] = {
    "without a reason": {"reason": " "},
    "without an owner": {"owner": ""},
    "that ends before it starts": {"ends": START - MINUTE},
    "that lasts no time": {"ends": START},
    "for more than thirty days": {"ends": START + LONGEST + MINUTE},
    "of everything": {"device": ""},
    "of a site and a device": {"site": "town/north"},
    "of a socket of nothing": {"device": "", "site": "town/north", "channel": 1},
    "with a novel for a reason": {"reason": "x" * 501},
}


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED)
def test_there_is_no_silence(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|name|ends"):
        silence(**values)


COVERED: dict[str, tuple[Silence, Alert, bool]] = {
    "the device": (silence(), alert(), True),
    "another device": (silence(), alert(device="town/north/pile-2"), False),
    "its socket": (silence(channel=1), alert(), True),
    "another socket": (silence(channel=2), alert(), False),
    "its rule": (silence(rule="overload"), alert(), True),
    "another rule": (silence(rule="heat"), alert(), False),
    "the site": (silence(device="", site="town/north"), alert(), True),
    "another site": (silence(device="", site="town/south"), alert(), False),
    "an emergency": (silence(), alert(severity=Severity.EMERGENCY), False),
    "smoke": (silence(), alert("smoke"), False),
    "smoke, of the whole site's maintenance": (
        silence(device="", site="town/north", kind=SilenceKind.MAINTENANCE),
        alert("smoke"),
        False,
    ),
    "smoke, of the device's maintenance": (
        silence(kind=SilenceKind.MAINTENANCE),
        alert("smoke"),
        True,
    ),
    "an emergency, even then": (
        silence(kind=SilenceKind.MAINTENANCE),
        alert("smoke", severity=Severity.EMERGENCY),
        False,
    ),
}


@pytest.mark.parametrize(("made", "about", "is_covered"), COVERED.values(), ids=COVERED)
def test_what_a_silence_covers(made: Silence, about: Alert, is_covered: bool) -> None:
    known = Silences()
    known.put(made, START)
    assert known.over(about, START) == ("1" if is_covered else "")


def test_the_alert_of_a_site_is_covered_by_a_silence_of_the_site() -> None:
    north = Group(GroupKind.SITE, "town/north")
    about = alert(key=AlertKey("site_outage", None, None, north))
    known = Silences()
    known.put(silence(device="", site="town/north"), START)
    assert known.over(about, START) == "1"


minutes = st.integers(0, 100)
spans = st.lists(st.tuples(minutes, st.integers(1, 60)), max_size=8)


@given(spans, st.lists(minutes, max_size=30))
def test_it_is_in_force_exactly_from_its_start_until_before_its_end(
    made: list[tuple[int, int]], asked: list[int]
) -> None:
    known = Silences()
    for number, (starts, lasts) in enumerate(made):
        begin = START + starts * MINUTE
        known.put(silence(id=str(number), starts=begin, ends=begin + lasts * MINUTE), START)
    for at in sorted(asked):
        now = START + at * MINUTE
        known.turn([], now)
        expected = any(starts <= at < starts + lasts for starts, lasts in made)
        assert bool(known.over(alert(), now)) is expected


@given(spans)
def test_every_boundary_is_a_deadline_and_nothing_is_kept_after_the_last(
    made: list[tuple[int, int]],
) -> None:
    known, boundaries = Silences(), set()
    for number, (starts, lasts) in enumerate(made):
        begin = START + starts * MINUTE
        known.put(silence(id=str(number), starts=begin, ends=begin + lasts * MINUTE), START)
        boundaries |= {begin, begin + lasts * MINUTE}
    turned = set()
    while (due := known.next_boundary()) is not None:
        assert known.turn([alert()], due) == [alert()]
        turned.add(due)
    assert turned == boundaries
    assert list(known) == []


def test_one_that_is_ended_early_is_over() -> None:
    known = Silences()
    known.put(silence(), START)
    known.put(silence(ends=START + MINUTE), START + MINUTE)
    assert known.over(alert(), START + MINUTE) == ""
    assert known.turn([alert()], START + MINUTE) == [alert()]
    assert list(known) == []


def test_what_is_past_already_is_a_deadline_now_and_not_before() -> None:
    known = Silences()
    known.put(silence(), START + MINUTE)
    assert known.next_boundary() == START + MINUTE
    known.turn([], START + MINUTE)
    assert known.next_boundary() == START + HOUR


# --- the ledger ---------------------------------------------------------------------------


def test_a_silence_is_kept_with_who_made_and_ended_it(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    with ledger.engine.begin() as c:
        made = silences.create(c, silence(id=""), who="wang", now=START)
        later = silence(id="", starts=START + DAY, ends=START + 2 * DAY)
        other = silences.create(c, later, who="wang", now=START)
        assert (made.id, other.id) == ("1", "2")
        assert [row.silence for row in silences.not_over(c, START)] == [made, other]
        silences.end(c, 1, who="li", now=START + MINUTE)
        silences.end(c, 1, who="zhao", now=START + 2 * MINUTE)
        assert silences.end(c, 9, who="li", now=START) is None
        row = silences.get(c, 1)
        assert row is not None
        assert (row.created_by, row.ended_by) == ("wang", "li")
        assert row.silence == replace(made, ends=START + MINUTE)
        events = queries.events_of(c, "silence@1")
        assert [(e.what, e.who) for e in events] == [
            ("silence_created", "wang"),
            ("silence_ended", "li"),
        ]
        taken_back = silences.end(c, 2, who="li", now=START + MINUTE)
        assert taken_back is not None
        assert taken_back.ends == START + MINUTE
        assert silences.not_over(c, START + MINUTE) == []
        assert [row.silence.id for row in silences.newest(c, 10)] == ["2", "1"]
    restored = ledger.restored().silences  # nothing was committed yet: all since ever
    assert {each.id for each in restored} == {"1", "2"}
    ledger.close()


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silences, "OPEN_MAX", 1)
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    with ledger.engine.begin() as c:
        silences.create(c, silence(), who="wang", now=START)
        with pytest.raises(TooManySilences):
            silences.create(c, silence(), who="wang", now=START)
        silences.create(c, silence(), who="wang", now=START + DAY)  # the first is over
    ledger.close()


# --- the API ------------------------------------------------------------------------------


def wanted(**values: object) -> dict[str, object]:
    said = {"owner": "Wang", "reason": "a new meter", "device": PILE, "channel": 3}
    return said | {"ends": (NOON + HOUR).isoformat()} | values


def test_only_a_token_that_may_write_makes_a_silence(client: Client) -> None:
    problem(client.post(API, json=wanted()), 401)
    problem(client.post(API, json=wanted(), headers=bearer(READ_TOKEN)), 403)
    problem(client.post(f"{API}/1/end", headers=bearer(READ_TOKEN)), 403)
    assert client.get(API, headers=WRITER).json() == {"silences": []}


NOT_TAKEN: dict[str, dict[str, object]] = {
    "without an end": {"ends": None},
    "with an end that is past": {"ends": NOON.isoformat()},
    "for half a year": {"ends": (NOON + 180 * DAY).isoformat()},
    "without a reason": {"reason": ""},
    "with a blank for an owner": {"owner": " "},
    "of a device that nobody knows": {"device": "xuhui/renmin-lu/pile-9"},
    "of a rule that nobody knows": {"rule": "overlord"},
    "of everything": {"device": "", "channel": None},
    "of a site that nobody knows": {"device": "", "channel": None, "site": "a/b"},
    "with a word that means nothing": {"loud": True},
}


@pytest.mark.parametrize("values", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_silence_is_refused(client: Client, values: dict[str, object]) -> None:
    problem(client.post(API, json=wanted(**values), headers=WRITER), 422)
    assert client.get(API, headers=WRITER).json() == {"silences": []}


def test_a_silence_keeps_an_alarm_from_people_and_its_end_tells_it(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    made = client.post(API, json=wanted(), headers=WRITER).json()
    assert made["in_force"]
    assert (made["created_by"], made["ended_by"]) == ("patrol", "")
    runner.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
    runner.run(here.wait(timedelta(seconds=31)))
    [shown] = client.get("/api/v1/alerts", headers=WRITER).json()["alerts"]
    assert (shown["state"], shown["withheld"]) == ("firing", "silenced:1")
    ended = client.post(f"{API}/1/end", headers=WRITER).json()
    assert (ended["in_force"], ended["ended_by"]) == (False, "patrol")
    [shown] = client.get("/api/v1/alerts", headers=WRITER).json()["alerts"]
    assert shown["withheld"] == ""
    page = client.get("/api/v1/alerts/1", headers=WRITER).json()
    assert [line["what"] for line in page["log"]] == ["firing", "withheld", "released"]


def test_smoke_is_kept_from_people_only_where_somebody_works(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    work = wanted(kind="maintenance", device=SMOKE, channel=None)
    client.post(API, json=work, headers=WRITER)
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    [shown] = client.get("/api/v1/alerts", headers=WRITER).json()["alerts"]
    assert shown["withheld"] == "silenced:1"
    words = client.get("/api/v1/alerts/1", headers=WRITER).json()["explanation"]
    assert "silence 1 is in force" in words["en"]["text"] + "".join(words["en"]["remarks"])


def test_those_that_are_over_are_found_too(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    client.post(API, json=wanted(), headers=WRITER)
    runner.run(here.wait(HOUR))
    assert client.get(API, headers=WRITER).json() == {"silences": []}
    [found] = client.get(f"{API}?which=all", headers=WRITER).json()["silences"]
    assert (found["id"], found["in_force"]) == (1, False)
    problem(client.post(f"{API}/9/end", headers=WRITER), 404)
