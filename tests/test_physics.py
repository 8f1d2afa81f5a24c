"""Packs, chargers, the mains, contacts and meters of the simulator."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from simulator.batteries import (
    BATTERIES,
    HEALTHS,
    LEAD_ACID_48V,
    LEAD_ACID_60V,
    LEAD_ACID_72V,
    LFP_60V,
    NMC_48V,
    NMC_60V,
    Battery,
)
from simulator.charging import Curve, charge
from simulator.mains import Supply, power_factor
from simulator.meters import Meter
from simulator.packs import Moment, Stage, charging
from simulator.sockets import Socket, Switching, Use
from simulator.warmth import CONTACT_K_PER_W, lagged

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
BATTERY = st.sampled_from(BATTERIES)
HEALTH = st.sampled_from(HEALTHS)
SLOW = settings(max_examples=40)
METER = Meter(gain=1.0, offset_w=0.5, crosstalk=0.01, digits=1)


def moments(battery: Battery, soc: float = 0.2, health: float = 1.0) -> list[Moment]:
    return list(charging(battery.pack(health), battery.brick.charger, soc))


def stages(found: list[Moment]) -> list[Stage]:
    return list(dict.fromkeys(moment.stage for moment in found))


# --- packs and chargers ---------------------------------------------------------------


def test_lead_acid_has_three_stages_and_never_switches_off() -> None:
    found = moments(LEAD_ACID_60V)
    assert stages(found) == [Stage.BULK, Stage.TAPER, Stage.FLOAT]
    assert found[-1].volts == pytest.approx(5 * 13.8, abs=0.01)
    assert 0.005 < found[-1].amps < 0.2


@pytest.mark.parametrize("battery", [NMC_48V, NMC_60V, LFP_60V], ids=lambda b: b.name)
def test_lithium_tapers_and_is_switched_off(battery: Battery) -> None:
    found = moments(battery)
    assert stages(found) == [Stage.BULK, Stage.TAPER, Stage.OFF]
    assert found[-1].amps == 0


def test_a_lead_acid_charger_turns_to_float_after_six_to_eight_hours() -> None:
    for battery in (LEAD_ACID_48V, LEAD_ACID_60V, LEAD_ACID_72V):
        full_s = charge(battery, 0.1).full_s
        assert full_s is not None
        assert 6 <= full_s / 3600 <= 8


@SLOW
@given(BATTERY, st.floats(0, 1), HEALTH)
def test_no_limit_of_the_charger_is_ever_broken(
    battery: Battery, soc: float, health: float
) -> None:
    charger = battery.brick.charger
    for moment in moments(battery, soc, health):
        assert 0 <= moment.amps <= charger.amps * 1.000001
        assert moment.volts <= charger.limit_v * 1.001


@SLOW
@given(BATTERY, st.floats(0, 0.8))
def test_a_worn_battery_takes_less_and_reaches_its_voltage_sooner(
    battery: Battery, soc: float
) -> None:
    new, worn = charge(battery, soc), charge(battery, soc, 0.8)
    assert new.full_s is not None
    assert worn.full_s is not None
    assert worn.at(worn.full_s).energy_wh < new.at(new.full_s).energy_wh
    bulk = [
        max(m.at_s for m in moments(battery, soc, health) if m.stage is Stage.BULK)
        for health in (1.0, 0.8)
    ]
    assert bulk[1] < bulk[0]


def test_a_charger_of_a_lower_voltage_gives_nothing() -> None:
    curve = charge(LEAD_ACID_60V.on(LEAD_ACID_48V.brick), 0.5)
    assert curve.power_w(HOUR) == pytest.approx(LEAD_ACID_48V.brick.supply.standby_w)
    assert curve.full_s == 0


def test_a_charger_of_a_higher_voltage_boils_lead_acid_and_never_tapers() -> None:
    curve = charge(LEAD_ACID_48V.on(LEAD_ACID_72V.brick), 0.5)
    assert curve.full_s is None
    assert curve.power_w(8 * HOUR) >= curve.power_w(HOUR) > 150


def test_a_charger_of_a_higher_voltage_is_cut_off_by_lithiums_own_electronics() -> None:
    found = moments(NMC_48V.on(NMC_60V.brick))
    assert stages(found) == [Stage.BULK, Stage.OFF]
    curve = charge(NMC_48V.on(NMC_60V.brick), 0.2)
    assert curve.full_s is not None
    before, after = (curve.at(curve.full_s + s).power_w for s in (-1, 2))
    assert before > 150
    assert after == pytest.approx(NMC_60V.brick.supply.standby_w)


@SLOW
@given(BATTERY, st.floats(0, 0.9), HEALTH)
def test_what_the_pack_takes_is_less_than_what_the_socket_gives(
    battery: Battery, soc: float, health: float
) -> None:
    found, curve = moments(battery, soc, health), charge(battery, soc, health)
    into_wh = sum(b.power_w * (b.at_s - a.at_s) / 3600 for a, b in pairwise(found))
    last_s = found[-1].at_s
    standby_wh = battery.brick.supply.standby_w * last_s / 3600
    drawn_wh = curve.at(last_s).energy_wh - standby_wh
    assert 0.8 * drawn_wh - 0.5 < into_wh < 0.95 * drawn_wh + 0.5


# --- the mains ------------------------------------------------------------------------


def test_a_charger_is_as_efficient_as_it_says_and_wastes_most_when_idle() -> None:
    supply = Supply(full_w=200, efficiency=0.85, standby_w=2.5)
    assert supply.drawn_w(0) == 2.5
    assert supply.drawn_w(200) == pytest.approx(200 / 0.85)
    assert 10 / supply.drawn_w(10) < 0.8
    assert power_factor(0) == 0.35
    assert power_factor(1) == pytest.approx(0.65)
    assert power_factor(0.05) < power_factor(0.5) < power_factor(1)


def test_an_inrush_is_over_after_three_seconds() -> None:
    curve = charge(LEAD_ACID_60V, 0.3)
    plateau_w = curve.at(60).power_w
    assert curve.at(0).power_w == pytest.approx(1.6 * plateau_w, rel=0.05)
    assert curve.at(3).power_w == pytest.approx(plateau_w, rel=0.03)


# --- nobody who looks changes anything ------------------------------------------------

LOOKS = st.lists(st.floats(0, 12 * 3600), max_size=30).map(sorted)


def looked_at(curve: Curve, looks: list[float], until: timedelta) -> Socket:
    socket = Socket(START, 0.0, 0.01, Switching.OBEYS)
    socket.plug(Use(1, START, START + 24 * HOUR, curve), START)
    for look in looks:
        socket.advance(START + min(timedelta(seconds=look), until))
    socket.advance(START + until)
    return socket


@SLOW
@given(BATTERY, st.floats(0, 1), LOOKS, LOOKS)
def test_energy_and_warmth_do_not_depend_on_how_often_a_pile_reports(
    battery: Battery, soc: float, one: list[float], other: list[float]
) -> None:
    curve = charge(battery, soc)
    a, b = (looked_at(curve, looks, 12 * HOUR) for looks in (one, other))
    assert a.energy_wh == pytest.approx(b.energy_wh, rel=1e-9)
    assert a.contact_k == pytest.approx(b.contact_k, rel=1e-6, abs=1e-9)
    assert a.cabinet_k == pytest.approx(b.cabinet_k, rel=1e-6, abs=1e-9)
    assert a.power_w == b.power_w


def test_a_lag_in_two_parts_is_the_lag_in_one() -> None:
    whole = lagged(1.0, 2.0, 8.0, 900, 600)
    half = lagged(lagged(1.0, 2.0, 5.0, 450, 600), 5.0, 8.0, 450, 600)
    assert whole == pytest.approx(half)
    assert lagged(3.0, 3.0, 3.0, 1e6, 600) == pytest.approx(3.0)
    assert lagged(0.0, 4.0, 4.0, 600, 600) == pytest.approx(4 * (1 - 0.36788), abs=1e-4)


def test_a_contact_warms_with_the_square_of_the_current_and_cools_without() -> None:
    def warmed(amps: float) -> Socket:
        flat = Curve((0.0, 1.0), (100.0,) * 2, (0.0, 100 / 3600), (amps**2,) * 2)
        return looked_at(flat, [], 3 * HOUR)

    once, twice = warmed(2.0), warmed(4.0)
    assert once.contact_k == pytest.approx(CONTACT_K_PER_W * 0.01 * 4, rel=1e-3)
    assert twice.contact_k == pytest.approx(4 * once.contact_k, rel=1e-6)
    twice.unplug(START + 3 * HOUR)
    twice.advance(START + 3 * HOUR + timedelta(minutes=10))
    assert twice.contact_k == pytest.approx(4 * once.contact_k * 0.36788, rel=1e-3)


def test_a_contact_whose_relay_is_open_cools() -> None:
    socket = looked_at(charge(LFP_60V, 0.1), [], HOUR)
    warm_k = socket.contact_k
    socket.switch(START + HOUR, on=False)
    socket.advance(START + 2 * HOUR)
    assert socket.contact_k < 0.01 * warm_k
    assert socket.power_w == 0


# --- meters ---------------------------------------------------------------------------


def test_a_meter_shows_tenths_or_whole_watts() -> None:
    assert METER.shown(123.456, 1.0, 230, 0.0).power_w == 123.5
    whole = replace(METER, digits=0)
    assert whole.shown(123.456, 1.0, 230, 0.0).power_w == 123.0
    made = {Meter.made(Random(seed)).digits for seed in range(40)}
    assert made == {0, 1}


def test_an_empty_socket_shows_its_neighbours() -> None:
    alone, beside = (METER.shown_empty(beside_w, 229.0, 0.0) for beside_w in (0.0, 400.0))
    assert alone.power_w == 0.5
    assert beside.power_w == 4.5


@given(st.floats(0, 5000), st.floats(-5, 5), st.integers(0, 10_000))
def test_a_meter_never_shows_less_than_nothing_nor_much_else_than_what_is(
    power_w: float, noise: float, seed: int
) -> None:
    meter = Meter.made(Random(seed))
    shown = meter.shown(power_w, (power_w / 150) ** 2, 229.0, noise)
    assert shown.power_w >= 0
    assert abs(shown.power_w - power_w) <= 0.06 * power_w + 1.1
    assert 0 <= meter.shown_empty(400, 229.0, noise).power_w < 7


def test_a_plug_that_goes_into_a_socket_that_is_off_draws_nothing() -> None:
    socket = Socket(START, 0.0, 0.01, Switching.OBEYS)
    socket.switch(START, on=False)
    socket.plug(Use(1, START, START + HOUR, charge(LFP_60V, 0.1)), START)
    assert socket.power_w == 0
    socket.advance(START + HOUR)
    assert socket.energy_wh == 0
    socket.switch(START + HOUR, on=True)
    assert socket.power_w > 300
