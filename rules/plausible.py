"""What a meter cannot have measured: a broken sensor, a lost bit, a wrong unit.

Such a value reaches no rule as truth. It is noted as an oddity of the device instead, until
the same quantity of the same socket makes sense again; the history keeps what was said.
All bounds are ours, and far beyond anything that charges bikes.

A power within its bounds cannot be either if two other values of the same reading speak
against it: a voltage that cannot be, and a current that would need such a voltage for it
(decision 042). One value against another proves nothing: whichever errs, the power is
believed, for it may be an overload.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
NOMINAL_V = 230.0
LIVE_W = 15.0
"""What draws this much has a voltage, and a current that every meter shows."""
POWER_FACTOR_MIN = 0.3
"""Of an idle charger, about; what shows less has another unit for volts than for watts."""


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
            _remember(state.oddities, _named(quantity, reading.channel), oddity)
        kept.append(replace(reading, **dict.fromkeys(odd)))
    return replace(report, readings=tuple(kept))


def carried_w(
    channel: int | None, state: DeviceState, now: datetime, within: timedelta
) -> float | None:
    """Return what the current of a socket carries, while its power cannot be.

    None: its power is believed, or no current is known, or nothing was heard of late.
    """
    if not state.oddities or state.heard_at is None or now - state.heard_at >= within:
        return None
    oddity = state.oddities.get(_named("power_w", channel))
    return None if oddity is None else oddity.carried_w


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
    carried_w = _carried_w(reading)
    if carried_w is not None:
        most_w = VOLTAGE_MAX_V * abs(reading.current_a or 0)
        yield "power_w", Oddity(reading.power_w or 0, most_w, "W", at, carried_w)


def _carried_w(reading: Reading) -> float | None:
    """Return what the current carries at 230 V; None unless all else speaks against the power.

    At the power factor that the three values show: it is the same in any unit of volts and
    watts. If they show none that a load can have, it is taken for 1, which is too much.
    """
    power_w, voltage_v = reading.power_w or 0, reading.voltage_v or 0
    if voltage_v <= VOLTAGE_MAX_V or reading.current_a is None or power_w <= LIVE_W:
        return None
    current_a = abs(reading.current_a)
    if power_w <= VOLTAGE_MAX_V * current_a:  # a voltage that can be is enough for it
        return None
    shown = power_w / (voltage_v * current_a) if current_a else 0.0
    return current_a * NOMINAL_V * (shown if POWER_FACTOR_MIN <= shown <= 1 else 1.0)


def _remember(oddities: dict[str, Oddity], name: str, oddity: Oddity) -> None:
    """Keep the first value that could not be, and what the current carries now."""
    first = oddities.setdefault(name, oddity)
    if first.carried_w != oddity.carried_w:
        oddities[name] = replace(first, carried_w=oddity.carried_w)


def _forget(report: Report, state: DeviceState) -> None:
    """Drop the oddities of what makes sense now."""
    for reading in report.readings:
        still = dict(_oddities(reading, report.received_at))
        for quantity in OF_A_SOCKET:
            if getattr(reading, quantity) is not None and quantity not in still:
                state.oddities.pop(_named(quantity, reading.channel), None)


def _named(quantity: str, channel: int | None) -> str:
    """Return the words for evidence: the quantity, and the socket if there is one."""
    return quantity if channel is None else f"{quantity}; socket {channel}"
