"""What users of other systems complained of, and where it is shown not to be so here.

The list is that of our survey of peers, thread by thread. Each row names the tests that answer
it: those below, by their docstrings, and those that were there already. What is about
providers of messages belongs to issue 5, and says so.
"""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from api.announce import heard_as
from ingest.timing import AHEAD_MAX, BEHIND_MAX
from rules.alerts import Change, Transition
from tests.test_scenarios import Player, scenario, written

TESTS = Path(__file__).parent
ISSUE_5 = "issue 5"


class Row(NamedTuple):
    """A complaint, its threads, and what answers it: `file::test`, or an issue."""

    problem: str
    threads: str
    answered_by: tuple[str, ...]


HERE = "test_complaints"
SCHEDULES = "test_schedule_complaints"

ROWS = (
    Row(
        "a window over midnight",
        "grafana #73912, thingsboard #16115",
        (f"{SCHEDULES}::test_a_window_goes_over_midnight",),
    ),
    Row(
        "UTC instead of local time",
        "alertmanager #2646, alertmanager #2771, grafana #48508, grafana #82988",
        (f"{SCHEDULES}::test_a_window_is_on_the_clock_of_the_site_and_not_on_utc",),
    ),
    Row(
        "a condition that held before the window opened",
        "thingsboard #16118",
        (
            (
                f"{SCHEDULES}::"
                "test_what_is_true_already_when_the_window_opens_fires_without_a_message"
            ),
        ),
    ),
    Row(
        "one window a day",
        "thingsboard #15188, thingsboard #15189",
        (f"{SCHEDULES}::test_a_day_has_as_many_windows_as_it_needs",),
    ),
    Row(
        "time passes only with a message",
        "thingsboard #11803, thingsboard #10979, thingsboard #5600",
        (
            (
                f"{SCHEDULES}::"
                "test_what_is_true_already_when_the_window_opens_fires_without_a_message"
            ),
        ),
    ),
    Row(
        "flapping",
        "grafana #6202, grafana #30119, grafana #87226, grafana #46912, netdata #945, "
        "kibana #49412, jetlinks-community #8, thingsboard #7943, kapacitor #863",
        (
            f"{HERE}::test_a_value_around_the_limit_is_one_alarm",
            f"{HERE}::test_a_relay_that_clatters_for_an_hour_is_told_a_few_times",
            (
                "test_alert_news::"
                "test_an_alert_that_comes_and_goes_fires_at_most_so_often_in_an_hour"
            ),
        ),
    ),
    Row(
        "duplicate and reused alarms",
        "thingsboard #2986, thingsboard #7811",
        (
            f"{HERE}::test_two_messages_in_a_second_are_one_alarm_and_the_next_is_another",
            "test_ledger::test_there_is_only_one_open_alert_for_each_rule_and_socket",
        ),
    ),
    Row(
        "recoveries of nothing",
        "nightingale #3000, Pulse #1553, Pulse #1068",
        (
            f"{HERE}::test_becoming_less_bad_is_no_recovery",
            f"{HERE}::test_what_was_never_told_has_no_recovery_not_thirty_eight_of_them",
            "test_delivery::test_the_end_of_an_alarm_is_not_told_to_whom_its_beginning_was_not",
        ),
    ),
    Row(
        "no data counts as recovered",
        "nightingale #1761",
        (f"{HERE}::test_silence_ends_no_alarm",),
    ),
    Row(
        "one of many is missing, and nobody notices",
        "grafana #9198, grafana #6925, grafana #24979",
        (f"{HERE}::test_one_pile_of_many_that_says_no_more_is_missed_by_its_name",),
    ),
    Row(
        "false alarms of silence",
        "grafana #9793, grafana #48295, thingsboard #6821, thingsboard #7909, "
        "thingsboard #15614",
        (
            f"{HERE}::test_a_message_that_is_a_little_late_is_no_silence",
            f"{HERE}::test_silence_ends_with_the_first_message",
            f"{HERE}::test_a_connection_that_is_open_is_no_sign_of_life",
        ),
    ),
    Row(
        "restarts: storms, repetitions, lost states",
        "thingsboard #13715, nightingale #1131, nightingale #2999, grafana #68162, "
        "grafana #93200, alertmanager #889, prometheus #13957",
        (
            f"{HERE}::test_a_restart_after_a_night_declares_nobody_dead",
            f"{HERE}::test_a_silence_and_a_restart_make_no_recoveries",
            f"{HERE}::test_an_alarm_ends_after_a_restart_as_it_would_have",
            f"{HERE}::test_a_restart_tells_nothing_again_and_begins_no_hold_anew",
            "test_restart::test_a_restart_at_any_moment_changes_nothing",
            (
                "test_alert_service::"
                "test_what_is_silenced_and_what_is_acknowledged_survive_kills"
            ),
            "test_system::test_twenty_kills_lose_nothing_and_repeat_nothing",
        ),
    ),
    Row(
        "limits of providers",
        "nightingale #369, prometheus-webhook-dingtalk #30, prometheus-webhook-dingtalk #222, "
        "nightingale #1437, WatchAlert #91, PrometheusAlert #148",
        (ISSUE_5,),
    ),
    Row("nobody can be mentioned", "grafana #110106", (ISSUE_5,)),
    Row("truncated messages", "grafana #101989", (ISSUE_5,)),
    Row(
        "data is lost while a database is away",
        "influxdb-client-python #198, influxdb-client-python #144, influxdb-client-python #80, "
        "influxdb-client-python #326, influxdb-client-java #145, telegraf #17104, "
        "telegraf #15121, telegraf #4963, telegraf #16670, telegraf #14928",
        (
            "test_system::test_a_full_disk_acknowledges_nothing_and_loses_nothing",
            "test_system::test_without_history_alarms_go_on_and_it_catches_up",
            (
                "test_history_writer::"
                "test_a_history_that_is_away_for_a_day_loses_nothing_and_nothing_is_pruned"
            ),
            "test_ledger::test_what_was_committed_is_there_after_a_crash",
        ),
    ),
    Row(
        "points with the same time overwrite each other",
        "InfluxDB's page on duplicate points",
        (
            "test_history_contract::test_readings_of_one_moment_keep_the_order_of_the_journal",
            "test_history_contract::test_appending_twice_changes_nothing",
        ),
    ),
    Row(
        "the collector dies quietly",
        "telegraf #13031, telegraf #4647, telegraf #6447",
        (
            f"{HERE}::test_a_watch_that_hears_nothing_says_so",
            "test_history_writer::test_a_history_ahead_of_the_ledger_is_a_failure_and_not_silence",
        ),
    ),
    Row(
        "late messages, and one from the future",
        "thingsboard #4207, metron #1197",
        (
            f"{HERE}::test_a_message_of_two_days_ahead_freezes_nothing",
            "test_order::test_a_message_that_was_overtaken_changes_nothing",
            (
                "test_order::"
                "test_what_the_device_says_was_kept_back_never_fires_and_never_ends_anything"
            ),
        ),
    ),
    Row(
        "good data refused because of a clock",
        "SentryGuard #210",
        (
            f"{HERE}::test_a_clock_that_is_eighty_seconds_off_is_believed",
            "test_timing::test_a_clock_that_is_minutes_off_is_believed",
        ),
    ),
    Row(
        "storms of reconnection",
        "emqx #2671, emqx #11187, connectivity-stack #167, Pioreactor #509, emqx #935",
        (
            "test_history_writer::test_jitter_shortens_the_pauses_by_up_to_half",
            (
                "test_link::"
                "test_two_services_with_one_client_id_do_not_throw_each_other_out_without_end"
            ),
            "test_link::test_the_broker_sends_no_more_than_the_receive_maximum_ahead",
        ),
    ),
    Row(
        "last wills that are stale",
        "CN105 #60, NetMod #228, PinkyLEDs #6, homebridge-mqttthing #36",
        (f"{HERE}::test_a_stale_last_will_is_a_hint_and_no_death",),
    ),
    Row(
        "a remote stop that nobody confirms",
        "SteVe #796, SteVe #651, evcc #10211",
        (
            "test_cutting::test_no_cut_is_verified_without_the_devices_word_and_without_darkness",
            "test_cutting::test_it_is_repeated_with_the_same_id_as_often_as_allowed",
            "test_cutter::test_power_at_a_latched_socket_is_never_left_alone",
        ),
    ),
)

