"""Every question of every dashboard, asked of a real InfluxDB, as Grafana asks it."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboards.boards import BOARDS
from dashboards.influxql import HERE, ask, each, lately
from dashboards.queries import (
    Chosen,
    Placed,
    as_pattern,
    filled,
    placed,
)
from dashboards.words import LANGUAGES, words_of
from ingest.measurements import CHOICE_ENDS_NAME, SITE_NOW
from tests import grafana_village as village
from tests import village_month as month
from tests.grafana_village import (
    ALERTS,
    DAY,
    DEVICES,
    HOUR,
    IN_RANGE,
    NORTH,
    NOW,
    ODD,
    OPEN,
    PILE,
    SESSIONS,
    SINCE,
    SITE_NOW_FIELDS,
    SITES,
    SMOKE,
    SOCKETS,
    WILLOW,
)
from tests.influx import Influx, influxdb

Rows = list[dict[str, Any]]
MONTH_ENDS = month.ENDS - timedelta(hours=12)
"""Noon, when all samples of the month fall together."""


class Answer(NamedTuple):
    """What the database answered to one panel, by its questions' letters."""

    rows: dict[str, Rows]
    series: dict[str, int]

    def values(self, column: str, ref_id: str = "A") -> list[Any]:
        return [row[column] for row in self.rows[ref_id]]

    def only(self, ref_id: str = "A") -> Any:
        """Return the value of an answer that is one number."""
        (row,) = self.rows[ref_id]
        (value,) = (value for name, value in row.items() if name != "time")
        return value

    def by(self, *columns: str, ref_id: str = "A") -> dict[Any, dict[str, Any]]:
        keys = [tuple(row[column] for column in columns) for row in self.rows[ref_id]]
        assert len(set(keys)) == len(keys), keys
        found = zip(keys, self.rows[ref_id], strict=True)
        return {key[0] if len(key) == 1 else key: row for key, row in found}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxdb(tmp_path_factory.mktemp("dashboards")) as running:
        village.fill(running)
        yield running


@pytest.fixture(scope="module")
def month_server(server: Influx) -> Influx:
    month.fill(server)
    return server


def key_of(question: Placed, lang: str) -> str:
    """Return the key of a question's panel in the catalogue, or its place."""
    title = question.place.partition(" ")[2]
    for key, words in words_of(lang).messages.items():
        board, _, rest = key.partition(".")
        panel = rest.removesuffix(".title")
        if board == question.dashboard and panel != rest and words == title:
            return f"{board}.{panel}"
    return f"{question.dashboard}.{question.place.partition(' ')[0]}.{question.ref_id}"


def answers(
    server: Influx, lang: str, choose: Callable[[str], Chosen], database: str
) -> dict[str, Answer]:
    """Return what every panel, variable and annotation shows."""
    found: dict[str, Answer] = {}
    for question in placed(lang):
        statement = filled(question, choose(question.dashboard))
        series = server.query(statement, database)
        rows = [
            dict(zip(each["columns"], values, strict=True)) | each.get("tags", {})
            for each in series
            for values in each["values"]
        ]
        answer = found.setdefault(key_of(question, lang), Answer({}, {}))
        assert question.ref_id not in answer.rows, question.place
        answer.rows[question.ref_id] = rows
        answer.series[question.ref_id] = len(series)
    return found


def chosen(dashboard: str) -> Chosen:
    if dashboard == "station":
        return Chosen(NOW - DAY, NOW, {"site": WILLOW, "device": PILE})
    if dashboard == "service":
        return Chosen(NOW - HOUR + timedelta(seconds=1), NOW)
    return Chosen(SINCE, NOW)


@pytest.fixture(scope="module")
def shown(server: Influx) -> dict[str, Answer]:
    return answers(server, "zh", chosen, village.DATABASE)


# --- The small village: every number is known ------------------------------------------


def summed(field: str) -> Any:
    return sum(int(str(fields.get(field, 0)).partition(".")[0]) for fields in NOW_FIELDS)


NOW_FIELDS = list(SITE_NOW_FIELDS.values())


