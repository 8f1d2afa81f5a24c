"""Alerts and charges in InfluxDB: none lost, none twice, whatever is cut off."""

import asyncio
from datetime import time, timedelta

import pytest
from msgspec.structs import replace

from api.fact_words import fact_words
from ingest.facts import FactsFollower
from ingest.history import HistoryUnavailable
from ingest.influx_client import open_client
from ingest.influx_lines import line, visible
from ingest.ledger.commit import Acknowledged
from ingest.ledger.facts import Facts, facts_after
from ingest.ledger.silences import create
from ingest.ledger.store import Ledger
from ingest.measurements import FACTS_CURSOR, Kept
from ingest.moments import to_us
from ingest.point_store import PointStore
from ingest.registry import Name, Site
from rules.alerts import AlertKey, Change, Group, GroupKind, Transition
from rules.schedule import Schedule, Window
from rules.session import Ending
from rules.silences import Silence, SilenceKind
from rules.verdict import Evidence, Severity
from tests.influx_databases import AnyInflux, made_address, remove
from tests.point_stores import MemoryPoints
from tests.test_ledger import (
    MINUTE,
    NOON,
    PILE,
    SECOND,
    commit_of,
    ended,
    firing,
    happened,
    ledger,
    resolved,
    run,
)

__all__ = ["ledger"]
pytest_plugins = ["tests.influx_fixtures"]

AT_ONCE = 30
NOON_NS = to_us(NOON) * 1000
OPEN = Schedule("Asia/Shanghai", ())
NORTH = Site(id="town/north", area="town", name=Name("北", "North"))
PLACE = {"area": "town", "site": "town/north", "device": PILE}


@pytest.fixture
def store() -> MemoryPoints:
    return MemoryPoints()


def follower(ledger: Ledger, store: PointStore, schedule: Schedule = OPEN) -> FactsFollower:
    async def read(event: int, session: int, limit: int) -> Facts:
        return await ledger.read(lambda c: facts_after(c, event, session, limit))

    words = fact_words({NORTH.id: NORTH})
    return FactsFollower(read, store, words, lambda _: schedule, at_once=AT_ONCE)


def carry(ledger: Ledger, store: PointStore, schedule: Schedule = OPEN) -> None:
    run(follower(ledger, store, schedule).catch_up())


def test_a_drill_is_nothing_that_happened(ledger: Ledger, store: MemoryPoints) -> None:
    drill = replace(firing(), drill=True)
    run(ledger.commit(commit_of(changes=happened(drill))))
    run(ledger.commit(commit_of(changes=happened(firing(rule="smoke")))))
    carry(ledger, store)
    assert [tags["rule"] for tags, _, _ in store.of("alert")] == ["smoke"]
    assert {tags["rule"] for tags, _, _ in store.of("alert_event")} == {"smoke"}


def test_an_alert_is_a_point_at_the_moment_it_fired(
    ledger: Ledger, store: MemoryPoints
) -> None:
    run(ledger.commit(commit_of(changes=happened(firing()))))
    carry(ledger, store)
    [(tags, fields, time_ns)] = store.of("alert")
    assert tags == {**PLACE, "socket": "1", "rule": "overload"}
    assert fields == {
        "episode": "1",
        "title_zh": "插座功率过高",
        "site_zh": "北",
        "site_en": "North",
        "title_en": "Socket overload",
        "severity": 2,
        "open": 1,
        "withheld": 0,
        "flaps": 0,
        "tier": 1,
        "acknowledged_by": "",
        "value": 1200.0,
        "limit": 1000.0,
        "unit": "W",
    }
    assert time_ns == NOON_NS + 1


def test_each_thing_that_happens_to_an_alert_is_a_point(
    ledger: Ledger, store: MemoryPoints
) -> None:
    alert = firing()
    seen = Acknowledged(alert.episode, NOON + SECOND, "王", 'on my "way",\nsoon')
    run(ledger.commit(commit_of(changes=happened(alert))))
    run(ledger.commit(commit_of(acknowledged=[seen], changes=happened(resolved(alert)))))
    carry(ledger, store)
    found = store.of("alert_event")
    assert [tags["what"] for tags, _, _ in found] == ["firing", "acknowledged", "resolved"]
    assert {fields["episode"] for _, fields, _ in found} == {"1"}
    tags, fields, time_ns = found[1]
    assert tags == {**PLACE, "socket": "1", "rule": "overload", "what": "acknowledged"}
    assert fields["title_en"] == "Socket overload: Acknowledged by 王"
    assert fields["title_zh"] == "插座功率过高:王 已确认"
    assert (fields["who"], fields["detail"]) == ("王", visible('on my "way",\nsoon'))
    assert time_ns // 1000 == to_us(NOON + SECOND)


