"""Cells as equivalent circuits, per unit of capacity: currents are C-rates (1/h).

A cell is an open-circuit voltage over its state of charge, a resistance, and two pairs of
resistance and capacitance for what lags behind the current (charge transfer, diffusion).
Resistances are in volts per C-rate, so that one set of them fits a pack of any size. The
figures are in cells.json, fitted to PyBaMM (docs/simulator-physics.md).

Lead-acid has two things more, which PyBaMM's model has not. What it accepts shrinks with
what is missing, as lead sulphate dissolves ever more slowly (`acceptance`); and above its
gassing voltage a part of the current splits water (`gassing`), so that it never falls to 0.
"""

import math
from bisect import bisect_right
from functools import cache
from pathlib import Path

import msgspec

CELLS = Path(__file__).parent / "cells.json"
MISSING_MIN = 0.002
"""Share of the charge that is always missing: else the last bit would take for ever."""


class Pair(msgspec.Struct, frozen=True):
    """A resistance (volts per C-rate) beside a capacitance: together, a lag."""

    volts_per_rate: float
    tau_s: float


class Gassing(msgspec.Struct, frozen=True):
    """What splits water: `rate` at `at_v`, e times as much every `volts_per_e` (Tafel)."""

    rate: float
    at_v: float
    volts_per_e: float

    def at(self, volts: float) -> float:
        """Return the C-rate that is lost at a cell voltage."""
        return self.rate * math.exp(min(40.0, (volts - self.at_v) / self.volts_per_e))


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One chemistry. `ocv_v` and `series` are straight between their points.

    Beyond them the voltage goes on straight, and the resistance stays as it is.
    """

    name: str
    source: str
    ocv_socs: tuple[float, ...]
    ocv_v: tuple[float, ...]
    series_socs: tuple[float, ...]
    series: tuple[float, ...]
    """Volts per C-rate, at once."""
    pairs: tuple[Pair, ...]
    acceptance_v: float = 0.0
    """Volts per C-rate, over the share of the charge that is missing."""
    gassing: Gassing | None = None
    guard_v: float | None = None
    """At which a battery's own electronics cut the charger off; None: it has none."""

    def open_circuit_v(self, soc: float) -> tuple[float, float]:
        """Return the voltage at rest, and its slope in volts per state of charge."""
        return _between(soc, self.ocv_socs, self.ocv_v)

    def resistance(self, soc: float) -> float:
        """Return what counts at once, in volts per C-rate."""
        inside = min(max(soc, self.series_socs[0]), self.series_socs[-1])
        at_once = _between(inside, self.series_socs, self.series)[0]
        return at_once + self.acceptance_v / max(MISSING_MIN, 1.0 - soc)

    def as_in_pybamm(self) -> "Cell":
        """Return it without what PyBaMM's models do not have."""
        return msgspec.structs.replace(self, acceptance_v=0.0, gassing=None)


def _between(
    at: float, points: tuple[float, ...], values: tuple[float, ...]
) -> tuple[float, float]:
    """Return value and slope; beyond the ends both go on as before."""
    n = min(max(bisect_right(points, at), 1), len(points) - 1)
    slope = (values[n] - values[n - 1]) / (points[n] - points[n - 1])
    return values[n - 1] + slope * (at - points[n - 1]), slope


@cache
def cells() -> dict[str, Cell]:
    """Return the cells by name."""
    found = msgspec.json.decode(CELLS.read_bytes(), type=list[Cell])
    return {cell.name: cell for cell in found}