@pytest.mark.parametrize(
    ("panel", "field"),
    [
        ("open", "open_alerts"),
        ("charging", "charging"),
        ("after_hours_now", "after_hours"),
        ("power", "power_w"),
        ("sensors_missing", "sensors_missing"),
        ("chargers_missing", "chargers_missing"),
    ],
)
def test_the_overview_sums_what_the_newest_samples_say(
    shown: dict[str, Answer], panel: str, field: str
) -> None:
    assert shown[f"overview.{panel}"].only() == summed(field)


def test_the_overview_counts_today_from_the_midnight_of_shanghai(
    shown: dict[str, Answer],
) -> None:
    today = [s for s in SESSIONS if NOW - s[0] >= village.MIDNIGHT]
    assert shown["overview.after_hours_today"].only() == sum(s[4] for s in today)
    quarters = (NOW - village.MIDNIGHT) // timedelta(minutes=15) + 1
    kwh = quarters * sum(village.QUARTER_KWH.values())
    assert shown["overview.energy_today"].only() == pytest.approx(kwh)


def test_the_overview_has_a_row_and_a_mark_for_each_site_and_none_for_one_that_is_gone(
    shown: dict[str, Answer],
) -> None:
    rows = shown["overview.stations"].by("site")
    assert rows.keys() == SITES.keys()
    for site, fields in SITE_NOW_FIELDS.items():
        shared = fields.keys() & rows[site].keys()
        assert {name: rows[site][name] for name in shared} == {n: fields[n] for n in shared}
        assert rows[site]["name"] == SITES[site]
        assert rows[site]["area"] == village.AREA_CHOICES[site.partition("/")[0]][0]
    marks = shown["overview.map"].by("site")
    assert (marks[WILLOW]["latitude"], marks[WILLOW]["longitude"]) == (30.25, 120.5)
    assert marks[NORTH]["latitude"] is None
    assert {row["worst"] for row in marks.values()} == {0, 1, 2}


def test_open_alerts_are_those_that_are_open_however_old(shown: dict[str, Answer]) -> None:
    rows = shown["overview.open_alerts"].rows["A"]
    assert [row["site"] for row in rows] == [a.site for a in sorted(OPEN, key=newest_first)]
    assert {row["title"] for row in rows} == {"烟雾报警", "silence", "undeclared_device"}
    assert [row["name"] for row in rows] == [SITES.get(row["site"], "") for row in rows]
    assert shown["alerts.open"].only() == len(OPEN)


def newest_first(alert: village.Fired) -> float:
    return float(-alert.at.timestamp())


def test_the_overview_draws_each_sites_demand_and_the_energy_of_whole_days(
    shown: dict[str, Answer],
) -> None:
    demand = shown["overview.demand"]
    assert demand.series["A"] == len(SITES)
    for site, mean_w in village.MEAN_W.items():
        drawn = {row["mean"] for row in demand.rows["A"] if row["site"] == site}
        assert drawn - {None} == {mean_w}
    days = shown["overview.energy_by_day"]
    closed = sum(village.DAY_CLOSED_KWH.values())
    assert set(days.values("sum", "B")) == {closed}
    assert set(days.values("sum_sum", "A")) == {sum(village.DAY_KWH.values()) - closed}
    assert len(days.rows["A"]) == 29  # thirty days before NOW, of which today has no figure


def test_the_station_shows_its_own_state(shown: dict[str, Answer]) -> None:
    for panel in ("worst", "charging", "closed", "sensors_missing"):
        assert shown[f"station.{panel}"].only() == SITE_NOW_FIELDS[WILLOW][panel]


def test_the_state_timeline_has_all_sockets_with_their_power(shown: dict[str, Answer]) -> None:
    for panel in ("station.states", "station.power"):
        rows = shown[panel].rows["A"]
        assert {row["socket"] for row in rows} == {str(number) for number in SOCKETS}
        for number in SOCKETS:
            powers = {row["max"] for row in rows if row["socket"] == str(number)}
            assert powers == {None, village.POWERS_W.get(number, 2.0)}, number