def test_an_alert_is_written_anew_when_it_changes(ledger: Ledger, store: MemoryPoints) -> None:
    alert = firing()
    run(ledger.commit(commit_of(changes=happened(alert))))
    carry(ledger, store)
    seen = Acknowledged(alert.episode, NOON + 30 * SECOND, "Wang", "")
    run(ledger.commit(commit_of(acknowledged=[seen])))
    carry(ledger, store)
    [(_, fields, _)] = store.of("alert")
    assert (fields["open"], fields["acknowledged_by"]) == (1, "Wang")
    assert fields["acknowledged_after_s"] == 30.0
    assert "resolved_after_s" not in fields
    run(ledger.commit(commit_of(changes=happened(resolved(alert)))))
    carry(ledger, store)
    [(_, fields, _)] = store.of("alert")
    assert (fields["open"], fields["resolved_after_s"]) == (0, 60.0)


def test_two_alerts_of_one_socket_and_moment_are_two_points(
    ledger: Ledger, store: MemoryPoints
) -> None:
    first = firing()
    again = replace(firing(NOON + timedelta(microseconds=1)), since=NOON)
    run(ledger.commit(commit_of(changes=happened(first, resolved(first), again))))
    carry(ledger, store)
    assert [fields["episode"] for _, fields, _ in store.of("alert")] == ["1", "2"]
    assert len(store.of("alert_event")) == 3


def test_an_alert_of_a_site_or_a_carrier_has_no_device(
    ledger: Ledger, store: MemoryPoints
) -> None:
    site, carrier = Group(GroupKind.SITE, "town/north"), Group(GroupKind.CARRIER, "mobile")
    of_site = replace(
        firing(),
        key=AlertKey("site_outage", None, None, site),
        evidence=Evidence(),
    )
    of_carrier = replace(
        firing(NOON + SECOND),
        key=AlertKey("carrier_outage", None, None, carrier),
        within=(carrier,),
    )
    run(ledger.commit(commit_of(changes=happened(of_site, of_carrier))))
    carry(ledger, store)
    (tags, fields, _), (of_several, _, _) = store.of("alert")
    assert tags == {"area": "town", "site": "town/north", "rule": "site_outage"}
    assert "value" not in fields
    assert of_several == {"rule": "carrier_outage"}


def test_what_is_no_alert_is_no_point_and_keeps_nothing_waiting(
    ledger: Ledger, store: MemoryPoints
) -> None:
    wanted = Silence(
        id="", kind=SilenceKind.SILENCE, owner="王", reason="works", starts=NOON,
        ends=NOON + MINUTE, site="town/north",
    )  # fmt: skip
    run(ledger.write(lambda c: create(c, wanted, who="王", now=NOON)))
    run(ledger.commit(commit_of(changes=happened(firing()))))
    carry(ledger, store)
    assert len(store.of("alert_event")) == len(store.of("alert")) == 1
    [(_, cursor, time_ns)] = store.of("facts_cursor")
    assert (cursor, time_ns) == ({"event": 2, "session": 0}, 0)


def test_a_charge_is_a_point_at_the_moment_it_began(
    ledger: Ledger, store: MemoryPoints
) -> None:
    run(ledger.commit(commit_of(sessions=[ended(stop_reason="overload")])))
    carry(ledger, store)
    [(tags, fields, time_ns)] = store.of("session")
    assert tags == {**PLACE, "socket": "1"}
    assert fields == {
        "ended_at_us": to_us(NOON + 120 * MINUTE),
        "duration_s": 7200.0,
        "energy_kwh": 0.42,
        "peak_w": 210.5,
        "charging_w": 196.25,
        "ending": "finished",
        "stop_reason": "overload",
        "after_hours": 0,
    }
    assert time_ns == NOON_NS


@pytest.mark.parametrize(
    ("closed", "after_hours"),
    [
        (Window(time(14, 0, 1), time(20)), 0),  # it ended at 14:00:00
        (Window(time(14), time(20)), 1),
        (Window(time(6), time(12)), 0),
        (Window(time(6), time(12, 0, 1)), 1),
        (Window(time(13), time(13, 5)), 1),
    ],
)
def test_a_charge_that_lasted_into_closed_hours_says_so(
    ledger: Ledger, store: MemoryPoints, closed: Window, after_hours: int
) -> None:
    run(ledger.commit(commit_of(sessions=[ended()])))
    carry(ledger, store, Schedule("Asia/Shanghai", (closed,)))
    [(_, fields, _)] = store.of("session")
    assert fields["after_hours"] == after_hours


def test_a_charge_that_is_explained_later_is_written_anew(
    ledger: Ledger, store: MemoryPoints
) -> None:
    run(ledger.commit(commit_of(sessions=[ended(ending=Ending.ABRUPT), ended(channel=2)])))
    carry(ledger, store)
    told = ended(ending=Ending.STOPPED, stop_reason="full")
    run(ledger.commit(commit_of(sessions=[told])))
    carry(ledger, store)
    found = {tags["socket"]: fields["ending"] for tags, fields, _ in store.of("session")}
    assert found == {"1": "stopped", "2": "finished"}


