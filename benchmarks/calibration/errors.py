"""How far our charge of a pack is from PyBaMM's: needs no PyBaMM."""

import itertools

import msgspec

from benchmarks.calibration.packs import HELD_OUT, Bench, Reference, Run
from simulator.cells import Cell
from simulator.packs import Charger, Moment, Pack, Stage, charging


class Error(msgspec.Struct, frozen=True):
    """Ours against PyBaMM's, as shares of PyBaMM's; positive: ours is more."""

    soc: float
    held_out: bool
    energy: float
    taper: float
    """Of the time from the end of constant current until `ends_at`."""
    total: float
    """Of the time from plugging in until `ends_at`."""


def ours(bench: Bench, cell: Cell, soc: float) -> list[Moment]:
    """Return our charge of this bench, until its current is `ends_at`."""
    charger = Charger(
        amps=bench.amps,
        limit_v=bench.limit_v * bench.series,
        turns_a=bench.ends_at * bench.ah,
    )
    return list(charging(Pack(cell, bench.series, bench.ah), charger, soc))


def error(bench: Bench, cell: Cell, run: Run) -> Error:
    moments = ours(bench, cell, run.soc)
    energy_wh = energy_of(moments)
    tapers_s, ends_s = times_of(moments)
    theirs_wh = run.wh_per_ah * bench.ah * bench.series
    return Error(
        soc=run.soc,
        held_out=run.soc in HELD_OUT,
        energy=energy_wh / theirs_wh - 1,
        taper=(ends_s - tapers_s) / (run.ends_s - run.tapers_s) - 1,
        total=ends_s / run.ends_s - 1,
    )


def errors(bench: Bench, cell: Cell, reference: Reference) -> list[Error]:
    return [error(bench, cell, run) for run in reference.runs]


def energy_of(moments: list[Moment]) -> float:
    """Return what went into the pack: in each step the current is that at its end."""
    pairs = itertools.pairwise(moments)
    steps = [
        (one.volts + other.volts) / 2 * (other.amps or one.amps) * (other.at_s - one.at_s)
        for one, other in pairs
    ]
    return sum(steps) / 3600


def times_of(moments: list[Moment]) -> tuple[float, float]:
    """Return when constant current ended, and the charge."""
    bulk = [moment.at_s for moment in moments if moment.stage is Stage.BULK]
    return bulk[-1], moments[-1].at_s