def test_a_socket_that_fell_silent_has_a_gap_in_the_timeline(shown: dict[str, Answer]) -> None:
    rows = [row for row in shown["station.states"].rows["A"] if row["socket"] == "11"]
    last_hour = [row["max"] for row in rows if row["time"] > ns(NOW - HOUR)]
    assert last_hour
    assert set(last_hour) == {None}


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def test_the_limits_that_are_drawn_are_those_in_force_for_this_charger(
    shown: dict[str, Answer],
) -> None:
    for panel, (warn, act) in {
        "station.power": ("overload_warn_w", "overload_act_w"),
        "station.temperature": ("heat_warn_c", "heat_act_c"),
    }.items():
        for ref_id, name in (("B", warn), ("C", act)):
            drawn = set(shown[panel].values("last", ref_id)) - {None}
            assert drawn == {village.LIMITS[name]}


def test_the_temperature_is_that_of_the_case_and_of_sockets_that_measure_theirs(
    shown: dict[str, Answer],
) -> None:
    answer = shown["station.temperature"]
    assert set(answer.values("max", "D")) == {None, village.CASE_C}
    assert {(r["socket"], r["max"]) for r in answer.rows["A"]} == {
        ("3", None),
        ("3", village.HOT_SOCKET_C),
    }


def test_smoke_sensors_are_shown_and_chargers_are_not(shown: dict[str, Answer]) -> None:
    smoke = shown["station.smoke"]
    assert set(smoke.values("device")) == {SMOKE[0]}
    assert smoke.values("last") == [False] * 5 + [True]
    assert shown["station.sensors"].by("device").keys() == set(SMOKE)
    assert shown["station.sensors"].by("device")[SMOKE[1]]["silent"] == 1


def test_the_station_lists_its_own_alerts_and_charges_of_the_range(
    shown: dict[str, Answer],
) -> None:
    mine = [a for a in ALERTS if a.site == WILLOW and a.at >= NOW - DAY]
    assert len(shown["station.alerts"].rows["A"]) == len(mine)
    charges = shown["station.sessions"].rows["A"]
    recent = [s for s in SESSIONS if s[1] == PILE and s[0] <= DAY]
    assert [c["energy_kwh"] for c in charges] == [s[3] for s in sorted(recent)]


def test_annotations_are_what_happened_and_no_part_of_them_is_missing(
    shown: dict[str, Answer],
) -> None:
    rows = shown["station.annotation.Anno"].rows["Anno"]
    mine = [a for a in ALERTS if a.site == WILLOW and a.at >= NOW - DAY]
    assert [row["rule"] for row in rows] == [a.rule for a in reversed(mine)] or len(rows) == 2
    assert all(None not in row.values() for row in rows)


def test_alerts_are_counted_with_those_of_no_site(shown: dict[str, Answer]) -> None:
    assert shown["alerts.fired"].only() == len(IN_RANGE)
    assert len(shown["alerts.list"].rows["A"]) == len(IN_RANGE)
    names = {site: row["name"] for site, row in shown["alerts.by_site"].by("site").items()}
    assert names == {site: SITES.get(site, "") for site in names}
    assert "" in names
    for letter, severity in zip("ABC", (1, 2, 3), strict=True):
        counted = sum(shown["alerts.by_day"].values("count", letter))
        assert counted == sum(a.severity == severity for a in IN_RANGE)


