"""Rollups on a real InfluxDB: right, made again at any time, and caught up by themselves."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from ingest.counters import Counted, counted
from ingest.history import HistoryUnavailable
from ingest.influx_client import InfluxClient
from ingest.influx_lines import line, reading_lines
from ingest.journal import Entry
from ingest.measurements import ALERT, SESSION, Kept
from ingest.moments import to_us
from ingest.registry import Name
from ingest.rolling_up import RollUps
from ingest.rollups import SitePlan, Watched
from ingest.windows import QUARTER
from rules.readings import DeviceId, Reading, Report
from rules.schedule import Schedule, Window
from tests.influx_databases import AnyInflux, made_address, remove

pytest_plugins = ["tests.influx_fixtures"]

DAY0 = datetime(2026, 1, 4, 16, tzinfo=UTC)
"""Midnight in Shanghai; the 5th of January begins."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PILE, OTHER = DeviceId("town/north/pile-1"), DeviceId("town/north/pile-2")
SHANGHAI = Schedule("Asia/Shanghai", (Window(time(22), time(5)),))
KEEP = timedelta(days=400)


class Heard(NamedTuple):
    """One reading; `after` is how much later than its time it arrived."""

    at: datetime
    reading: Reading
    device: DeviceId = PILE
    after: timedelta = timedelta(0)


class Database:
    """A database of a test's own, and what rolls it up."""

    def __init__(self, server: AnyInflux) -> None:
        self._server = server
        self.address = made_address(server)
        self.client = InfluxClient(self.address)
        self.now = DAY0
        self.ready = True
        self.plan = plan()
        self._entry = 0

    def close(self) -> None:
        self.client.close()
        remove(self._server, self.address)

    def rollups(self) -> RollUps:
        return RollUps(
            self.client,
            lambda: [self.plan],
            now=lambda: self.now,
            keep=KEEP,
            ready=lambda: self.ready,
        )

    def hear(self, heard: Sequence[Heard]) -> None:
        self._entry += 1
        reports = tuple(
            Report(
                device=each.device,
                at=each.at,
                received_at=each.at + each.after,
                identity="",
                readings=(each.reading,),
            )
            for each in heard
        )
        entry = Entry(self._entry, self.now, reports)
        self.write(Kept.READINGS, list(reading_lines(entry)))

    def write(self, kept: Kept, lines: list[bytes]) -> None:
        asyncio.run(self.client.write(kept, lines))

    def roll_up(self, now: datetime) -> RollUps:
        """Do what a service would do that is started anew at a moment."""
        self.now = now
        rollups = self.rollups()
        asyncio.run(rollups.catch_up())
        return rollups

    def points(self, measurement: str) -> list[dict[str, Any]]:
        """Return the points in `long`, by time, as tags and fields that are there."""
        found = []
        for series in self._server.query(
            f'SELECT * FROM "long"."{measurement}"', self.address.database
        ):
            for values in series["values"]:
                row = dict(zip(series["columns"], values, strict=True))
                found.append({key: value for key, value in row.items() if value is not None})
        return found

    def energies(self, measurement: str) -> dict[datetime, float]:
        """Return energy by time, of all that is there at it."""
        found: dict[datetime, float] = {}
        for row in self.points(measurement):
            at = datetime.fromtimestamp(row["time"] / 1e9, UTC)
            found[at] = found.get(at, 0.0) + row["energy_kwh"]
        return found


@pytest.fixture
def database(influx: AnyInflux) -> Iterator[Database]:
    made = Database(influx)
    yield made
    made.close()


def plan(schedule: Schedule = SHANGHAI, sockets: int = 20) -> SitePlan:
    return SitePlan(
        id="town/north",
        area="town",
        name=Name("北", "North"),
        schedule=schedule,
        devices=tuple(
            Watched(id=name, silent_after=timedelta(minutes=8), charging_min_w=15.0)
            for name in (PILE, OTHER)
        ),
        sockets=sockets,
    )


def metered(
    seed: int, since: datetime, until: datetime, channel: int = 1, device: DeviceId = PILE
) -> list[Heard]:
    """Return what a socket's counter says, every few minutes, with gaps and fresh starts."""
    chance, at, kwh = Random(seed), since, 50.0
    heard = []
    while (at := at + MINUTE * chance.choice([1, 3, 3, 3, 5, 40])) < until:
        kwh += chance.uniform(0, 0.02)
        if chance.random() < 0.01:
            kwh = chance.uniform(0, 0.01)
        reading = Reading(channel=channel, power_w=chance.uniform(0, 400), energy_kwh=kwh)
        heard.append(Heard(at + timedelta(seconds=chance.uniform(0, 50)), reading, device))
    return heard


