"""What is sampled is what the engine knows: as on the console's pages, and nothing else."""

from collections.abc import Iterable
from datetime import time, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from api.sampling import Counts, Scene, Shape, quantiles, service_line
from ingest.influx_lines import Value
from ingest.moments import to_us
from ingest.registry import Location
from rules.readings import ClockState, DeviceId, Kind, Reading, Report, Standing
from rules.schedule import Calendar, Schedule, Window
from tests.test_engine import HOUR, MINUTE, NOON, PILE, SMOKE, World, device, power, registry
from tests.test_influx_lines import points

SITE = "town/north"
CLOSED = Schedule("Asia/Shanghai", (Window(time(11), time(13)),))


def scene(world: World, after: timedelta = timedelta(0)) -> Scene:
    return Scene(world.registry, world.engine, Calendar(), NOON + after)


def read(lines: Iterable[bytes]) -> list[tuple[str, dict[str, str], dict[str, Value], int]]:
    return list(points(b"\n".join(lines)))


def site(world: World, after: timedelta = timedelta(0)) -> dict[str, Value]:
    [(_, tags, fields, _)] = read(scene(world, after).sites())
    assert tags == {"area": "town", "site": SITE}
    return fields


def of(world: World, name: str, after: timedelta = timedelta(0)) -> dict[str, Value]:
    [fields] = [
        fields
        for _, tags, fields, _ in read(scene(world, after).devices())
        if tags["device"] == name
    ]
    return fields


def expecting() -> World:
    """A world in which the declared devices are waited for, as after the service's start."""
    world = World()
    for known in (PILE, SMOKE):
        world.engine.expect(known, NOON)
    return world


def pass_time(world: World, until: timedelta) -> None:
    list(world.until(NOON + until))


# --- Sites --------------------------------------------------------------------------------


def test_a_site_that_nobody_heard_of_has_nobody_charging_and_everybody_missing() -> None:
    fields = site(expecting())
    assert fields == {
        "name_zh": "北",
        "name_en": "North",
        "choice_zh": f"北␟{SITE}",
        "choice_en": f"North␟{SITE}",
        "area_choice_zh": "镇␟town",
        "area_choice_en": "Town␟town",
        "worst": 0,
        "open_alerts": 0,
        "sockets": 1,
        "charging": 0,
        "after_hours": 0,
        "closed": 0,
        "chargers": 1,
        "chargers_missing": 1,
        "sensors": 1,
        "sensors_missing": 1,
    }


def test_a_site_says_what_charges_and_what_it_draws() -> None:
    world = expecting()
    world.hear(PILE, NOON, power(200.0), power(2.0, 2), power(300.0, 3))
    fields = site(world)
    assert (fields["charging"], fields["power_w"]) == (2, 502.0)
    assert fields["chargers_missing"] == 0


def test_what_is_too_old_to_be_believed_neither_charges_nor_draws() -> None:
    world = expecting()
    world.hear(PILE, NOON, power(200.0))
    fields = site(world, 8 * MINUTE)
    assert fields["charging"] == 0
    assert "power_w" not in fields


def test_charging_is_after_hours_only_while_the_site_is_closed() -> None:
    world = expecting()
    world.hear(PILE, NOON, power(200.0))
    assert (site(world)["closed"], site(world)["after_hours"]) == (0, 0)
    known = world.registry.sites[SITE]
    world.registry.sites[SITE] = replace(known, schedule=CLOSED)
    assert (site(world)["closed"], site(world)["after_hours"]) == (1, 1)


def test_a_site_s_worst_is_that_of_the_alerts_that_fire() -> None:
    world = expecting()
    world.hear(PILE, NOON, power(5000.0))  # pending, until it has lasted
    assert (site(world)["worst"], site(world)["open_alerts"]) == (0, 0)
    world.hear(PILE, NOON + MINUTE, power(5000.0))
    assert (site(world, MINUTE)["worst"], site(world, MINUTE)["open_alerts"]) == (2, 1)


def test_who_is_silent_is_whom_the_rule_says_is_silent() -> None:
    world = expecting()
    world.hear(PILE, NOON, power(2.0))
    world.hear(SMOKE, NOON, Reading(smoke_alarm=False))
    pass_time(world, 7 * MINUTE)
    assert site(world, 7 * MINUTE)["chargers_missing"] == 0
    pass_time(world, 8 * MINUTE)
    assert site(world, 8 * MINUTE)["chargers_missing"] == 1
    assert site(world, 8 * MINUTE)["sensors_missing"] == 0
    assert of(world, PILE, 8 * MINUTE)["silent"] == 1


def test_strangers_are_not_missed_but_what_they_draw_counts() -> None:
    stranger = DeviceId("town/north/stranger")
    world = World(registry())
    world.registry.enter("native", stranger, NOON)
    world.registry.devices[stranger] = replace(
        world.registry.devices[stranger], kind=Kind.CHARGER
    )
    world.hear(stranger, NOON, power(100.0))
    fields = site(world)
    assert (fields["chargers"], fields["charging"], fields["power_w"]) == (1, 1, 100.0)


def test_a_site_is_where_the_sites_file_says() -> None:
    world = expecting()
    known = world.registry.sites[SITE]
    world.registry.sites[SITE] = replace(known, location=Location(30.5, -120.25))
    assert (site(world)["latitude"], site(world)["longitude"]) == (30.5, -120.25)