def test_the_time_to_acknowledge_and_to_resolve_is_the_median_of_what_was(
    shown: dict[str, Answer],
) -> None:
    acknowledged = [a.acknowledged_s for a in IN_RANGE if a.acknowledged_s is not None]
    resolved = sorted(a.resolved_s for a in IN_RANGE if a.resolved_s is not None)
    assert shown["alerts.acknowledged_after"].only() == sum(acknowledged) / len(acknowledged)
    middle = resolved[len(resolved) // 2 - 1 : len(resolved) // 2 + 1]
    assert shown["alerts.resolved_after"].only() == sum(middle) / 2
    assert len(shown["alerts.reaction"].rows["A"]) == len(acknowledged)


def test_alerts_are_counted_by_rule_and_by_site(shown: dict[str, Answer]) -> None:
    for panel, part in (("by_rule", "rule"), ("by_site", "site")):
        rows = shown[f"alerts.{panel}"].by(part)
        for key, row in rows.items():
            counted = [a for a in IN_RANGE if (a.rule if part == "rule" else a.site) == key]
            assert row["alerts"] == len(counted)
            assert row["open"] == sum(a.open for a in counted)
        assert sum(row["alerts"] for row in rows.values()) == len(IN_RANGE)


def test_a_repeat_offender_is_who_came_three_times_and_nobody_else(
    shown: dict[str, Answer],
) -> None:
    (row,) = shown["alerts.again"].rows["A"]
    assert (row["device"], row["socket"], row["rule"]) == (PILE, "3", "overload")
    assert row["alerts"] == 4


@pytest.mark.parametrize(
    ("panel", "count"),
    [("silent", 2), ("battery_low", 1), ("weak", 1), ("clock_wrong", 1), ("undeclared", 1)],
)
def test_devices_are_counted_by_what_is_wrong_with_them(
    shown: dict[str, Answer], panel: str, count: int
) -> None:
    assert shown[f"devices.{panel}"].only() == count


def test_every_device_has_a_row_with_what_it_said(shown: dict[str, Answer]) -> None:
    rows = shown["devices.all"].by("device")
    assert rows.keys() == DEVICES.keys()
    for device, (kind, dialect, said) in DEVICES.items():
        row = rows[device]
        assert (row["kind"], row["dialect"]) == (kind, dialect)
        assert {name: row[name] for name in said.keys() & row.keys()} == {
            name: said[name] for name in said.keys() & row.keys()
        }
    assert shown["devices.firmware"].by("device").keys() == {PILE, f"{NORTH}/pile-1"}


def test_batteries_uptime_and_who_was_heard_are_drawn(shown: dict[str, Answer]) -> None:
    battery = shown["devices.battery"]
    assert set(battery.values("device")) == set(SMOKE)
    assert set(battery.values("min")) == {74.0, 9.0}
    (low,) = shown["devices.uptime"].rows["A"]
    assert (low["site"], low["uptime_pct"]) == (NORTH, 80.0)
    heard = shown["devices.heard"]
    assert {(row["site"], row["mean"]) for row in heard.rows["A"]} == {
        (site, village.UPTIME_PCT[site]) for site in SITES
    }


def test_weeks_begin_on_monday_in_shanghai_and_add_up(shown: dict[str, Answer]) -> None:
    rows = shown["weekly.weeks"].rows["A"]
    starts = sorted({row["time"] for row in rows})
    assert starts[-1] == ns(village.MIDNIGHT - DAY)  # NOW is a Tuesday
    assert {b - a for a, b in pairwise(starts)} == {7 * 86400 * 10**9}
    whole = [row for row in rows if row["time"] == starts[-2]]
    assert {row["site"] for row in whole} == SITES.keys()
    for row in whole:
        assert row["energy_kwh"] == 7 * village.DAY_KWH[row["site"]]
        assert row["after_hours_kwh"] == 7 * village.DAY_CLOSED_KWH[row["site"]]
        assert row["after_hours_sessions"] == 7
        assert row["overload_alerts"] == 14
        assert row["uptime_pct"] == village.UPTIME_PCT[row["site"]]
    days, sites = 29, len(SITES)
    assert shown["weekly.sessions"].only() == days * sites
    assert shown["weekly.overloads"].only() == 2 * days * sites
    assert shown["weekly.energy"].only() == days * sum(village.DAY_CLOSED_KWH.values())
    assert shown["weekly.demand"].only() == village.MEAN_W[WILLOW] + days
    for panel, letter, total in (
        ("energy_by_week", "B", days * sum(village.DAY_CLOSED_KWH.values())),
        ("cases_by_week", "A", days * sites),
        ("cases_by_week", "B", 2 * days * sites),
    ):
        assert sum(shown[f"weekly.{panel}"].values("sum", letter)) == total
    opened = days * (sum(village.DAY_KWH.values()) - sum(village.DAY_CLOSED_KWH.values()))
    assert sum(shown["weekly.energy_by_week"].values("sum_sum", "A")) == opened


def test_sockets_that_charge_after_hours_and_overload_are_named(
    shown: dict[str, Answer],
) -> None:
    after = shown["weekly.after_hours_sockets"].by("device", "socket")
    assert {key: row["after_hours_sessions"] for key, row in after.items()} == {
        (PILE, "2"): 1,
        (PILE, "3"): 2,
        (f"{NORTH}/pile-1", "1"): 1,
    }
    assert after[PILE, "3"]["energy_kwh"] == 4.5
    (overload,) = shown["weekly.overload_sockets"].rows["A"]
    assert (overload["alerts"], overload["value"]) == (4, 1204.0)


def test_the_service_shows_its_newest_sample_and_its_curves(shown: dict[str, Answer]) -> None:
    said = village.SERVICE
    newest = {"delay": "delay_p99_s", "lag": "lag", "outbox": "outbox"} | {
        name: name for name in ("broker_ok", "ledger_ok", "history_ok")
    }
    for panel, field in newest.items():
        assert shown[f"service.{panel}"].only() == said[field]
    samples = 240
    assert shown["service.refused"].only() == samples
    curves = {
        "rate": (("mean", "messages_s"), ("mean", "readings_s")),
        "delays": (("max", "delay_p50_s"), ("max", "delay_p99_s")),
        "history_lag": (("max", "lag"),),
        "memory": (("max", "memory_mib"),),
        "delivery": (("max", "outbox"),),
    }
    for panel, parts in curves.items():
        for letter, (column, field) in zip("AB", parts, strict=False):
            drawn = set(shown[f"service.{panel}"].values(column, letter))
            assert drawn - {None} == {said[field]}, panel
    repeated = shown["service.refused_over_time"].values("sum", "B")
    assert sum(value or 0 for value in repeated) == 2 * samples
    assert sum(v or 0 for v in shown["service.delivery"].values("sum", "B")) == samples
    assert {v for c in "CD" for v in shown["service.delivery"].values("sum", c)} <= {None, 0}


def test_the_choices_are_names_with_ids_and_chargers_of_the_chosen_site(
    shown: dict[str, Answer],
) -> None:
    for board in ("overview", "station", "alerts", "devices", "weekly"):
        (sites,) = shown[f"{board}.variable.choices-of-site"].rows.values()
        offered = {tuple(row["last"].split(CHOICE_ENDS_NAME)) for row in sites}
        assert offered == {(name, site) for site, name in SITES.items()}
        (areas,) = shown[f"{board}.variable.choices-of-area"].rows.values()
        assert {row["last"] for row in areas} == {zh for zh, _ in village.AREA_CHOICES.values()}
    (devices,) = shown["station.variable.choices-of-device"].rows.values()
    assert [row["value"] for row in devices] == [PILE]


CHECKED = """
    overview: open charging after_hours_now power sensors_missing chargers_missing
      after_hours_today energy_today stations map open_alerts demand energy_by_day
    station: worst charging closed sensors_missing states power temperature smoke sensors
      alerts sessions
    alerts: fired open acknowledged_after resolved_after by_day reaction by_rule by_site
      again list
    devices: silent battery_low weak clock_wrong undeclared all heard battery uptime firmware
    weekly: sessions energy overloads demand weeks energy_by_week cases_by_week
      after_hours_sockets overload_sockets
    service: broker_ok ledger_ok history_ok delay lag outbox rate delays history_lag
      refused_over_time delivery memory refused
"""
"""The panels of which a test above says what they must show."""


def test_no_panel_is_without_a_test_above(shown: dict[str, Answer]) -> None:
    checked = set()
    board = ""
    for word in CHECKED.split():
        if word.endswith(":"):
            board = word[:-1]
        else:
            checked.add(f"{board}.{word}")
    there = {key for key in shown if ".variable." not in key and ".annotation." not in key}
    assert there == checked
    assert {key.partition(".")[0] for key in there} == set(BOARDS)


def test_both_languages_ask_the_same_but_for_names(
    server: Influx, shown: dict[str, Answer]
) -> None:
    def nameless(answer: Answer) -> list[Rows]:
        return [
            [
                {name: value for name, value in row.items() if value not in LOCAL}
                for row in answer.rows[ref_id]
            ]
            for ref_id in sorted(answer.rows)
        ]

    english = answers(server, "en", chosen, village.DATABASE)
    keys = {key for key in shown if ".variable." not in key and ".annotation." not in key}
    assert keys <= english.keys()
    for key in keys:
        assert nameless(english[key]) == nameless(shown[key]), key


LOCAL = {
    *SITES.values(),
    *village.NAMES_EN.values(),
    *(choice for choices in village.AREA_CHOICES.values() for choice in choices),
    *(title for titles in village.TITLES.values() for title in titles),
}


# --- What is chosen stays what it is ----------------------------------------------------


def test_a_site_that_does_not_exist_has_nothing(server: Influx) -> None:
    for lang in LANGUAGES:
        for question in placed(lang):
            if "${site:" not in question.query:
                continue
            values = {"site": "riverside/nowhere", "device": "riverside/nowhere/pile-1"}
            statement = filled(question, Chosen(SINCE, NOW, values))
            assert server.query(statement, village.DATABASE) == [], question.place


def test_a_site_whose_name_is_made_to_break_out_has_what_is_its_own(server: Influx) -> None:
    found = answers(
        server,
        "zh",
        lambda _: Chosen(SINCE, NOW, {"site": ODD, "device": f"{ODD}/plug"}),
        village.DATABASE,
    )
    assert [row["site"] for row in found["overview.stations"].rows["A"]] == [ODD]
    assert found["overview.open"].only() == 1
    assert found["alerts.fired"].only() == 1
    assert found["devices.all"].by("device").keys() == {f"{ODD}/plug"}
    assert found["weekly.sessions"].only() == 29


def test_several_sites_are_those_and_no_others(server: Influx) -> None:
    chosen_two = Chosen(SINCE, NOW, {"site": (ODD, NORTH)})
    question = next(q for q in placed() if q.dashboard == "overview" and q.panel == 9)
    series = server.query(filled(question, chosen_two), village.DATABASE)
    assert {each["tags"]["site"] for each in series} == {ODD, NORTH}


PRINTABLE = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=60)
NASTY = st.sampled_from(
    [
        "/ OR /.*/ =~ /",
        '$/ OR "site" =~ /.*',
        '\'; DROP DATABASE "grafana_village"; --',
        "\\",
        "\\/",
        "a|.*",
        ".*",
        "${area:regex}",
        "$timeFilter",
        "1 OR 1=1",
        "0/.*",
    ]
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.one_of(NASTY, PRINTABLE, st.lists(st.one_of(NASTY, PRINTABLE), min_size=2)))
def test_no_name_breaks_out_of_a_question(server: Influx, name: str | list[str]) -> None:
    """But for `$__interval`: Grafana puts in a time, and the database refuses the question."""
    value = name if isinstance(name, str) else tuple(name)
    query = ask(SITE_NOW, each("last", "worst"), when=lately("5m"), where=HERE, by=("site",))
    question = Placed("a test", "a panel", 1, "A", query, all_values={"area": ".*"})
    series = server.query(
        filled(question, Chosen(SINCE, NOW, {"site": value})), village.DATABASE
    )
    names = {value} if isinstance(value, str) else set(value)
    assert {each["tags"]["site"] for each in series} == names & SITES.keys()