def test_nothing_new_writes_nothing(ledger: Ledger, store: MemoryPoints) -> None:
    run(ledger.commit(commit_of(changes=happened(firing()), sessions=[ended()])))
    carry(ledger, store)
    writes = store.writes
    carry(ledger, store)
    assert store.writes == writes


def busy(ledger: Ledger) -> None:
    """Write more than is carried at a time, of both kinds, unevenly."""
    alerts = [firing(NOON + n * SECOND) for n in range(AT_ONCE)]
    changes: list[Change] = []
    for alert in alerts:
        changes += happened(alert, resolved(alert, SECOND / 2))
    run(ledger.commit(commit_of(changes=changes)))
    sessions = [ended(NOON + n * SECOND) for n in range(AT_ONCE + 7)]
    run(ledger.commit(commit_of(sessions=sessions)))


def test_more_than_fits_at_a_time_is_carried_in_parts(
    ledger: Ledger, store: MemoryPoints
) -> None:
    busy(ledger)
    carry(ledger, store)
    assert store.writes == 4  # two parts, and how far it is after each
    assert len(store.of("alert")) == AT_ONCE
    assert len(store.of("alert_event")) == 2 * AT_ONCE
    assert len(store.of("session")) == AT_ONCE + 7
    assert all(fields["open"] == 0 for _, fields, _ in store.of("alert"))


def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    ledger: Ledger, store: MemoryPoints
) -> None:
    busy(ledger)
    carry(ledger, store)
    for writes in range(4):
        cut_off = MemoryPoints()
        cut_off.dies_after = writes
        with pytest.raises(HistoryUnavailable):
            carry(ledger, cut_off)
        cut_off.dies_after = None
        carry(ledger, cut_off)
        assert cut_off.points == store.points


def test_days_without_influxdb_are_caught_up(ledger: Ledger, store: MemoryPoints) -> None:
    store.down = "connection refused"
    for day in range(3):
        at = NOON + timedelta(days=day)
        alert = firing(at, channel=1 + day)
        run(ledger.commit(commit_of(changes=happened(alert), sessions=[ended(at)])))
        with pytest.raises(HistoryUnavailable, match="refused"):
            carry(ledger, store)
    store.down = ""
    carry(ledger, store)
    assert [len(store.of(name)) for name in ("alert", "alert_event", "session")] == [3, 3, 3]


def test_a_ledger_that_was_put_back_is_told_and_nothing_is_written(
    ledger: Ledger, store: MemoryPoints
) -> None:
    ahead = line(FACTS_CURSOR, {}, {"event": 5, "session": 0}, 0)
    run(store.write(Kept.LONG, [ahead]))
    run(ledger.commit(commit_of(changes=happened(firing()))))
    with pytest.raises(HistoryUnavailable, match="put back or replaced"):
        carry(ledger, store)
    assert store.of("alert") == []


def test_a_cursor_that_makes_no_sense_is_told_and_kills_nobody(
    ledger: Ledger, store: MemoryPoints
) -> None:
    run(store.write(Kept.LONG, [line(FACTS_CURSOR, {}, {"event": 5}, 0)]))
    with pytest.raises(HistoryUnavailable, match="makes no sense: KeyError"):
        carry(ledger, store)


def test_a_raised_alert_shows_its_new_severity(ledger: Ledger, store: MemoryPoints) -> None:
    alert = firing()
    worse = replace(alert, severity=Severity.EMERGENCY, raised_at=NOON + SECOND)
    changes = [*happened(alert), Change(worse, Transition.RAISED)]
    run(ledger.commit(commit_of(changes=changes, now=NOON + SECOND)))
    carry(ledger, store)
    [(_, fields, _)] = store.of("alert")
    assert fields["severity"] == 3
    assert [tags["what"] for tags, _, _ in store.of("alert_event")] == ["firing", "raised"]


def test_a_real_influxdb_has_all_of_it_once(ledger: Ledger, influx: AnyInflux) -> None:
    address = made_address(influx)
    busy(ledger)

    async def carried() -> None:
        async with open_client(address) as client:
            for _ in range(2):  # the second finds how far the first came
                await follower(ledger, client).catch_up()

    try:
        asyncio.run(carried())
        counts = {
            name: influx.query(f'SELECT count({field}) FROM "long"."{name}"', address.database)[
                0
            ]["values"][0][1]
            for name, field in (
                ("alert", "open"),
                ("alert_event", "severity"),
                ("session", "energy_kwh"),
                ("facts_cursor", "event"),
            )
        }
    finally:
        remove(influx, address)
    assert counts == {
        "alert": AT_ONCE,
        "alert_event": 2 * AT_ONCE,
        "session": AT_ONCE + 7,
        "facts_cursor": 1,
    }