SURVEY = """
grafana #73912 thingsboard #16115 alertmanager #2646 alertmanager #2771 grafana #48508
grafana #82988 thingsboard #16118 thingsboard #15188 thingsboard #15189 thingsboard #11803
thingsboard #10979 thingsboard #5600 grafana #6202 grafana #30119 grafana #87226 grafana #46912
netdata #945 kibana #49412 jetlinks-community #8 thingsboard #7943 kapacitor #863
thingsboard #2986 thingsboard #7811 nightingale #3000 Pulse #1553 Pulse #1068 nightingale #1761
grafana #9198 grafana #6925 grafana #24979 grafana #9793 grafana #48295 thingsboard #6821
thingsboard #7909 thingsboard #15614 thingsboard #13715 nightingale #1131 nightingale #2999
grafana #68162 grafana #93200 alertmanager #889 prometheus #13957 nightingale #369
prometheus-webhook-dingtalk #30 prometheus-webhook-dingtalk #222 nightingale #1437
WatchAlert #91 PrometheusAlert #148 grafana #110106 grafana #101989 influxdb-client-python #198
influxdb-client-python #144 influxdb-client-python #80 influxdb-client-python #326
influxdb-client-java #145 telegraf #17104 telegraf #15121 telegraf #4963 telegraf #16670
telegraf #14928 telegraf #13031 telegraf #4647 telegraf #6447 thingsboard #4207 metron #1197
SentryGuard #210 emqx #2671 emqx #11187 connectivity-stack #167 Pioreactor #509 emqx #935
CN105 #60 NetMod #228 PinkyLEDs #6 homebridge-mqttthing #36 SteVe #796 SteVe #651 evcc #10211
"""
"""Every thread of the survey, in its order; the page on duplicate points is none."""

