"""Each fault: what it does to what devices say, and what is true of it."""

from datetime import datetime, timedelta

import msgspec
import pytest

from ingest.wire import PAYLOAD_BYTES_MAX, Refusal, Rejected, Said
from simulator.emissions import Emission
from simulator.faults import FAULTS
from simulator.library import Size
from simulator.library import village as village_of
from simulator.pile_plans import PilePlan
from simulator.truth import TRAP, Incident
from simulator.village import Village
from tests.simulated import (
    DAY,
    NORTH,
    PILE,
    PLACE,
    SENSOR,
    at,
    of_kind,
    played,
    readings,
    understood,
    village,
    with_fault,
)

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
NOON = 'at = "12:00"\n'
HERE = f'where = "{PILE}#3"\n'
ONE = f'where = "{PILE}"\n'
SITE = f'where = "{NORTH}"\n'


def said_by(here: Village, device: str, since: datetime, until: datetime) -> list[Emission]:
    topic = f"/{device}/"
    return [e for e in played(here, until) if topic in e.topic and e.at >= since]


def watts(here: Village, since: float, until: float, channel: int = 3) -> list[float]:
    said = [e for e in played(here, at(until)) if e.at >= at(since)]
    return [reading.power_w or 0.0 for reading in readings(said, PILE, channel)]


@pytest.mark.parametrize("tag", FAULTS)
def test_every_fault_happens_with_its_own_figures_and_plays(tag: str) -> None:
    here = with_fault(f'fault = "{tag}"\nat = "04:00"', lasts="6 h")
    quiet = with_fault('fault = "bike"\nat = "05:59"\nstays = "1 min"', lasts="6 h")
    said = played(here)
    assert {e.payload for e in said} != {e.payload for e in played(quiet)}
    assert [e.at for e in said] == sorted(e.at for e in said)
    for incident in here.happens:
        assert (incident.severity == TRAP) <= (incident.expected_rules == ())
        assert not {*incident.expected_rules} & {*incident.must_not_rules}


# --- charges ------------------------------------------------------------------------


def test_an_overload_is_true_from_the_moment_the_second_load_joins() -> None:
    here = with_fault(f'fault = "overload"\n{NOON}{HERE}')
    [incident] = of_kind(here, "overload")
    assert (incident.device, incident.channel) == (PILE, 3)
    assert abs(incident.begins - at(12)) < SECOND
    assert abs(incident.earliest - incident.begins - 30 * SECOND) < SECOND
    assert abs((incident.ends or at(0)) - at(12) - 10 * MINUTE) < SECOND
    assert incident.expected_rules == ("overload",)
    assert max(watts(here, 11, 11.9)) < 300
    assert min(watts(here, 12.02, 12.15)) > 1000


def test_two_on_a_lead_are_a_step_that_is_seen_only_if_it_comes_late_enough() -> None:
    lead = f'fault = "extension_lead"\n{NOON}{HERE}'
    [late] = of_kind(with_fault(lead), "two_on_one_socket")
    assert late.expected_rules == ("power_step",)
    [early] = of_kind(with_fault(lead + 'came_before = "10 min"'), "two_on_one_socket")
    assert early.expected_rules == ()
    strong = 'battery = "LFP 60 V 24 Ah"\nsecond = "LFP 60 V 30 Ah on a fast charger, 8 A"\n'
    here = with_fault(lead + strong)
    [step], [overload] = of_kind(here, "two_on_one_socket"), of_kind(here, "overload")
    assert step.expected_rules == ()
    assert overload.expected_rules == ("overload",)


def test_a_fast_charger_is_an_overload_where_the_limit_is_lower_and_else_an_inrush() -> None:
    words = f'fault = "fast_charger"\n{NOON}{HERE}'
    assert of_kind(with_fault(words), "overload")
    fits = words + 'battery = "LFP 60 V 30 Ah on a fast charger, 8 A"'
    [trap] = with_fault(fits).happens
    assert (trap.kind, trap.severity) == ("inrush", TRAP)
    assert "overload" in trap.must_not_rules
    assert trap.ends == at(12) + 10 * SECOND


