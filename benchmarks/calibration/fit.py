"""Fit our cells to PyBaMM's, and write simulator/cells.json.

    PYTHON -m benchmarks.calibration.fit     # some minutes; PYTHON as for pybamm_runs.py

Least squares over the charges of FITTED_FROM: voltage and current over time, and the time
of the taper. The open-circuit voltage is PyBaMM's, thinned out to what straight lines need.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from scipy.optimize import least_squares

from benchmarks.calibration.errors import error, ours
from benchmarks.calibration.literature import ACCEPTANCE_V, GASSING, GUARD_V
from benchmarks.calibration.packs import (
    BENCHES,
    FITTED_FROM,
    Bench,
    OpenCircuit,
    Run,
    open_circuit,
    reference,
)
from simulator.cells import CELLS, Cell, Pair

SERIES_SOCS = (0.1, 0.3, 0.6, 0.8, 0.9, 0.97, 0.985, 0.995)
STARTS = (0.2, 0.3, 0.6, 0.8, 1.0, 1.5, 2.0)
"""Multiples of FIRST from which the search begins; the best end is taken ..."""
POLISH = (0.005, 0.05, 0.01, 0.1)
"""... and improved with these steps of the derivative: our own steps make it rough."""
STRAIGHT_WITHIN_V = 0.002
FIRST = (
    *[math.log(0.05)] * len(SERIES_SOCS),
    math.log(0.03),
    math.log(60),
    math.log(0.05),
    math.log(1000),
)
"""Logarithms of resistances (V per C-rate) and time constants (s) to begin with."""
_R, _FAST_S, _SLOW_S = (0.001, 3.0), (5, 300), (200, 7200)
BOUNDS = np.log([*[_R] * len(SERIES_SOCS), _R, _FAST_S, _R, _SLOW_S]).T


def thinned(found: OpenCircuit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return as few points as keep straight lines within STRAIGHT_WITHIN_V."""
    socs, volts = np.array(found.socs), np.array(found.volts)
    keep = {0, len(socs) - 1}
    while True:
        points = sorted(keep)
        off = np.abs(np.interp(socs, socs[points], volts[points]) - volts)
        worst = int(np.argmax(off))
        if off[worst] <= STRAIGHT_WITHIN_V:
            return tuple(found.socs[n] for n in points), tuple(found.volts[n] for n in points)
        keep.add(worst)


def cell_of(name: str, logs: Sequence[float]) -> Cell:
    found = open_circuit(name)
    socs, volts = thinned(found)
    *series, fast, fast_s, slow, slow_s = (float(f"{math.exp(log):.4g}") for log in logs)
    return Cell(
        name=name,
        source=found.made_by,
        ocv_socs=socs,
        ocv_v=volts,
        series_socs=SERIES_SOCS,
        series=tuple(series),
        pairs=(Pair(fast, fast_s), Pair(slow, slow_s)),
    )


def residuals(bench: Bench, cell: Cell, run: Run) -> list[float]:
    """Return what is off: voltages by 10 mV, currents by 2 % of the charger's, times by 2 %."""
    moments = ours(bench, cell, run.soc)
    times = [moment.at_s for moment in moments]
    volts = np.interp(run.times_s, times, [m.volts / bench.series for m in moments])
    rates = np.interp(run.times_s, times, [m.amps / bench.ah for m in moments])
    off_v = (volts - np.array(run.volts)) / 0.01
    off_rate = (rates - np.array(run.rates)) / bench.rate / 0.02
    found = error(bench, cell, run)
    count = math.sqrt(len(run.times_s))
    scored = [found.taper / 0.02, found.total / 0.02, found.energy / 0.01]
    return [*(off_v / count), *(off_rate / count), *scored]


def fitted(name: str) -> Cell:
    benches = [(bench, reference(bench)) for bench in BENCHES if bench.cell == name]

    def off(logs: Sequence[float]) -> list[float]:
        cell = cell_of(name, logs)
        return [
            residual
            for bench, theirs in benches
            for run in theirs.runs
            if run.soc in FITTED_FROM
            for residual in residuals(bench, cell, run)
        ]

    def sum_of_squares(logs: np.ndarray) -> float:
        return sum(residual * residual for residual in off(logs))

    best = min(
        (solved(off, np.array(FIRST) + math.log(times), 0.02) for times in STARTS),
        key=sum_of_squares,
    )
    for step in POLISH:
        best = min(best, solved(off, best, step), key=sum_of_squares)
    print(name, "sum of squares", round(sum_of_squares(best), 2))
    return cell_of(name, best)


def solved(
    off: Callable[[Sequence[float]], list[float]], first: np.ndarray, step: float
) -> np.ndarray:
    low, high = BOUNDS
    start = np.clip(first, low + 0.01, high - 0.01)
    found = least_squares(off, start, diff_step=step, max_nfev=60, bounds=BOUNDS)
    return np.asarray(found.x)


if __name__ == "__main__":
    names = dict.fromkeys(bench.cell for bench in BENCHES)
    done = []
    for name in names:
        cell = fitted(name)
        for bench in BENCHES:
            if bench.cell == name:
                for run in reference(bench).runs:
                    off = error(bench, cell, run)
                    print(
                        f"  {bench.name} from {off.soc}: energy {off.energy:+.2%}, "
                        f"taper {off.taper:+.1%}, total {off.total:+.2%}"
                    )
        done.append(
            msgspec.structs.replace(
                cell,
                acceptance_v=ACCEPTANCE_V.get(name, 0.0),
                gassing=GASSING.get(name),
                guard_v=GUARD_V.get(name),
            )
        )
    CELLS.write_bytes(msgspec.json.format(msgspec.json.encode(done), indent=1) + b"\n")
