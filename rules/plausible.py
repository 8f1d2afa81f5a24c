"""What a meter cannot have measured: a broken sensor, a lost bit, a wrong unit.

Such a value reaches no rule as truth. It is noted as an oddity of the device instead, until
the same quantity of the same socket makes sense again; the history keeps what was said.
All bounds are ours, and far beyond anything that charges bikes.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from rules.readings import Reading, Report, Standing
from rules.subject import DeviceState, Oddity

NEVER = datetime.min.replace(tzinfo=UTC)
COLDEST_C, HOTTEST_C = -40.0, 250.0
FEEDS_BACK_W = -50.0
"""A meter's error around zero; a charger feeds nothing back."""
SOCKET_MAX_W, DEVICE_MAX_W = 20_000.0, 200_000.0
SOCKET_MAX_A, DEVICE_MAX_A = 100.0, 1_000.0
VOLTAGE_MAX_V = 500.0
"""Above the 400 V between two phases and what a fault adds to it."""
LIVE_W = 15.0
"""What draws this much has a voltage."""


class Bounds(NamedTuple):
    low: float
    high: float
    unit: str


TEMPERATURE = Bounds(COLDEST_C, HOTTEST_C, "°C")
OF_A_SOCKET = {
    "power_w": Bounds(FEEDS_BACK_W, SOCKET_MAX_W, "W"),
    "current_a": Bounds(-SOCKET_MAX_A, SOCKET_MAX_A, "A"),
    "voltage_v": Bounds(0.0, VOLTAGE_MAX_V, "V"),
    "device_temperature_c": TEMPERATURE,
    "ambient_temperature_c": TEMPERATURE,
}
OF_A_DEVICE = OF_A_SOCKET | {
    "power_w": Bounds(FEEDS_BACK_W, DEVICE_MAX_W, "W"),
    "current_a": Bounds(-DEVICE_MAX_A, DEVICE_MAX_A, "A"),
}


def believed(report: Report, state: DeviceState) -> Report:
    """Return the report without what cannot be; note that, or its end, in `state`."""
    if report.standing is not Standing.LIVE:
        return report
    if state.oddities:
        _forget(report, state)
    if all(map(is_plausible, report.readings)):
        return report
    kept: list[Reading] = []
    for reading in report.readings:
        odd = dict(_oddities(reading, report.received_at))
        for quantity, oddity in odd.items():
            state.oddities.setdefault(_key(reading, quantity), oddity)
        kept.append(replace(reading, **dict.fromkeys(odd)))
    return replace(report, readings=tuple(kept))


def cleaned(reading: Reading) -> Reading:
    """Return a reading without what cannot be."""
    if is_plausible(reading):
        return reading
    return replace(reading, **{name: None for name, _ in _oddities(reading, NEVER)})


def is_plausible(reading: Reading) -> bool:
    """Say whether everything in a reading can be true. It is asked for each of them."""
    power_w, voltage_v = reading.power_w, reading.voltage_v
    most_w = DEVICE_MAX_W if reading.channel is None else SOCKET_MAX_W
    if power_w is not None and not FEEDS_BACK_W <= power_w <= most_w:
        return False
    if voltage_v is not None and (
        not 0 <= voltage_v <= VOLTAGE_MAX_V or (voltage_v == 0 and (power_w or 0) > LIVE_W)
    ):
        return False
    found_a, found_c = reading.current_a, reading.device_temperature_c
    most_a = DEVICE_MAX_A if reading.channel is None else SOCKET_MAX_A
    if found_a is not None and not -most_a <= found_a <= most_a:
        return False
    if found_c is not None and not COLDEST_C <= found_c <= HOTTEST_C:
        return False
    found_c = reading.ambient_temperature_c
    return found_c is None or COLDEST_C <= found_c <= HOTTEST_C


def _oddities(reading: Reading, at: datetime) -> Iterator[tuple[str, Oddity]]:
    """Yield what cannot be, by quantity."""
    for quantity, bounds in (OF_A_DEVICE if reading.channel is None else OF_A_SOCKET).items():
        value = getattr(reading, quantity)
        if value is not None and not bounds.low <= value <= bounds.high:
            limit = bounds.low if value < bounds.low else bounds.high
            yield quantity, Oddity(value, limit, bounds.unit, at)
    if reading.voltage_v == 0 and (reading.power_w or 0) > LIVE_W:
        yield "voltage_v", Oddity(0.0, None, "V", at)


def _forget(report: Report, state: DeviceState) -> None:
    """Drop the oddities of what makes sense now."""
    for reading in report.readings:
        still = dict(_oddities(reading, report.received_at))
        for quantity in OF_A_SOCKET:
            if getattr(reading, quantity) is not None and quantity not in still:
                state.oddities.pop(_key(reading, quantity), None)


def _key(reading: Reading, quantity: str) -> str:
    """Return the words for evidence: the quantity, and the socket if there is one."""
    return quantity if reading.channel is None else f"{quantity}; socket {reading.channel}"