THREAD = re.compile(r"[\w-]+ #\d+")


def docstrings(module: str) -> dict[str, str]:
    """Return the tests of a module with what they say of themselves."""
    tree = ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_thread_of_the_survey_is_in_a_row() -> None:
    listed = [thread for row in ROWS for thread in THREAD.findall(row.threads)]
    assert listed == THREAD.findall(SURVEY)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.problem))
def test_every_row_is_answered_by_tests_that_are_there(row: Row) -> None:
    assert row.answered_by
    if row.answered_by == (ISSUE_5,):
        return
    said = ""
    for answer in row.answered_by:
        module, _, name = answer.partition("::")
        known = docstrings(module)
        assert name in known, answer
        said += known[name] if module in {HERE, SCHEDULES} else ""
    if any(answer.startswith((HERE, SCHEDULES)) for answer in row.answered_by):
        for thread in THREAD.findall(row.threads):
            assert "#" + thread.partition("#")[2] in said, thread


def test_every_complaint_test_is_in_a_row() -> None:
    named = {answer for row in ROWS for answer in row.answered_by}
    for name, said in docstrings(HERE).items():
        if THREAD.search(said):
            assert f"{HERE}::{name}" in named


# --- the tests ----------------------------------------------------------------------------


def happened(*lines: str) -> Iterator[tuple[Change, str]]:
    played = scenario("complaint", lines)
    for at, change in Player(played).play():
        line = written(change, at, played.zone)
        clock = line.at.astimezone(played.zone).strftime("%H:%M:%S")
        yield change, f"{clock} {' '.join(line.words.split()[1:4])}"


def alerts(*lines: str) -> list[str]:
    """Play a timeline; return what happened to alerts, "time rule subject transition"."""
    return [words for _, words in happened(*lines)]


def heard(*lines: str) -> list[str]:
    """Play a timeline; return only what people heard of, as they heard it."""
    return [
        f"{words.rsplit(' ', 1)[0]} {word}"
        for change, words in happened(*lines)
        if (word := heard_as(change))
    ]


def test_a_value_around_the_limit_is_one_alarm() -> None:
    """One alarm, for there is a threshold to fire, a lower one to clear, and two times.

    grafana/grafana #6202, #30119, #87226 and #46912 ask for hysteresis and for a pending time
    back; netdata/netdata #945, elastic/kibana #49412 and jetlinks-community #8 for fewer
    messages of a value that goes up and down.
    """
    wobble = [
        f"08:{minute:02}:{second:02}  pile-1  1: {power_w} W"
        for minute in range(5)
        for second, power_w in ((0, 810), (20, 790), (40, 805))
    ]
    assert alerts("07:59:00  pile-1  1: 900 W", *wobble) == [
        "07:59:30 overload pile-1:1 firing"
    ]


def test_a_relay_that_clatters_for_an_hour_is_told_a_few_times() -> None:
    """Three alarms and their ends, and from then on one.

    thingsboard/thingsboard #7943 and influxdata/kapacitor #863: a flapping state floods people
    with messages.
    """
    clatter = [
        line
        for minute in range(0, 56, 3)
        for line in (
            f"08:{minute:02}:00  pile-1  1: 900 W",
            f"08:{minute + 1:02}:00  pile-1  1: 100 W",
        )
    ]
    patience = "north silence.charger_after = '2 h'"
    said = heard(patience, *clatter, "09:30:00  pile-1  1: 0 W")
    assert [words.split()[-1] for words in said] == [
        *("firing", "resolved", "firing", "resolved", "firing", "resolved")
    ]


