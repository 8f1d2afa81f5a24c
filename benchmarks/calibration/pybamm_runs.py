"""Charge every bench in PyBaMM, and write down what it says.

    PYTHON -m benchmarks.calibration.pybamm_runs     # some 5 minutes

PYTHON is one in which requirements.txt beside this file is installed. Lithium cells are
Doyle-Fuller-Newman models, lead-acid ones the full porous-electrode model of Sulzer et al.,
both at an even temperature. A charge begins at rest.
"""

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from benchmarks.calibration.packs import (
    BENCHES,
    FITTED_FROM,
    HELD_OUT,
    OPEN_CIRCUIT_RATE,
    REFERENCE,
    Bench,
    OpenCircuit,
    Reference,
    Run,
)

os.environ["PYBAMM_DISABLE_TELEMETRY"] = "true"
import pybamm

SETS = {
    "nmc811": "Chen2020",
    "nmc532": "Mohtat2020",
    "lfp": "Prada2013",
    "lead-acid": "Sulzer2019",
}
LITHIUM_FULL_V = {"nmc811": 4.2, "nmc532": 4.2, "lfp": 3.6}
LEAD_ACID_FULL = 1.06
"""Up to this state of charge the open-circuit voltage is asked for."""
STEEP_FROM = 0.95
"""Above it the open-circuit voltage is sampled ten times as densely."""
FROM_FULL_AT = 5
"""A lead-acid model can only start full: it is discharged at C/5 first, and rests for 2 h."""
KEEP_S = {"constant current": 600.0, "taper": 120.0}
"""How often a charge is written down."""


class Cell:
    """One of PyBaMM's cells, and its capacity."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lead_acid = name == "lead-acid"
        self._set = pybamm.ParameterValues(SETS[name])
        if self.lead_acid:
            self._set["Number of cells connected in series to make a battery"] = 1
            self._set["Upper voltage cut-off [V]"] = 3.0
            self._set["Lower voltage cut-off [V]"] = 1.5
        model = "lead-acid Full" if self.lead_acid else "lithium-ion DFN"
        self.made_by = f"PyBaMM {pybamm.__version__}, {model}, {SETS[name]}"
        self.capacity_ah = float(self._set["Nominal cell capacity [A.h]"])
        if not self.lead_acid:
            full_v = LITHIUM_FULL_V[name]
            slow = self._solved([f"Charge at C/100 until {full_v} V"], soc=0.0)
            self.capacity_ah *= float(slow.t[-1]) / 3600 / 100

    def open_circuit(self) -> OpenCircuit:
        rate = OPEN_CIRCUIT_RATE
        full = LEAD_ACID_FULL if self.lead_acid else 1.0
        socs = np.concatenate(
            [np.arange(0, STEEP_FROM, 0.01), np.arange(STEEP_FROM, full + 1e-9, 1e-3)]
        )
        amps, hours = self.capacity_ah * rate, (socs[-1] - socs[0]) / rate
        steps = [f"Charge at {amps} A for {hours} hours"]
        if not self.lead_acid:
            full_v = LITHIUM_FULL_V[self.name]
            steps = [f"Charge at {amps} A for {2 * hours} hours or until {full_v} V"]
        solution = self._solved(self._emptied(0.0) + steps, soc=0.0)
        charge = solution.cycles[-1]
        times = charge.t[0] + (charge.t[-1] - charge.t[0]) * (socs / socs[-1])
        volts = charge["Terminal voltage [V]"](times)
        return OpenCircuit(
            cell=self.name,
            made_by=self.made_by,
            capacity_ah=round(self.capacity_ah, 4),
            socs=tuple(round(float(soc), 4) for soc in socs),
            volts=tuple(round(float(v), 5) for v in volts),
        )

    def charged(self, bench: Bench, soc: float) -> Run:
        amps, ends_a = bench.rate * self.capacity_ah, bench.ends_at * self.capacity_ah
        limit = f"{bench.limit_v} V"
        steps = [f"Charge at {amps} A until {limit}", f"Hold at {limit} until {ends_a} A"]
        cycles = self._solved(self._emptied(soc) + steps, soc=soc).cycles[-2:]
        began, tapers, ends = cycles[0].t[0], cycles[0].t[-1], cycles[1].t[-1]
        dense: list[tuple[float, float, float]] = []
        kept: list[tuple[float, float, float]] = []
        for cycle, every in zip(cycles, KEEP_S.values(), strict=True):
            dense += self._sampled(cycle, began, 5.0)
            kept += self._sampled(cycle, began, every)
        times, volts, rates = (np.array(each) for each in zip(*dense, strict=True))
        wh_per_ah = float(np.trapezoid(volts * rates, times) / 3600)
        return Run(
            soc=soc,
            tapers_s=round(float(tapers - began), 1),
            ends_s=round(float(ends - began), 1),
            wh_per_ah=round(wh_per_ah, 5),
            times_s=tuple(round(t, 1) for t, _, _ in kept),
            volts=tuple(round(v, 5) for _, v, _ in kept),
            rates=tuple(round(r, 6) for _, _, r in kept),
        )

    def _sampled(
        self, cycle: Any, began: float, every: float
    ) -> list[tuple[float, float, float]]:
        length = cycle.t[-1] - cycle.t[0]
        times = cycle.t[0] + np.linspace(0, length, max(3, int(length / every) + 2))
        volts = cycle["Terminal voltage [V]"](times)
        rates = -cycle["Current [A]"](times) / self.capacity_ah
        rows = zip(times - began, volts, rates, strict=True)
        return [(float(t), float(v), float(r)) for t, v, r in rows]

    def _emptied(self, soc: float) -> list[str]:
        if not self.lead_acid:
            return []
        hours = (1 - soc) * FROM_FULL_AT
        amps = self.capacity_ah / FROM_FULL_AT
        return [f"Discharge at {amps} A for {hours} hours", "Rest for 2 hours"]

    def _solved(self, steps: list[str], soc: float) -> Any:
        model = pybamm.lead_acid.Full() if self.lead_acid else pybamm.lithium_ion.DFN()
        simulation = pybamm.Simulation(
            model,
            parameter_values=self._set.copy(),
            experiment=pybamm.Experiment(steps, period="30 seconds"),
        )
        return simulation.solve(initial_soc=None if self.lead_acid else soc)


def made() -> Iterator[tuple[str, OpenCircuit | Reference]]:
    cells = {name: Cell(name) for name in SETS}
    for cell in cells.values():
        yield f"open-circuit-{cell.name}", cell.open_circuit()
    for bench in BENCHES:
        cell = cells[bench.cell]
        socs = sorted((*FITTED_FROM, *HELD_OUT))
        runs = tuple(cell.charged(bench, soc) for soc in socs)
        yield bench.name, Reference(bench=bench.name, made_by=cell.made_by, runs=runs)


if __name__ == "__main__":
    pybamm.set_logging_level("ERROR")
    for name, found in made():
        (REFERENCE / f"{name}.json").write_bytes(msgspec.json.encode(found) + b"\n")
        print(
            name,
            getattr(found, "capacity_ah", ""),
            *(
                (run.soc, run.tapers_s, run.ends_s, run.wh_per_ah)
                for run in getattr(found, "runs", ())
            ),
            flush=True,
        )
