"""Draw our charges over PyBaMM's, and put the errors of each pack into the page about them.

PYTHON -m benchmarks.calibration.report     # PYTHON as for pybamm_runs.py
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.calibration.errors import errors, ours
from benchmarks.calibration.packs import BENCHES, Bench, reference
from simulator.cells import Cell, cells

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PLOT = DOCS / "simulator-physics.md", DOCS / "images" / "simulator-physics.svg"
BEGIN, END = "<!-- table: benchmarks.calibration.report -->", "<!-- end of table -->"
SHOWN = 3
"""Plots in a row."""


def table() -> str:
    lines = [
        "| pack and charger | C-rate | energy | energy, held out | taper | taper, held out |",
        "|---|---|---|---|---|---|",
    ]
    for bench in BENCHES:
        found = errors(bench, cells()[bench.cell].as_in_pybamm(), reference(bench))
        seen = [each for each in found if not each.held_out]
        unseen = [each for each in found if each.held_out]
        worst = [
            max((getattr(each, what) for each in group), key=abs)
            for what in ("energy", "taper")
            for group in (seen, unseen)
        ]
        shares = " | ".join(f"{share:+.1%}".replace("%", " %") for share in worst)
        lines.append(f"| `{bench.name}` | {bench.rate:.2f} | {shares} |")
    return "\n".join(lines)


def drawn(bench: Bench, cell: Cell, axes: "plt.Axes") -> None:
    for run in reference(bench).runs:
        hours = [at / 3600 for at in run.times_s]
        watts = [
            v * rate * bench.series * bench.ah
            for v, rate in zip(run.volts, run.rates, strict=True)
        ]
        axes.plot(hours, watts, color="0.72", linewidth=4, solid_capstyle="butt")
        moments = ours(bench, cell, run.soc)[:-1]
        axes.plot(
            [moment.at_s / 3600 for moment in moments],
            [moment.power_w for moment in moments],
            color="tab:red",
            linewidth=1,
        )
    axes.set_title(bench.name, fontsize=9)
    axes.set_ylim(bottom=0)


def plot() -> None:
    mpl.rcParams["svg.hashsalt"] = "chargewatch"  # the same picture is the same file
    mpl.rcParams["svg.fonttype"] = "none"
    rows = -(-len(BENCHES) // SHOWN)
    figure, grid = plt.subplots(rows, SHOWN, figsize=(11, 3 * rows), layout="constrained")
    for bench, axes in zip(BENCHES, grid.flat, strict=True):
        drawn(bench, cells()[bench.cell].as_in_pybamm(), axes)
    figure.supxlabel("hours since plugging in, from 10, 30, 50 and 70 % state of charge")
    figure.supylabel("W into the pack. Grey: PyBaMM, red: ours")
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    page = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    PAGE.write_text(page, encoding="utf-8")
    plot()
    print(table())