@given(name=PRINTABLE)
def test_a_name_as_a_pattern_matches_itself_and_never_ends_the_pattern(name: str) -> None:
    pattern = as_pattern(name)
    assert re.fullmatch(pattern, name)
    assert not re.search(r"(?<!\\)(?:\\\\)*/", pattern)


def test_every_variable_is_put_in_as_a_pattern_between_slashes() -> None:
    for lang in LANGUAGES:
        for question in placed(lang):
            bare = re.sub(r"=~ /\^\$\{(area|site|device):regex\}\$/", "", question.query)
            bare = re.sub(r"=~ /\^[a-z_|()]+\$/", "", bare)
            bare = bare.replace("${__to:date:ms}ms", "").replace("$timeFilter", "")
            assert "$" not in bare.replace("$__interval", ""), question.place


# --- A month of a village, made by the simulator ----------------------------------------


@pytest.fixture(scope="module")
def of_month(month_server: Influx) -> dict[str, Answer]:
    first = next(iter(month.village().piles)).id
    values = {"site": first.rpartition("/")[0], "device": first}

    def choose(dashboard: str) -> Chosen:
        since = MONTH_ENDS - (2 * DAY if dashboard == "station" else 29 * DAY)
        return Chosen(since, MONTH_ENDS, values if dashboard == "station" else {})

    return answers(month_server, "zh", choose, "chargewatch")


