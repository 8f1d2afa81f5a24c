"""Our packs against PyBaMM's: the reference is checked in, PyBaMM is not needed."""

import pytest

from benchmarks.calibration.errors import energy_of, error, ours
from benchmarks.calibration.packs import (
    BENCHES,
    FITTED_FROM,
    HELD_OUT,
    REFERENCE,
    Bench,
    reference,
)
from simulator.cells import cells

ENERGY_WITHIN, TAPER_WITHIN, TIME_WITHIN = 0.05, 0.10, 0.03

BENCH = pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)


def test_there_are_six_packs_or_more_of_every_chemistry() -> None:
    assert len(BENCHES) >= 6
    assert {bench.cell for bench in BENCHES} == cells().keys()
    files = {path.stem for path in REFERENCE.glob("*.json") if "open-circuit" not in path.stem}
    assert files == {bench.name for bench in BENCHES}


@BENCH
def test_energy_and_taper_are_those_of_pybamm(bench: Bench) -> None:
    runs, cell = reference(bench).runs, cells()[bench.cell].as_in_pybamm()
    assert {run.soc for run in runs} == {*FITTED_FROM, *HELD_OUT}
    for run in runs:
        found = error(bench, cell, run)
        assert abs(found.energy) <= ENERGY_WITHIN, run.soc
        assert abs(found.taper) <= TAPER_WITHIN, run.soc
        assert abs(found.total) <= TIME_WITHIN, run.soc


@BENCH
def test_what_pybamm_does_not_have_changes_lithium_in_nothing(bench: Bench) -> None:
    cell = cells()[bench.cell]
    assert (cell == cell.as_in_pybamm()) == (bench.cell != "lead-acid")


@BENCH
def test_the_reference_is_whole(bench: Bench) -> None:
    for run in reference(bench).runs:
        assert list(run.times_s) == sorted(run.times_s)
        assert run.times_s[-1] == pytest.approx(run.ends_s, abs=0.2)
        assert run.rates[0] == pytest.approx(bench.rate, rel=1e-3)
        assert run.rates[-1] == pytest.approx(bench.ends_at, rel=0.01)
        assert max(run.volts) <= bench.limit_v * 1.0001


def test_a_wrong_cell_would_be_found_out() -> None:
    bench = BENCHES[0]
    run = reference(bench).runs[0]
    off = error(bench, cells()["lfp"], run)
    assert abs(off.energy) > ENERGY_WITHIN
    assert energy_of(ours(bench, cells()[bench.cell], run.soc)) > 0
