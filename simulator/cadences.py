"""How often devices of certain makes speak, which is seldomer than one would like.

An AP3000-like pile says every 3 minutes what its sockets are doing, and every 5 minutes of a
charge what flows in it; when a socket changes its state it says so at once. What lies between
two reports nobody knows.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from ingest.codecs.native import Telemetry
from rules.readings import Reading
from simulator.emissions import Emission
from simulator.links import Memory, Step

CadenceName = Literal["beat", "ap3000", "mqtt-30s"]
SensorCadenceName = Literal["beat", "nb-iot"]


class Cadence(msgspec.Struct, frozen=True, kw_only=True):
    """How often a kind of device speaks."""

    beat: timedelta
    """Between two reports."""
    figures: timedelta | None = None
    """Between two reports of what flows, where that is not in each."""
    source: str


CADENCES: dict[str, Cadence] = {
    "ap3000": Cadence(
        beat=timedelta(minutes=3),
        figures=timedelta(minutes=5),
        source="AP3000 protocol v8.6: heartbeat every 3 min, power every 5 min, no retry",
    ),
    "mqtt-30s": Cadence(
        beat=timedelta(seconds=30), source="ours: what our own format is made for"
    ),
    "nb-iot": Cadence(
        beat=timedelta(days=1),
        source="NB-IoT detectors sleep: a heartbeat a day, alarms at once (docs/policy.md)",
    ),
}
TICK = timedelta(seconds=30)
"""How often a pile that seldom speaks looks whether it is time."""
LATE_MAX = TICK + timedelta(seconds=2)
"""So much later than it is due it says so at most."""
FIGURES = (
    "power_w",
    "current_a",
    "energy_kwh",
    "device_temperature_c",
    "session_energy_kwh",
    "session_duration_s",
)


class _Kept:
    """What a pile remembers of its own reports."""

    def __init__(self) -> None:
        self.status_due: datetime | None = None
        self.figures_due: dict[int, datetime] = {}
        self.states: dict[int, str | None] = {}


class Seldom(Step, frozen=True, kw_only=True):
    """A pile keeps to itself what it measures until it is time to speak."""

    status: timedelta
    figures: timedelta

    def pass_on(self, emission: Emission, memory: Memory) -> Iterator[Emission]:
        if not emission.topic.endswith("/telemetry"):
            yield emission
            return
        telemetry = _telemetry.decode(emission.payload)
        if not isinstance(memory.value, _Kept):
            memory.value = _Kept()
        readings = tuple(self._told(telemetry.readings, emission.at, memory.value))
        if readings:
            said = msgspec.structs.replace(telemetry, readings=readings)
            yield msgspec.structs.replace(emission, payload=msgspec.json.encode(said))

    def _told(
        self, readings: tuple[Reading, ...], at: datetime, kept: _Kept
    ) -> Iterator[Reading]:
        whole = [each for each in readings if each.channel is None]
        sockets = {each.channel: each for each in readings if each.channel is not None}
        changed = {n for n, each in sockets.items() if kept.states.get(n) != each.port_state}
        due = set(self._due(sockets, changed, at, kept))
        kept.states = {n: each.port_state for n, each in sockets.items()}
        if kept.status_due is None or at >= kept.status_due or changed:
            kept.status_due = at + self.status
            yield from whole
            for channel, reading in sockets.items():
                yield reading if channel in due else _without_figures(reading)
        else:
            yield from (sockets[channel] for channel in sorted(due))

    def _due(
        self, sockets: dict[int, Reading], changed: set[int], at: datetime, kept: _Kept
    ) -> Iterator[int]:
        """Yield the sockets whose figures are said: a charge's by and by, an end's at once."""
        for channel, reading in sockets.items():
            charges = reading.port_state == "charging"
            if channel in changed:
                kept.figures_due[channel] = at + self.figures
                if not charges:
                    yield channel
            elif reading.port_state != "idle" and at >= kept.figures_due[channel]:
                missed = (at - kept.figures_due[channel]) // self.figures
                kept.figures_due[channel] += (missed + 1) * self.figures
                yield channel


def _without_figures(reading: Reading) -> Reading:
    return msgspec.structs.replace(reading, **dict.fromkeys(FIGURES))


_telemetry = msgspec.json.Decoder(Telemetry)