NOT_IN_THE_MONTH = {
    "alerts.by_day C": "an emergency",
    "devices.battery_low A": "a sensor that says its battery is low",
    "devices.undeclared A": "a device that the sites file does not name",
    "devices.weak A": "a device that says how it is received",
    "devices.firmware A": "a device that says its firmware",
    "service.delay A": "alarms in the last hour",
    "overview.after_hours_today A": "a charge today",
}
"""What the simulator's month does not have; the small village has it."""


def test_a_month_of_a_village_fills_every_panel(of_month: dict[str, Answer]) -> None:
    empty = {
        f"{key} {ref_id}"
        for key, answer in of_month.items()
        for ref_id, rows in answer.rows.items()
        if not any(value is not None for row in rows for value in drawn(row))
    }
    assert empty <= NOT_IN_THE_MONTH.keys()


def drawn(row: dict[str, Any]) -> list[Any]:
    return [value for name, value in row.items() if name != "time"]


def test_a_month_shows_all_of_its_sockets_and_devices(of_month: dict[str, Answer]) -> None:
    there = month.village()
    sockets = {row["socket"] for row in of_month["station.states"].rows["A"]}
    assert sockets == {str(number) for number in range(1, month.SOCKETS + 1)}
    devices = {plan.id for plan in there.piles} | {plan.id for plan in there.sensors}
    assert set(of_month["devices.all"].values("device")) == devices
    assert len(of_month["overview.stations"].rows["A"]) == month.SITES