@pytest.mark.parametrize("fault", ["no_taper", "wrong_charger"])
def test_a_charge_that_does_not_taper_goes_on_at_its_plateau(fault: str) -> None:
    here = with_fault(f'fault = "{fault}"\nat = "02:00"\n{HERE}')
    [incident] = of_kind(here, "no_taper")
    assert incident.begins < incident.earliest < at(10)
    plateau = watts(here, 3, 12.5)
    assert min(plateau) > 0.7 * max(plateau) > 100
    assert min(plateau[-60:]) > 0.95 * max(plateau)  # it does not fall


def test_a_forgotten_bike_floats_and_a_long_charge_is_long() -> None:
    floats = with_fault(f'fault = "forgotten"\nat = "01:00"\n{HERE}')
    [incident] = of_kind(floats, "long_float")
    assert incident.earliest - incident.begins == timedelta(hours=1)
    assert incident.ends is not None
    ends_h = (incident.ends - at(0)) / timedelta(hours=1)
    assert min(watts(floats, ends_h - 1, ends_h - 0.05)) >= 14.5
    assert max(watts(floats, ends_h + 0.1, ends_h + 1)) < 15
    [long] = of_kind(with_fault(f'fault = "long_charge"\nat = "01:00"\n{HERE}'), "long_charge")
    assert long.earliest == at(9)


# --- relays, plugs, contacts --------------------------------------------------------


def test_a_welded_relay_is_said_to_be_off_and_the_current_flows() -> None:
    here = with_fault(f'fault = "relay_welded"\n{NOON}{HERE}')
    said = [e for e in played(here, at(12.5)) if e.at > at(12.02)]
    shown = readings(said, PILE, 3)
    assert all(reading.relay_on is False for reading in shown)
    assert all((reading.power_w or 0) > 100 for reading in shown)
    [incident] = of_kind(here, "relay_welded")
    assert (incident.earliest, incident.expected_rules) == (at(12), ("relay_welded",))


def test_a_plug_that_bounces_comes_back_each_time_and_is_no_danger() -> None:
    here = with_fault(f'fault = "plug_bounce"\n{NOON}{HERE}gap = "50 s"')
    powers = watts(here, 11.9, 12.3)
    assert 3 <= sum(power < 1 for power in powers) < len(powers) / 2
    [trap] = here.happens
    assert {"power_step", "abrupt_end"} <= {*trap.must_not_rules}


def test_a_rescan_starts_again_what_the_pile_had_cut() -> None:
    here = with_fault(f'fault = "rescan"\n{NOON}{HERE}')
    assert min(watts(here, 12.02, 12.2)) > 1000
    assert max(watts(here, 12.23, 12.29)) < 1
    assert min(watts(here, 12.32, 12.5)) > 1000
    first, second = of_kind(here, "overload")
    assert first.ends == at(12) + 13 * MINUTE
    assert second.begins == at(12) + 18 * MINUTE


def test_a_worn_contact_gets_warmer_than_its_neighbours_as_the_truth_says() -> None:
    here = with_fault(f'fault = "contact_heating"\n{NOON}{HERE}')
    [incident] = of_kind(here, "contact_heating")
    assert incident.expected_rules == ("warm", "heat")
    said = [e for e in played(here, at(14)) if e.at > incident.earliest]
    pairs = zip(readings(said, PILE, 3), readings(said, PILE, 8), strict=True)
    excess = [
        (worn.device_temperature_c or 0) - (well.device_temperature_c or 0)
        for worn, well in pairs
    ]
    assert excess[0] > 14
    assert max(excess) > 40


def test_a_contact_that_never_gets_hot_is_expected_to_be_told_by_nobody() -> None:
    here = with_fault(f'fault = "contact_heating"\n{NOON}{HERE}ohm = 0.02')
    [incident] = of_kind(here, "contact_heating")
    assert incident.expected_rules == ()


