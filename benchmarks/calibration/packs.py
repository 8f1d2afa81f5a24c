"""The packs that are charged in PyBaMM and in our model, and what PyBaMM said of them."""

from pathlib import Path

import msgspec

HERE = Path(__file__).parent
REFERENCE = HERE / "reference"

FITTED_FROM = (0.1, 0.5)
"""The states of charge whose charges our parameters are fitted to ..."""
HELD_OUT = (0.3, 0.7)
"""... and those that the fit never sees."""
OPEN_CIRCUIT_RATE = 0.01
"""C-rate of the charge that is as good as an open circuit."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """One pack on one charger."""

    name: str
    cell: str
    """Of simulator/cells.json, and of SETS in pybamm_runs.py."""
    series: int
    ah: float
    amps: float
    limit_v: float
    """Per cell, at which current begins to taper."""
    ends_at: float = 0.04
    """The C-rate at which the charge is over."""

    @property
    def rate(self) -> float:
        """Return the C-rate of constant current."""
        return self.amps / self.ah


SULZER_FULL_V = 2.19
"""Per cell. What a lead-acid charger holds (2.45 V) means nothing to PyBaMM's model, which
has no end of charge: there it would go on to 170 %. Docs: simulator-physics."""

BENCHES = (
    Bench(name="nmc811-48v-12ah-2a", cell="nmc811", series=13, ah=12, amps=2, limit_v=4.2),
    Bench(name="nmc811-48v-24ah-5a", cell="nmc811", series=13, ah=24, amps=5, limit_v=4.2),
    Bench(name="nmc811-60v-20ah-10a", cell="nmc811", series=17, ah=20, amps=10, limit_v=4.2),
    Bench(name="nmc532-48v-15ah-3a", cell="nmc532", series=13, ah=15, amps=3, limit_v=4.2),
    Bench(name="lfp-48v-20ah-3a", cell="lfp", series=16, ah=20, amps=3, limit_v=3.6),
    Bench(name="lfp-60v-24ah-10a", cell="lfp", series=20, ah=24, amps=10, limit_v=3.6),
    Bench(
        name="lead-acid-48v-12ah-1.8a",
        cell="lead-acid",
        series=24,
        ah=12,
        amps=1.8,
        limit_v=SULZER_FULL_V,
        ends_at=0.02,
    ),
    Bench(
        name="lead-acid-60v-20ah-2.8a",
        cell="lead-acid",
        series=30,
        ah=20,
        amps=2.8,
        limit_v=SULZER_FULL_V,
        ends_at=0.02,
    ),
    Bench(
        name="lead-acid-72v-32ah-8a",
        cell="lead-acid",
        series=36,
        ah=32,
        amps=8,
        limit_v=SULZER_FULL_V,
        ends_at=0.02,
    ),
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One charge of one cell, per Ah of capacity: powers are V times C-rate."""

    soc: float
    tapers_s: float
    """When constant current ended."""
    ends_s: float
    """When the current had fallen to `ends_at`."""
    wh_per_ah: float
    """Energy into the cell until then, per Ah of its capacity."""
    times_s: tuple[float, ...]
    volts: tuple[float, ...]
    rates: tuple[float, ...]


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What PyBaMM says of one pack."""

    bench: str
    made_by: str
    """Version, model and parameter set."""
    runs: tuple[Run, ...]


class OpenCircuit(msgspec.Struct, frozen=True, kw_only=True):
    """The voltage of a cell over its state of charge, charged at `OPEN_CIRCUIT_RATE`."""

    cell: str
    made_by: str
    capacity_ah: float
    socs: tuple[float, ...]
    volts: tuple[float, ...]


def reference(bench: Bench) -> Reference:
    path = REFERENCE / f"{bench.name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Reference)


def open_circuit(cell: str) -> OpenCircuit:
    path = REFERENCE / f"open-circuit-{cell}.json"
    return msgspec.json.decode(path.read_bytes(), type=OpenCircuit)