def oracle(heard: Sequence[Heard]) -> dict[datetime, float]:
    """Return what the counter of one socket counted, one reading after the other."""
    return counted(
        None,
        [
            Counted(to_us(each.at), each.reading.energy_kwh)
            for each in heard
            if each.reading.energy_kwh is not None
        ],
    )


def nonzero(energies: dict[datetime, float]) -> dict[datetime, Any]:
    return {at: pytest.approx(kwh) for at, kwh in energies.items() if kwh}


# --- Right --------------------------------------------------------------------------------


def test_windows_and_days_are_what_a_slow_reader_of_every_reading_finds(
    database: Database,
) -> None:
    sockets = [
        metered(1, DAY0 + HOUR, DAY0 + 2 * DAY),
        metered(2, DAY0 + HOUR, DAY0 + 2 * DAY, channel=2),
        metered(3, DAY0 + 9 * HOUR, DAY0 + 30 * HOUR, device=OTHER),
    ]
    for heard in sockets:
        database.hear(heard)
    database.roll_up(DAY0 + 2 * DAY + HOUR)
    expected: dict[datetime, float] = {}
    for heard in sockets:
        for at, kwh in oracle(heard).items():
            expected[at] = expected.get(at, 0.0) + kwh
    assert nonzero(database.energies("site_15m")) == nonzero(expected)
    assert nonzero(database.energies("socket_15m")) == nonzero(expected)
    days = {
        day: sum(kwh for at, kwh in expected.items() if day <= at < day + DAY)
        for day in (DAY0, DAY0 + DAY)
    }
    assert nonzero(database.energies("site_day")) == nonzero(days)
    assert nonzero(database.energies("socket_day")) == nonzero(days)


def test_slices_of_any_length_give_the_same(database: Database) -> None:
    database.hear(metered(4, DAY0 + HOUR, DAY0 + DAY))
    database.roll_up(DAY0 + DAY + HOUR)
    at_once = database.points("socket_15m")
    database.plan = plan(sockets=5_000)  # so that it takes a window at a time
    asyncio.run(database.rollups().make(database.plan, [date(2026, 1, 5)]))
    assert database.points("socket_15m") == at_once
    assert len(at_once) > 40


def test_a_socket_without_a_counter_has_the_energy_of_its_mean_power(
    database: Database,
) -> None:
    at = DAY0 + 12 * HOUR
    database.hear(
        [
            Heard(at + n * MINUTE, Reading(channel=1, power_w=power_w))
            for n, power_w in enumerate([100.0, 300.0, 200.0])
        ]
    )
    database.hear([Heard(at + MINUTE, Reading(channel=2, power_w=1e8, relay_on=True))])
    database.roll_up(at + HOUR)
    one, two = (row for row in database.points("socket_15m") if row["readings"])
    assert (one["socket"], one["energy_kwh"]) == ("1", pytest.approx(0.05))
    assert (one["mean_w"], one["peak_w"], one["readings"]) == (200, 300, 3)
    assert one["area"] == "town"
    assert (two["socket"], two["energy_kwh"], two["readings"]) == ("2", 0, 1)
    assert "peak_w" not in two  # nothing draws 100 MW


def test_the_energy_of_closed_hours_is_told_apart(database: Database) -> None:
    ten_at_night = DAY0 + 22 * HOUR
    for minutes, kwh in ((-20, 1.0), (-8, 1.25), (7, 1.75)):
        at = ten_at_night + minutes * MINUTE
        database.hear([Heard(at, Reading(channel=1, energy_kwh=kwh))])
    database.roll_up(DAY0 + DAY + HOUR)
    [day] = [row for row in database.points("site_day") if row["energy_kwh"]]
    assert (day["energy_kwh"], day["after_hours_kwh"]) == (0.75, 0.5)