# --- fire and smoke -----------------------------------------------------------------


def test_a_runaway_smokes_flames_spreads_and_trips_its_charger() -> None:
    here = with_fault(f'fault = "thermal_runaway"\n{NOON}{HERE}')
    [incident] = of_kind(here, "thermal_runaway")
    assert incident.onset == at(12)
    assert at(12) + 3 * MINUTE <= incident.earliest <= at(12) + 4 * MINUTE
    assert incident.latest == at(12) + 6 * MINUTE
    assert (incident.site, incident.device, incident.ends) == (NORTH, None, None)
    said = played(here, at(12.5))
    smoke = [e.at for e in said if b'"event":"smoke"' in e.payload]
    assert min(smoke) == incident.earliest
    assert max(watts(here, 12.08, 12.2)) < 1  # tripped after four minutes
    hot = [r.device_temperature_c or 0 for r in readings(said, PILE, 3)]
    beside = [r.device_temperature_c or 0 for r in readings(said, PILE, 4)]
    assert max(hot) > 150
    assert max(beside) > 100
    assert max(e.at for e in said if PILE in e.topic) <= at(12) + 9 * MINUTE


def test_a_parked_bike_burns_without_a_word_of_power() -> None:
    here = with_fault(f'fault = "thermal_runaway"\n{NOON}{HERE}parked = true')
    assert max(watts(here, 11, 12.2)) < 3
    assert of_kind(here, "thermal_runaway")


@pytest.mark.parametrize("fault", ["fryer", "insect", "dust", "sensor_drift"])
def test_what_only_looks_like_fire_says_smoke_and_must_not_be_one(fault: str) -> None:
    here = with_fault(f'fault = "{fault}"\nat = "02:00"\nwhere = "{SENSOR}"')
    traps = of_kind(here, fault)
    assert traps
    assert all(trap.must_not_rules == ("fire",) for trap in traps)
    events = [e for e in played(here) if b'"event":"smoke"' in e.payload]
    assert len(events) == 2 * len(traps)
    assert events[0].at == at(2)


def test_a_dirty_detector_says_so() -> None:
    here = with_fault(f'fault = "dust"\nat = "02:00"\nwhere = "{SENSOR}"')
    [incident] = of_kind(here, "dirty_sensor")
    assert incident.expected_rules == ("device_fault",)
    assert any(r.fault == "contaminated" for r in readings(played(here), SENSOR, None))


def test_a_self_test_is_marked_as_one() -> None:
    here = with_fault(f'fault = "self_test"\n{NOON}where = "{SENSOR}"')
    tested = [r for r in readings(played(here, at(13)), SENSOR, None) if r.smoke_alarm]
    assert tested
    assert all(reading.self_test for reading in tested)
    [trap] = here.happens
    assert {"smoke", "fire"} <= {*trap.must_not_rules}


# --- devices ------------------------------------------------------------------------


def test_a_dead_device_says_nothing_more() -> None:
    here = with_fault(f'fault = "device_dead"\n{NOON}{ONE}')
    assert said_by(here, PILE, at(12) + SECOND, at(14)) == []
    [incident] = here.happens
    assert incident.expected_rules == ("silence",)
    assert incident.earliest == at(12) + 30 * SECOND
    assert (incident.latest or at(0)) > at(12) + 10 * MINUTE


def test_a_stuck_meter_shows_the_same_whatever_flows() -> None:
    here = with_fault(f'fault = "meter_stuck"\n{NOON}{HERE}stays = "5 h"')
    assert len({*watts(here, 12.01, 16.9)}) == 1
    assert len({*watts(here, 11.2, 11.9)}) > 10
    [incident] = of_kind(here, "meter_stuck")
    assert incident.expected_rules == ("stuck_value",)