def test_a_site_without_devices_is_not_sampled() -> None:
    world = World()
    world.registry.declare(
        world.registry.areas.values(), world.registry.sites.values(), [], NOON
    )
    world.registry.devices.clear()
    assert list(scene(world).sites()) == []


# --- Devices ------------------------------------------------------------------------------


def test_a_device_that_was_never_heard_says_so_and_nothing_else() -> None:
    [pile, _] = read(scene(expecting()).devices())
    assert pile == (
        "device_now",
        {"area": "town", "site": SITE, "device": PILE, "kind": "charger", "dialect": "native"},
        {"name": PILE, "declared": 1, "silent": 1, "clock_wrong": 0, **LIMITS},
        to_us(NOON) * 1000,
    )


LIMITS = {
    "overload_warn_w": 800.0,
    "overload_act_w": 1000.0,
    "heat_warn_c": 65.0,
    "heat_act_c": 80.0,
}
"""Of the built-in policy, as nobody gave another one."""


def test_a_charger_says_its_limits_in_force_and_a_sensor_has_none() -> None:
    world = expecting()
    assert LIMITS.items() <= of(world, PILE).items()
    assert not LIMITS.keys() & of(world, SMOKE).keys()


def test_a_device_shows_its_latest_values() -> None:
    world = expecting()
    said = Reading(battery_pct=8.0, battery_low=True, signal_pct=44.0, firmware="2.0.1")
    world.hear(SMOKE, NOON, said)
    fields = of(world, SMOKE, HOUR)
    assert fields == {
        "name": SMOKE,
        "declared": 1,
        "silent": 0,
        "heard_ago_s": 3600.0,
        "battery_pct": 8.0,
        "battery_low": 1,
        "signal_pct": 44.0,
        "clock_wrong": 0,
        "firmware": "2.0.1",
    }


@pytest.mark.parametrize(
    ("clock", "wrong"), [(ClockState.DEVICE, 0), (ClockState.WRONG, 1), (ClockState.ARRIVAL, 0)]
)
def test_a_clock_is_off_by_what_it_showed_when_it_was_last_heard(
    clock: ClockState, wrong: int
) -> None:
    world = expecting()
    shown: Any = None if clock is ClockState.ARRIVAL else NOON - 20 * MINUTE
    world.engine.observe(
        Report(
            device=PILE, at=NOON, received_at=NOON, identity="", readings=(power(1.0),),
            clock=clock, claimed_at=shown,
        ),
        NOON,
    )  # fmt: skip
    fields = of(world, PILE, MINUTE)
    assert fields.get("clock_off_s") == (None if shown is None else -1200.0)
    assert fields["clock_wrong"] == wrong


def test_a_late_message_is_no_sign_of_the_clock() -> None:
    world = expecting()
    world.engine.observe(
        Report(
            device=PILE, at=NOON - HOUR, received_at=NOON, identity="", readings=(power(1.0),),
            standing=Standing.LATE, claimed_at=NOON - HOUR,
        ),
        NOON,
    )  # fmt: skip
    assert "clock_off_s" not in of(world, PILE)


# --- The service --------------------------------------------------------------------------


def test_the_service_says_what_was_done_between_two_looks() -> None:
    before = Counts(at=NOON, messages=100, readings=1000, refused=3, told=5)
    counts = Counts(
        at=NOON + timedelta(seconds=15), messages=130, readings=1150, refused=4, told=5
    )
    shape = Shape(
        lag=2, delays_s=(0.02, 0.01), outbox=1, broker_ok=False, open_alerts=3, memory_mib=80.5
    )
    [(name, tags, fields, _)] = read([service_line(before, counts, shape)])
    assert (name, tags) == ("service_now", {})
    assert fields == {
        "messages_s": 2.0,
        "readings_s": 10.0,
        "refused": 1,
        "repeated": 0,
        "lag": 2,
        "delay_p50_s": 0.01,
        "delay_p99_s": 0.02,
        "outbox": 1,
        "told": 0,
        "tries_failed": 0,
        "given_up": 0,
        "broker_ok": 0,
        "ledger_ok": 1,
        "history_ok": 1,
        "open_alerts": 3,
        "memory_mib": 80.5,
    }


def test_what_is_not_known_of_the_service_is_left_out() -> None:
    counts = Counts(at=NOON)
    [(_, _, fields, _)] = read([service_line(counts, counts, Shape())])
    assert fields.keys().isdisjoint(
        {"messages_s", "readings_s", "lag", "delay_p50_s", "outbox", "memory_mib"}
    )


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [([1.0], 1, 1), ([2.0, 1.0], 1, 2), (range(1, 101), 50, 99), (range(1, 1001), 500, 990)],
)
def test_a_quantile_is_a_value_that_was_measured(
    values: Iterable[float], p50: float, p99: float
) -> None:
    assert quantiles(values, {"p50": 0.5, "p99": 0.99}) == {"p50": p50, "p99": p99}
    assert quantiles([], {"p50": 0.5}) == {}


def test_devices_of_every_kind_are_sampled() -> None:
    more = device(DeviceId("town/north/what"), Kind.UNKNOWN)
    world = World(registry(more))
    kinds = {tags["kind"] for _, tags, _, _ in read(scene(world).devices())}
    assert kinds == {"charger", "smoke", "unknown"}