def test_a_day_counts_the_charges_and_alerts_that_began_on_it(database: Database) -> None:
    database.hear([Heard(DAY0 + HOUR, Reading(channel=1, power_w=100.0))])
    place = {"area": "town", "site": "town/north", "device": PILE, "socket": "1"}

    def began(after: timedelta) -> int:
        return to_us(DAY0 + after) * 1000

    database.write(
        Kept.LONG,
        [
            line(SESSION, place, {"energy_kwh": 0.4, "after_hours": 0}, began(-MINUTE)),
            line(SESSION, place, {"energy_kwh": 0.4, "after_hours": 0}, began(0 * MINUTE)),
            line(SESSION, place, {"energy_kwh": 0.4, "after_hours": 1}, began(23 * HOUR)),
            line(ALERT, place | {"rule": "overload"}, {"severity": 2}, began(HOUR)),
            line(ALERT, place | {"rule": "smoke"}, {"severity": 2}, began(HOUR)),
            line(ALERT, place | {"rule": "smoke"}, {"severity": 2}, began(DAY)),
        ],
    )
    database.roll_up(DAY0 + DAY + HOUR)
    [day] = [row for row in database.points("site_day") if row["alerts"]]
    assert (day["sessions"], day["after_hours_sessions"]) == (2, 1)
    assert (day["alerts"], day["overload_alerts"]) == (2, 1)
    assert (day["name_zh"], day["name_en"]) == ("北", "North")
    [socket] = database.points("socket_day")
    assert socket["sessions"] == 2


def test_days_of_23_and_25_hours_are_whole(database: Database) -> None:
    database.plan = plan(Schedule("Europe/Berlin", ()))
    spring = datetime(2026, 3, 28, 23, tzinfo=UTC)
    database.hear(metered(5, spring - 2 * HOUR, spring + 26 * HOUR))
    database.roll_up(spring + 27 * HOUR)
    [day] = [row for row in database.points("site_day") if row["time"] == ns(spring)]
    expected = sum(
        kwh
        for at, kwh in database.energies("site_15m").items()
        if spring <= at < spring + 23 * HOUR
    )
    assert day["energy_kwh"] == pytest.approx(expected)
    assert expected > 0


def ns(moment: datetime) -> int:
    return to_us(moment) * 1000


# --- Again and again ----------------------------------------------------------------------