def test_a_drifting_thermometer_is_a_trap() -> None:
    here = with_fault(f'fault = "thermometer_drift"\n{NOON}{HERE}an_hour = 10')
    said = [e for e in played(here, at(16)) if e.at > at(15.9)]
    [worn, *_], [well, *_] = readings(said, PILE, 3), readings(said, PILE, 4)
    assert (worn.device_temperature_c or 0) - (well.device_temperature_c or 0) > 38
    assert here.happens[0].must_not_rules == ("fire",)


def test_a_battery_falls_through_the_limit_when_the_truth_says() -> None:
    here = with_fault(f'fault = "battery_low"\n{NOON}where = "{SENSOR}"\nfalls = 20')
    before = readings(played(here, at(11.9)), SENSOR, None)[-1]
    after = readings(played(here, at(12.2)), SENSOR, None)[-1]
    assert (before.battery_pct or 0) > 10 >= (after.battery_pct or 0)


def test_an_old_firmware_says_less() -> None:
    here = with_fault(f'fault = "old_firmware"\nat = "00:00"\n{ONE}clocked = false')
    said = [e for e in played(here, at(1)) if f"{PILE}/telemetry" in e.topic]
    body = msgspec.json.decode(said[0].payload)
    assert not body.keys() & {"boot", "seq", "at"}
    assert all("relay_on" not in reading for reading in body["readings"])


# --- mains --------------------------------------------------------------------------


def test_a_power_cut_darkens_piles_and_leaves_battery_detectors() -> None:
    here = with_fault(f'fault = "power_cut"\n{NOON}{SITE}clock_restarts = true')
    assert said_by(here, PILE, at(12), at(12) + 40 * MINUTE) == []
    assert said_by(here, SENSOR, at(12), at(12.5))
    births = [e for e in said_by(here, PILE, at(0), at(14)) if e.topic.endswith("/status")]
    boots = [msgspec.json.decode(birth.payload)["boot"] for birth in births]
    assert len({*boots}) == 2
    assert msgspec.json.decode(births[1].payload)["at"].startswith("1970-01-01")
    [incident] = here.happens
    assert (incident.site, incident.expected_rules) == (NORTH, ("site_outage",))


def test_a_short_cut_is_a_trap() -> None:
    [trap] = with_fault(f'fault = "power_cut"\n{NOON}{SITE}lasts = "3 min"').happens
    assert trap.severity == TRAP
    assert "site_outage" in trap.must_not_rules


def test_bad_voltage_is_expected_to_be_told_and_a_dip_is_not() -> None:
    low = with_fault(f'fault = "brown_out"\n{NOON}{SITE}')
    volts = {r.voltage_v for r in readings(said_by(low, PILE, at(12.01), at(12.3)), PILE, 1)}
    assert all(165 < (v or 0) < 180 for v in volts)
    assert {i.expected_rules for i in low.happens} == {("voltage",)}
    assert {i.device for i in low.happens} == {PILE, f"{NORTH}/pile-02"}
    slight = with_fault(f'fault = "brown_out"\n{NOON}{SITE}volts = 200')
    assert {i.expected_rules for i in slight.happens} == {()}
    dips = with_fault(f'fault = "power_dips"\n{NOON}{SITE}')
    assert all("voltage" in i.must_not_rules for i in dips.happens)


# --- networks -----------------------------------------------------------------------


def test_a_carriers_outage_silences_all_its_sites_and_then_comes_a_marked_backlog() -> None:
    here = with_fault(f'fault = "carrier_outage"\n{NOON}where = "radio"')
    assert [e for e in played(here, at(14)) if e.at > at(12)] == []
    after = [e for e in played(here, at(14.2)) if e.at > at(14)]
    late = [b'"buffered":true' in e.payload for e in after]
    assert sum(late) > 4 * 200
    assert not all(late)
    [carrier] = of_kind(here, "carrier_outage")
    assert (carrier.site, carrier.expected_rules) == ("", ("carrier_outage",))
    sites = of_kind(here, "carrier_outage_at_site")
    assert {site.site for site in sites} == {NORTH, "town/south"}
    assert all(site.expected_rules == () for site in sites)