def test_the_energy_of_the_weeks_is_that_of_the_days(
    month_server: Influx, of_month: dict[str, Answer]
) -> None:
    since, until = ns(MONTH_ENDS - 29 * DAY), ns(MONTH_ENDS)
    (days,) = month_server.query(
        'SELECT sum("energy_kwh") FROM "long"."site_day"'
        f" WHERE time >= {since} AND time <= {until}"
    )
    whole = days["values"][0][1]
    assert whole > 0
    weeks = of_month["weekly.weeks"].values("energy_kwh")
    assert sum(weeks) == pytest.approx(whole)
    by_week = of_month["weekly.energy_by_week"]
    drawn = sum(by_week.values("sum_sum", "A")) + sum(by_week.values("sum", "B"))
    assert drawn == pytest.approx(whole)


def test_the_alerts_of_the_month_are_counted_once_in_every_panel(
    month_server: Influx, of_month: dict[str, Answer]
) -> None:
    since, until = ns(MONTH_ENDS - 29 * DAY), ns(MONTH_ENDS)
    (fired,) = month_server.query(
        'SELECT "rule"::tag, "open" FROM "long"."alert"'
        f" WHERE time >= {since} AND time <= {until}"
    )
    count = len(fired["values"])
    assert of_month["alerts.fired"].only() == count
    for panel in ("alerts.by_rule", "alerts.by_site"):
        assert sum(of_month[panel].values("alerts")) == count
    assert sum(sum(of_month["alerts.by_day"].values("count", c)) for c in "ABC") == count
    rules = {row[1] for row in fired["values"]}
    assert set(of_month["alerts.by_rule"].values("rule")) == rules
    assert "overload" in rules
