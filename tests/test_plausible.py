"""What cannot be reaches no rule, and is remembered until it makes sense again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.plausible import OF_A_SOCKET, believed, carried_w, cleaned, is_plausible
from rules.readings import DeviceId, Reading, Report, Standing
from rules.subject import DeviceState

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PILE = DeviceId("town/north/pile-1")

amounts = st.none() | st.floats(-1e9, 1e9) | st.sampled_from([0.0, -50.0, 500.0, 2e4, 2e5])
readings = st.builds(
    Reading,
    channel=st.none() | st.integers(1, 3),
    relay_on=st.none() | st.booleans(),
    **dict.fromkeys(OF_A_SOCKET, amounts),
)


def report(*said: Reading, standing: Standing = Standing.LIVE) -> Report:
    return Report(
        device=PILE, at=NOON, received_at=NOON, identity="1", readings=said, standing=standing
    )


def pile() -> DeviceState:
    return DeviceState(PILE, "town/north")


def test_what_can_be_is_passed_on_as_it_is() -> None:
    state, said = pile(), report(Reading(channel=1, power_w=900, voltage_v=229.5))
    assert believed(said, state) is said
    assert not state.oddities


def test_only_the_value_that_cannot_be_is_taken_out() -> None:
    state, said = pile(), report(Reading(channel=2, power_w=1e6, relay_on=True, voltage_v=230))
    [kept] = believed(said, state).readings
    assert kept == Reading(channel=2, relay_on=True, voltage_v=230)
    assert list(state.oddities) == ["power_w; socket 2"]


def test_power_without_voltage_is_believed_and_the_voltage_is_not() -> None:
    state = pile()
    [kept] = believed(report(Reading(channel=1, power_w=500, voltage_v=0)), state).readings
    assert kept == Reading(channel=1, power_w=500)
    assert list(state.oddities) == ["voltage_v; socket 1"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Reading(power_w=1500, voltage_v=230, current_a=0.6), "the voltage can be"),
        (Reading(power_w=1500, voltage_v=2300), "no current is known"),
        (Reading(power_w=1500, voltage_v=2300, current_a=6.6), "the current bears it out"),
        (Reading(power_w=15, voltage_v=2300, current_a=0), "a meter shows no current of it"),
    ],
)
def test_a_power_is_believed_unless_voltage_and_current_both_speak_against_it(
    said: Reading, why: str
) -> None:
    [kept] = believed(report(said), pile()).readings
    assert kept.power_w == said.power_w, why


def test_a_power_in_tenths_is_not_believed_and_what_the_current_carries_is_kept() -> None:
    state, minute = pile(), timedelta(minutes=1)
    said = Reading(channel=1, power_w=1500, voltage_v=2300, current_a=1)
    [kept] = believed(report(said), state).readings
    state.take(report(said))
    assert kept == Reading(channel=1, current_a=1)
    assert carried_w(1, state, NOON, minute) == pytest.approx(150)
    assert carried_w(2, state, NOON, minute) is None
    assert carried_w(1, state, NOON + minute, minute) is None, "that was a minute ago"


def test_what_the_current_carries_is_that_of_the_latest_reading_until_power_makes_sense() -> (
    None
):
    state, minute = pile(), timedelta(minutes=1)
    believed(report(Reading(power_w=1500, voltage_v=2300, current_a=1)), state)
    latest = report(Reading(power_w=9000, voltage_v=2300, current_a=6))
    believed(latest, state)
    state.take(latest)
    assert carried_w(None, state, NOON, minute) == pytest.approx(900)
    assert state.oddities["power_w"].value == 1500, "the first that could not be"
    believed(report(Reading(power_w=900, voltage_v=230, current_a=6)), state)
    assert carried_w(None, state, NOON, minute) is None


@pytest.mark.parametrize("voltage_v", [230_000, 700])
def test_at_no_power_factor_that_a_load_can_have_the_current_is_taken_to_be_power_alone(
    voltage_v: float,
) -> None:
    state = pile()
    said = Reading(power_w=9000, voltage_v=voltage_v, current_a=2)
    believed(report(said), state)
    state.take(report(said))
    assert carried_w(None, state, NOON, timedelta(minutes=1)) == pytest.approx(460)


@pytest.mark.parametrize("standing", [Standing.LATE, Standing.RETAINED])
def test_what_is_not_live_says_nothing_about_the_device_now(standing: Standing) -> None:
    state = pile()
    believed(report(Reading(channel=1, power_w=1e6), standing=standing), state)
    assert not state.oddities


def test_it_is_forgotten_when_the_same_of_the_same_socket_makes_sense() -> None:
    state = pile()
    believed(report(Reading(channel=1, power_w=1e6), Reading(channel=2, power_w=1e6)), state)
    believed(report(Reading(channel=1, voltage_v=230), Reading(channel=2, power_w=5)), state)
    assert list(state.oddities) == ["power_w; socket 1"]


@given(st.lists(readings, max_size=4))
def test_whatever_is_said_what_is_believed_is_plausible_and_nothing_is_added(
    said: list[Reading],
) -> None:
    state, heard = pile(), report(*said)
    kept = believed(heard, state)
    assert all(map(is_plausible, kept.readings))
    assert bool(state.oddities) >= (kept is not heard)
    for before, after in zip(heard.readings, kept.readings, strict=True):
        said_before = msgspec.structs.asdict(before)
        for name, value in msgspec.structs.asdict(after).items():
            assert value == said_before[name] or (value is None and name in OF_A_SOCKET)


@given(readings)
def test_a_reading_alone_is_cleaned_as_in_a_report(said: Reading) -> None:
    [kept] = believed(report(said), pile()).readings
    assert cleaned(said) == kept