def test_a_backlog_keeps_its_order_and_its_times() -> None:
    here = with_fault(f'fault = "link_down"\n{NOON}{ONE}lasts = "1 h"\nmarked = false')
    after = said_by(here, PILE, at(13), at(13.2))
    old = [msgspec.json.decode(e.payload)["at"] for e in after if b"buffered" not in e.payload]
    assert len(after) > 120
    kept = [when for when in old if when < at(13).isoformat()]
    assert kept == sorted(kept)
    trap = of_kind(here, "backlog")[0]
    assert "overload" in trap.must_not_rules


def test_a_half_open_connection_loses_what_is_said_and_the_broker_gives_it_up() -> None:
    here = with_fault(f'fault = "half_open"\n{NOON}{ONE}')
    [will] = said_by(here, PILE, at(12), at(12.49))
    assert will.last_will
    assert will.at == at(12) + 45 * SECOND
    [incident] = here.happens
    assert incident.expected_rules == ("silence",)


def test_a_storm_comes_at_once_or_spread_over_two_minutes() -> None:
    def births(jitter: str) -> list[datetime]:
        here = with_fault(f'fault = "reconnect_storm"\n{NOON}{SITE}jitter = {jitter}')
        said = played(here, at(12.1))
        return [e.at for e in said if e.at > at(12) and e.topic.endswith("/status")]

    spread, at_once = births("true"), births("false")
    assert len(spread) == len(at_once) == 4
    assert max(at_once) - min(at_once) < SECOND
    assert max(spread) - min(spread) > 10 * SECOND


def test_messages_are_lost_late_doubled_and_out_of_order() -> None:
    def times(fault: str, more: str = "") -> list[str]:
        here = with_fault(f'fault = "{fault}"\n{NOON}{ONE}{more}')
        said = said_by(here, PILE, at(12.01), at(13))
        return [msgspec.json.decode(e.payload)["at"] for e in said]

    assert 60 < len(times("loss")) < 105  # of some 118
    doubled = times("duplicate")
    assert len(doubled) > 1.2 * len({*doubled})
    for fault in ("delay", "reorder"):
        late = times(fault)
        assert late != sorted(late)
        assert len(late) == len({*late})


# --- clocks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "ahead"),
    [
        ('fault = "clock_skewed"', timedelta(minutes=45)),
        ('fault = "clock_skewed"\nminutes_ahead = -20', timedelta(minutes=-20)),
        ('fault = "clock_local"', timedelta(hours=8)),
        ('fault = "clock_drifting"\nminutes_a_day = 240', timedelta(minutes=60)),
    ],
)
def test_a_wrong_clock_shows_how_wrong_it_is(fault: str, ahead: timedelta) -> None:
    here = with_fault(f"{fault}\n{NOON}{ONE}")
    [last] = said_by(here, PILE, at(17.995), at(18) + 3 * SECOND)[-1:]
    heard = understood(last)
    assert isinstance(heard, Said)
    assert heard.at is not None
    assert abs(heard.at - last.at - ahead) < 10 * SECOND
    [incident] = here.happens
    assert incident.expected_rules == ("clock_wrong",)
    assert "silence" in incident.must_not_rules


def test_a_clock_is_wrong_only_beyond_the_tolerance_and_for_long_enough() -> None:
    skewed = f'fault = "clock_skewed"\n{NOON}{ONE}'
    [slight] = with_fault(skewed + "minutes_ahead = -8").happens
    [soon] = with_fault(skewed + 'set_after = "30 min"').happens
    assert slight.must_not_rules == soon.must_not_rules == ("clock_wrong", "silence")
    drifting = f'fault = "clock_drifting"\nat = "00:00"\n{ONE}minutes_a_day = 12'
    [drift] = with_fault(drifting).happens
    assert abs(drift.earliest - at(10)) < SECOND