def quiet(since: datetime, until: datetime) -> list[Heard]:
    steps = range((until - since) // (5 * MINUTE))
    return [
        Heard(since + n * 5 * MINUTE + MINUTE, Reading(channel=1, power_w=2.0)) for n in steps
    ]


def test_it_makes_each_window_when_it_is_over_and_each_day_when_the_clocks_are_past_it(
    database: Database,
) -> None:
    begins = DAY0 + 23 * HOUR
    database.hear(quiet(begins, begins + 2 * HOUR))
    rollups = database.rollups()

    def windows_and_days(after: timedelta) -> tuple[int, int]:
        database.now = DAY0 + after
        asyncio.run(rollups.catch_up())
        windows = [row for row in database.points("site_15m") if row["time"] >= ns(begins)]
        return len(windows), len(database.points("site_day"))

    assert windows_and_days(23 * HOUR + 16 * MINUTE) == (0, 0)
    assert windows_and_days(23 * HOUR + 17 * MINUTE) == (1, 0)
    assert windows_and_days(24 * HOUR + 3 * MINUTE) == (4, 0)
    assert windows_and_days(24 * HOUR + 16 * MINUTE) == (4, 0)
    assert windows_and_days(24 * HOUR + 17 * MINUTE) == (5, 1)


def test_it_waits_for_readings_that_are_being_carried(database: Database) -> None:
    database.hear(quiet(DAY0, DAY0 + HOUR))
    database.ready = False
    database.roll_up(DAY0 + 2 * HOUR)
    assert database.points("site_15m") == []
    database.ready = True
    database.roll_up(DAY0 + 2 * HOUR)
    assert database.points("site_15m") != []


def test_an_outage_of_days_is_caught_up(database: Database) -> None:
    database.hear(quiet(DAY0, DAY0 + 5 * DAY))
    database.roll_up(DAY0 + 9 * HOUR)
    database.roll_up(DAY0 + 4 * DAY + 9 * HOUR)
    assert len(database.points("site_15m")) == (4 * 24 + 9) * 4 - 1
    assert [row["time"] for row in database.points("site_day")] == [
        ns(DAY0 + n * DAY) for n in range(4)
    ]


def test_a_site_without_readings_makes_nothing(database: Database) -> None:
    assert database.roll_up(DAY0 + DAY).made.windows == 0


def test_when_nothing_happens_every_window_is_there_all_the_same(database: Database) -> None:
    database.hear(quiet(DAY0, DAY0 + QUARTER))
    database.roll_up(DAY0 + 2 * HOUR)
    rows = database.points("site_15m")
    assert [row["heard"] for row in rows] == [1, 0, 0, 0, 0, 0, 0]
    assert {row["devices"] for row in rows} == {2}


def test_readings_that_come_late_change_their_windows_and_days(database: Database) -> None:
    database.hear(quiet(DAY0, DAY0 + 5 * DAY))
    database.roll_up(DAY0 + 5 * DAY + 9 * HOUR)
    [before] = [row for row in database.points("site_day") if row["time"] == ns(DAY0 + DAY)]
    late_at, today_at = DAY0 + DAY + 12 * HOUR, DAY0 + 5 * DAY + HOUR
    arrives = DAY0 + 5 * DAY + 9 * HOUR + 5 * MINUTE
    database.hear(
        [
            Heard(at + n * MINUTE, reading, OTHER, arrives - at)
            for at in (late_at, today_at)
            for n, reading in enumerate([Reading(channel=1, power_w=800.0)] * 3)
        ]
    )
    database.roll_up(DAY0 + 5 * DAY + 9 * HOUR + 20 * MINUTE)
    peaks = {row["time"]: row["peak_w"] for row in database.points("site_15m")}
    assert [at for at, peak_w in peaks.items() if peak_w == 800] == [ns(late_at), ns(today_at)]
    [after] = [row for row in database.points("site_day") if row["time"] == ns(DAY0 + DAY)]
    assert after["energy_kwh"] == pytest.approx(before["energy_kwh"] + 0.2)
    assert after["demand_w"] == pytest.approx(802)


def test_the_last_days_are_made_anew_each_night(database: Database) -> None:
    database.hear(quiet(DAY0, DAY0 + 5 * DAY))
    database.roll_up(DAY0 + 4 * DAY + HOUR)
    place = {"area": "town", "site": "town/north", "device": PILE, "socket": "1"}
    for day in (1, 2, 3):  # charges of which the end was heard only now
        at = ns(DAY0 + day * DAY + HOUR)
        charge = line(SESSION, place, {"energy_kwh": 0.4, "after_hours": 0}, at)
        database.write(Kept.LONG, [charge])
    database.roll_up(DAY0 + 5 * DAY + HOUR)
    sessions = [row["sessions"] for row in database.points("site_day")]
    assert sessions == [0, 0, 1, 1, 0]


def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.hear(metered(6, DAY0 + 20 * HOUR, DAY0 + 28 * HOUR))
    write, left = database.client.write, 0

    async def dying(kept: Kept, lines: Any) -> None:
        nonlocal left
        if not left:
            raise HistoryUnavailable("killed")
        left -= 1
        await write(kept, lines)

    monkeypatch.setattr(database.client, "write", dying)
    writes = 0
    while not left:  # each time it comes a little further
        writes = left = writes + 1
        with suppress(HistoryUnavailable):
            database.roll_up(DAY0 + 29 * HOUR)
    assert writes > 2
    measurements = ("socket_15m", "site_15m", "site_day", "socket_day")
    found = {name: database.points(name) for name in measurements}
    left = 1000
    asyncio.run(database.rollups().make(database.plan, [date(2026, 1, 5), date(2026, 1, 6)]))
    assert {name: database.points(name) for name in measurements} == found
    assert len(found["site_day"]) == 1


def test_by_hand_a_day_whose_readings_may_be_gone_is_left_as_it_is(
    database: Database,
) -> None:
    database.hear(quiet(DAY0, DAY0 + 3 * DAY))
    database.now = DAY0 + KEEP + 10 * HOUR
    days = [date(2026, 1, 5), date(2026, 1, 6)]
    asyncio.run(database.rollups().make(database.plan, days))
    assert [row["time"] for row in database.points("site_day")] == [ns(DAY0 + DAY)]


def test_by_hand_any_days_are_made_anew_and_today_as_far_as_it_is(
    database: Database,
) -> None:
    database.hear(quiet(DAY0, DAY0 + 3 * DAY))
    database.now = DAY0 + 2 * DAY + 3 * HOUR
    days = [date(2026, 1, 5), date(2026, 1, 7), date(2026, 1, 9)]
    asyncio.run(database.rollups().make(database.plan, days))
    assert [row["time"] for row in database.points("site_day")] == [ns(DAY0)]
    assert len(database.points("site_15m")) == 96 + 3 * 4 - 1