def test_two_messages_in_a_second_are_one_alarm_and_the_next_is_another() -> None:
    """Two messages in a second are one alarm; the next time it is another episode.

    thingsboard/thingsboard #2986: two messages within a second raise two alarms;
    #7811: an alarm that was cleared is used again.
    """
    lines = (
        "08:00:00  smoke-1  smoke",
        "08:00:00  smoke-1  smoke",
        "08:01:00  smoke-1  no smoke",
        "09:00:00  smoke-1  smoke",
    )
    fired = [c for c, _ in happened(*lines) if c.transition is Transition.FIRING]
    assert len(fired) == len({change.alert.episode for change in fired}) == 2


def test_becoming_less_bad_is_no_recovery() -> None:
    """A lower level is no news.

    ccfos/nightingale #3000: a recovery is sent when the level goes down.
    """
    assert heard(
        "08:00:00  pile-1  1: 1200 W",
        "08:02:00  pile-1  1: 900 W",
        "08:05:00  pile-1  1: 900 W",
    ) == ["08:00:30 overload pile-1:1 firing"]


def test_what_was_never_told_has_no_recovery_not_thirty_eight_of_them() -> None:
    """No end is heard of what was not heard of.

    rcourtman/Pulse #1553: a recovery of an alert that was never sent; #1068: thirty-eight
    recoveries in the quiet hours.
    """
    sockets = ", ".join(f"{number}: 900 W" for number in range(1, 39))
    fine = ", ".join(f"{number}: 1 W" for number in range(1, 39))
    lines = (
        "north pile_overload.warn_w = 90000",
        "north pile_overload.act_w = 90000",
        "08:00:00  silence north until 09:00:00",
        f"08:00:00  pile-1  {sockets}",
        f"08:05:00  pile-1  {fine}",
        f"08:10:00  pile-1  {fine}",
    )
    assert len(alerts(*lines)) == 2 * 38
    assert heard(*lines) == []


def test_silence_ends_no_alarm() -> None:
    """What is not known is not over.

    ccfos/nightingale #1761: no data counts as recovered.
    """
    assert alerts(
        "north silence.charger_after = '1 h'",
        "08:00:00  pile-1  1: 900 W",
        "20:00:00  nothing more",
    ) == ["08:00:30 overload pile-1:1 firing", "09:02:00 silence pile-1 firing"]


def test_one_pile_of_many_that_says_no_more_is_missed_by_its_name() -> None:
    """Each device has a deadline of its own, which no query has to return.

    grafana/grafana #9198: a series that is not returned is not missed; #6925 and #24979: nor
    is one of many.
    """
    beats = [
        f"08:{minute:02}:00  pile-{number}  1: 0 W"
        for minute in range(0, 13, 3)
        for number in range(1, 6)
        if not (number == 3 and minute)
    ]
    assert alerts(*beats) == ["08:10:00 silence pile-3 firing"]


def test_a_message_that_is_a_little_late_is_no_silence() -> None:
    """Two and a half beats, and a hold, before anybody is missed.

    grafana/grafana #9793 and #48295: no data for a moment raises an alarm;
    thingsboard/thingsboard #6821: thirty times late, and inactive.
    """
    assert (
        alerts(
            "08:00:00  pile-1  1: 0 W",
            "08:07:59  pile-1  1: 0 W",
            "08:17:00  pile-1  1: 0 W",
            "08:20:00  nothing more",
        )
        == []
    )


def test_silence_ends_with_the_first_message() -> None:
    """The first message ends it, even one at the very moment at which it fires.

    thingsboard/thingsboard #7909: a race leaves a device inactive for ever.
    """
    said = alerts(
        "08:00:00  pile-1  1: 0 W", "08:10:00  pile-1  1: 0 W", "08:15:00  pile-1  1: 0 W"
    )
    assert said == ["08:10:00 silence pile-1 firing", "08:10:00 silence pile-1 resolved"]


def test_a_connection_that_is_open_is_no_sign_of_life() -> None:
    """Only data is a sign of life, no birth that the broker kept.

    thingsboard/thingsboard #15614: an open socket counts as active for ever.
    """
    assert alerts(
        "08:00:00  pile-1  1: 0 W",
        "08:05:00  pile-1  online  [retained]",
        "08:11:00  nothing more",
    ) == ["08:10:00 silence pile-1 firing"]