# --- messages and intruders ---------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ("truncated", Refusal.NOT_JSON),
        ("not_json", Refusal.NOT_JSON),
        ("not_utf8", Refusal.NOT_UTF8),
        ("wrong_type", Refusal.WRONG_TYPE),
        ("too_deep", Refusal.NOT_JSON),
    ],
)
def test_what_nobody_can_read_is_refused_and_the_rest_is_heard(
    how: str, refusal: Refusal
) -> None:
    here = with_fault(f'fault = "malformed"\n{NOON}{ONE}how = "{how}"\nat_most = 3\nshare = 1')
    heard = [understood(e) for e in said_by(here, PILE, at(12), at(13))]
    refused = [each for each in heard if isinstance(each, Rejected)]
    assert len(refused) == here.expected_refused == 3
    assert {each.reason for each in refused} <= {refusal, Refusal.TOO_DEEP, Refusal.WRONG_TYPE}
    assert sum(isinstance(each, Said) for each in heard) > 100


def test_oversized_messages_are_oversized() -> None:
    here = with_fault(f'fault = "oversized"\n{NOON}{ONE}')
    said = said_by(here, PILE, at(12), at(12) + 5 * MINUTE)
    assert all(len(e.payload) > PAYLOAD_BYTES_MAX for e in said)


def test_another_unit_is_ten_times_off_and_no_overload() -> None:
    here = with_fault(f'fault = "wrong_unit"\n{NOON}{ONE}')
    [first, *_] = readings(said_by(here, PILE, at(12.01), at(12.1)), PILE, 1)
    assert 2200 < (first.voltage_v or 0) < 2400
    [incident] = here.happens
    assert incident.expected_rules == ("impossible_value",)
    assert "overload" in incident.must_not_rules


def test_a_copied_name_and_an_impostor_speak_for_others() -> None:
    copied = with_fault(f'fault = "copied_name"\n{NOON}{ONE}')
    heard = [understood(e) for e in said_by(copied, PILE, at(12), at(12.05))]
    assert all(isinstance(e, Rejected) and e.reason is Refusal.NOT_ITS_OWN for e in heard)
    spoofed = with_fault(f'fault = "impostor"\n{NOON}{SITE}')
    lies = [e for e in played(spoofed, at(12.5)) if "intruder" in e.device]
    assert len(lies) > 50
    assert all(isinstance(understood(e), Rejected) for e in lies)


def test_a_stranger_is_to_be_found_if_it_stays_and_a_flood_blinds_nobody() -> None:
    [stays] = with_fault(f'fault = "stranger"\n{NOON}{SITE}').happens
    [passes] = with_fault(f'fault = "stranger"\n{NOON}{SITE}lasts = "5 min"').happens
    assert (stays.expected_rules, passes.expected_rules) == (("undeclared_device",), ())
    flood = with_fault(f'fault = "flood"\n{NOON}{SITE}lasts = "10 s"')
    assert sum("flood" in e.topic for e in played(flood, at(12.1))) > 800
    assert "monitoring_blind" in flood.happens[0].must_not_rules


# --- what nobody could know ---------------------------------------------------------


def test_a_danger_behind_a_broken_link_is_true_and_expected_of_nobody() -> None:
    overload = f'fault = "overload"\n{NOON}{HERE}'
    down = f'[[events]]\nfault = "link_down"\nat = "11:30"\n{ONE}'
    [unheard] = of_kind(with_fault(f"{overload}\n{down}"), "overload")
    assert unheard.expected_rules == ()
    here = with_fault(f'{overload}lasts = "4 h"\n{down}')
    [later] = of_kind(here, "overload")
    assert later.expected_rules == ("overload",)
    assert at(14.5) <= later.earliest <= at(14.5) + 2 * MINUTE


def test_what_is_over_before_the_next_report_is_expected_of_nobody() -> None:
    brief = with_fault(f'fault = "overload"\n{NOON}{HERE}lasts = "50 s"')
    assert [i.expected_rules for i in of_kind(brief, "overload")] == [()]


def test_what_is_within_a_meters_error_of_the_limit_is_expected_of_nobody() -> None:
    bike = f'fault = "fast_charger"\n{NOON}{HERE}'
    peak_w = max(with_fault(bike).piles[0].uses[0].curve.powers_w[2:])
    limits = f"[limits]\nsocket_w = {0.981 * peak_w:.1f}\n"
    here = village(f'lasts = "1 d"\n[[events]]\n{bike}{limits}')
    assert {i.expected_rules for i in of_kind(here, "overload")} == {()}


def test_what_the_end_of_the_run_cuts_short_is_expected_of_nobody() -> None:
    here = with_fault(f'fault = "overload"\n{NOON}{HERE}', lasts="12.01 h")
    [incident] = of_kind(here, "overload")
    assert (incident.ends, incident.expected_rules) == (None, ())


@pytest.mark.parametrize(
    "then",
    [
        'fault = "half_open"\n',
        'fault = "link_down"\n',
        'fault = "connection_lost"\nkind = "pile"\n',
        'fault = "device_dead"\n',
    ],
)
def test_that_a_dead_device_is_silent_is_expected_once(then: str) -> None:
    dead = f'fault = "device_dead"\nat = "10:00"\n{ONE}'
    here = with_fault(f"{dead}[[events]]\n{then}{NOON}{ONE}")
    silent = [i for i in here.happens if "silence" in i.expected_rules]
    assert [(i.kind, i.begins) for i in silent] == [("device_dead", at(10))]
    alive = with_fault(f"{then}{NOON}{ONE}")
    assert [i.begins for i in alive.happens if "silence" in i.expected_rules] == [at(12)]


@pytest.mark.parametrize(
    ("came", "stays", "expected"),
    [
        ("05:21", "1 h", False),  # it opens at 05:30, and 10 min are allowed
        ("05:15", "1 h", True),
        ("02:00", "9 min", False),
        ("02:00", "20 min", True),
        ("21:00", "65 min", False),
        ("21:00", "80 min", True),
    ],
)
def test_a_charge_at_night_is_expected_to_be_told_if_it_outlasts_the_grace(
    came: str, stays: str, expected: bool
) -> None:
    closed = PLACE.replace("closed = []", 'closed = ["22:00-05:30"]')
    bike = f'fault = "bike"\nat = "{came}"\n{HERE}stays = "{stays}"\n'
    here = village(f'lasts = "1 d"\n[[events]]\n{bike}', place=closed)
    told = [i for i in of_kind(here, "after_hours") if i.expected_rules]
    assert bool(told) is expected


def test_two_that_charge_one_after_the_other_are_no_long_charge() -> None:
    """The first is full by noon and floats; the second comes hours later."""
    lead = f'fault = "extension_lead"\nat = "20:00"\n{HERE}lasts = "3 h"\n'
    here = with_fault(f'{lead}came_before = "19 h"\n')
    assert of_kind(here, "long_charge") == []
    [step] = of_kind(here, "two_on_one_socket")
    assert step.figures["alone_w"] < 30 < step.figures["both_w"]
    assert step.figures["before_most_w"] > 150
    apart = with_fault(f'{lead}came_before = "3 h"\n')
    assert of_kind(apart, "two_on_one_socket")[0].figures["alone_w"] > 100


def test_a_second_bike_at_a_socket_that_is_off_is_expected_to_be_seen_by_nobody() -> None:
    here = village_of("over-occupied", 7, DAY, Size(2, 4))
    piles = {pile.id: pile for pile in here.piles}
    steps = of_kind(here, "two_on_one_socket")
    off = [step for step in steps if _is_off(piles[step.device or ""], step)]
    assert [step.expected_rules for step in off] == [()]
    assert sum(bool(step.expected_rules) for step in steps) > 5


def _is_off(pile: PilePlan, step: Incident) -> bool:
    [use] = (
        use
        for use in pile.uses
        if use.channel == step.channel and use.plugged_at <= step.begins < use.unplugged_at
    )
    return any(
        stop.channel == use.channel and use.plugged_at <= stop.at < step.begins
        for stop in pile.stops
    )