def test_a_restart_after_a_night_declares_nobody_dead() -> None:
    """The time in which nobody listened is a grace for every device.

    thingsboard/thingsboard #13715: every device is offline after a restart.
    """
    assert (
        alerts(
            "08:00:00  pile-1  1: 0 W",
            "08:00:00  pile-2  1: 0 W",
            "08:01:00  service stops",
            "20:00:00  service starts",
            "20:05:00  pile-1  1: 0 W",
            "20:06:00  pile-2  1: 0 W",
            "20:07:00  nothing more",
        )
        == []
    )


def test_a_silence_and_a_restart_make_no_recoveries() -> None:
    """A silence withholds; it ends nothing, whatever happens meanwhile.

    ccfos/nightingale #1131: a mute and a restart, and everything recovers.
    """
    lines = (
        "08:00:00  smoke-1  smoke",
        "08:00:00  pile-1  1: 900 W",
        "08:01:00  silence north until 09:00:00",
        "08:02:00  restart",
        "08:03:00  service stops",
        "08:05:00  service starts",
        "08:06:00  pile-1  1: 900 W",
    )
    assert heard(*lines) == [
        "08:00:00 smoke smoke-1 firing",
        "08:00:30 overload pile-1:1 firing",
    ]


def test_an_alarm_ends_after_a_restart_as_it_would_have() -> None:
    """Open alarms are taken up, and end.

    ccfos/nightingale #2999: never cleared after a restart; grafana/grafana #68162 and #93200:
    the end is lost.
    """
    assert heard(
        "08:00:00  pile-1  1: 900 W",
        "08:01:00  pile-1  1: 100 W",
        "08:01:30  restart",
        "08:03:00  nothing more",
    ) == ["08:00:30 overload pile-1:1 firing", "08:02:00 overload pile-1:1 resolved"]


def test_a_restart_tells_nothing_again_and_begins_no_hold_anew() -> None:
    """What was told is not told again, and what has lasted has lasted.

    prometheus/alertmanager #889: alerts are sent again after a restart;
    prometheus/prometheus #13957: the state of a pending alert is lost.
    """
    assert heard(
        "08:00:00  pile-1  1: 900 W",
        "08:00:20  restart",
        "08:00:40  restart",
        "08:01:00  pile-1  1: 900 W",
    ) == ["08:00:30 overload pile-1:1 firing"]


def test_a_watch_that_hears_nothing_says_so() -> None:
    """That it is blind is an alarm of its own, and nobody is declared dead for it.

    influxdata/telegraf #13031, #4647, #6447: the collector stops, and nobody is told.
    """
    said = alerts("08:00:00  pile-1  1: 0 W", "08:01:00  broker gone", "09:00:00  nothing more")
    assert [words.split(" ", 1)[1] for words in said] == ["monitoring_blind all firing"]


def test_a_message_of_two_days_ahead_freezes_nothing() -> None:
    """A stamp of the future is kept under its arrival, and moves no clock but its own.

    apache/metron #1197: one message that is two days ahead stops everything;
    thingsboard/thingsboard #4207: what comes late is used as if it were new.
    """
    lines = (
        "08:00:00  pile-1  1: 0 W",
        "08:00:10  pile-2  1: 0 W  [said 23:00:00]",
        "08:00:20  pile-1  1: 900 W",
        "08:00:30  pile-1  1: 1 W  [buffered]",
        "08:01:00  nothing more",
    )
    assert alerts(*lines) == ["08:00:50 overload pile-1:1 firing"]


def test_a_clock_that_is_eighty_seconds_off_is_believed() -> None:
    """Five minutes ahead and a quarter of an hour behind are believed.

    SentryGuard #210: 30 s is too strict; 80 s were seen.
    """
    assert min(AHEAD_MAX, BEHIND_MAX) >= timedelta(minutes=5)
    assert alerts(
        "08:00:00  pile-1  1: 900 W  [said 08:01:20]",
        "08:00:20  pile-1  1: 900 W  [said 08:01:40]",
        "08:01:00  nothing more",
    ) == ["08:00:30 overload pile-1:1 firing"]


def test_a_stale_last_will_is_a_hint_and_no_death() -> None:
    """A will shortens the wait; a message after it proves life.

    echavet/MitsubishiCN105ESPHome CN105 #60, NetMod #228, PinkyLEDs #6,
    homebridge-mqttthing #36: devices that are shown as offline while they speak.
    """
    assert (
        alerts(
            "08:00:00  pile-1  1: 0 W",
            "08:01:00  pile-1  offline  [retained]",
            "08:02:00  pile-1  1: 0 W",
            "08:05:00  pile-1  offline",
            "08:06:00  pile-1  1: 0 W",
            "08:12:00  nothing more",
        )
        == []
    )
