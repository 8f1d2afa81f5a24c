"""A battery pack on a charger: constant current, constant voltage, taper, float, end.

The charger gives the most that its current and its voltage allow. In each step the current
is constant, and is the greatest one that does not lift the voltage above the limit by the
end of the step (an implicit step, stable at any length). Steps are as long as little
happens; who looks, and how often, changes nothing.
"""

import math
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from simulator.cells import Cell

SHORTEST_S = 0.5
"""No step is shorter."""
CHANGES_BY = 0.03
"""Steps are chosen so that the current changes by about this share in each."""
MISSES_BY = 0.005
"""How far the current may be below that at which the charger turns when it does."""
BENDS_BY_V = 0.002
"""How far the open-circuit voltage may be off the line that a step assumes."""
NEGLIGIBLE = 0.02
"""Share of the charger's current below which no change is worth a shorter step."""
EXACT, SOLVES_WITHIN = 1e-9, 60
"""How well current adds up, and in how many rounds: three are common."""
STEADY = 1e-3
"""Share by which a long step of float changes the current when nothing happens any more."""
GIVES_UP_S = 24 * 3600.0
"""By then whatever still flows will flow until somebody pulls the plug."""
AGED_RESISTANCE = 3.0
"""How much the resistance grows for each share of capacity lost: at 80 % health, 1.6-fold
(estimate: many set the end of life at 80 % capacity or twice the resistance)."""
AGED_GASSING = 2.0
"""How much more a worn lead-acid battery gasses for each share of capacity lost (estimate)."""


class Pack(msgspec.Struct, frozen=True):
    """Cells in series, of `ah` when new. `health` is the share of that which is left."""

    cell: Cell
    series: int
    ah: float
    health: float = 1.0


class Charger(msgspec.Struct, frozen=True, kw_only=True):
    """What a charger does, in amperes and volts at its output."""

    amps: float
    limit_v: float
    turns_a: float
    """Once the current has fallen to this at the limit, it turns to float, or off."""
    float_v: float | None = None
    """What it holds then; None: it switches off."""


class Stage(Enum):
    BULK = auto()
    TAPER = auto()
    FLOAT = auto()
    OFF = auto()


LONGEST_S = {Stage.BULK: 120.0, Stage.TAPER: 60.0, Stage.FLOAT: 900.0}
"""The longest step of each stage."""


class Moment(msgspec.Struct, frozen=True):
    """What flows into the pack at one moment of a charge."""

    at_s: float
    volts: float
    amps: float
    stage: Stage

    @property
    def power_w(self) -> float:
        return self.volts * self.amps


def charging(pack: Pack, charger: Charger, soc: float) -> Iterator[Moment]:
    """Yield moments from plugging in until nothing changes any more."""
    charge = _Charge(pack, charger, soc)
    yield charge.begins()
    while charge.at_s < GIVES_UP_S and not charge.is_steady:
        yield charge.step()


class _Step(NamedTuple):
    rate: float
    volts: float
    soc: float
    lags: list[float]
    bend_v: float
    """By how much the open-circuit voltage is off the straight line that was assumed."""


class _Charge:
    """The state of one charge; voltages per cell, currents as C-rates of the new pack."""

    def __init__(self, pack: Pack, charger: Charger, soc: float) -> None:
        self.at_s = 0.0
        self.is_steady = False
        self._pack, self._charger, self._cell = pack, charger, pack.cell
        self._soc = soc
        self._lags = [0.0] * len(pack.cell.pairs)
        self._stage = Stage.BULK
        self._limit_v = charger.limit_v / pack.series
        self._bulk = charger.amps / pack.ah
        self._volts = pack.cell.open_circuit_v(soc)[0]
        self._rate = 0.0
        self._step_s = SHORTEST_S
        self._aged = 1 + AGED_RESISTANCE * (1 - pack.health)
        self._gas = 1 + AGED_GASSING * (1 - pack.health)

    def begins(self) -> Moment:
        """Return the very beginning, and take it as the state to go on from."""
        rest_v = self._volts
        main, self._volts = self._allowed(rest_v, self._cell.resistance(self._soc) * self._aged)
        self._rate = main + self._gassing(self._volts)
        if main <= 0:
            self._rate, self._stage, self.is_steady = 0.0, Stage.OFF, True
        return self._moment()

    def step(self) -> Moment:
        """Go on by one step, as long as it may be."""
        tried = self._tried(self._step_s)
        while self._step_s > SHORTEST_S and self._too_far(tried):
            self._step_s = max(SHORTEST_S, self._step_s / 2)
            tried = self._tried(self._step_s)
        changed = abs(tried.rate - self._rate)
        self.at_s += self._step_s
        self._rate, self._volts, self._soc = tried.rate, tried.volts, tried.soc
        self._lags = tried.lags
        self._turn(changed)
        return self._moment()

    def _tried(self, step_s: float) -> _Step:
        """Return where such a step would lead."""
        cell, aged = self._cell, self._aged
        gained = step_s / 3600 / self._pack.health
        ocv_v, slope = cell.open_circuit_v(self._soc)
        fixed_v, resistance = ocv_v, cell.resistance(self._soc) * aged + slope * gained
        keeps = [math.exp(-step_s / pair.tau_s) for pair in cell.pairs]
        for pair, lag, keep in zip(cell.pairs, self._lags, keeps, strict=True):
            fixed_v += lag * keep
            resistance += pair.volts_per_rate * aged * (1 - keep)
        main, volts = self._allowed(fixed_v, resistance)
        lags = [
            lag * keep + pair.volts_per_rate * aged * (1 - keep) * main
            for pair, lag, keep in zip(cell.pairs, self._lags, keeps, strict=True)
        ]
        soc = self._soc + main * gained
        bend_v = abs(cell.open_circuit_v(soc)[0] - ocv_v - slope * main * gained)
        return _Step(main + self._gassing(volts), volts, soc, lags, bend_v)

    def _allowed(self, fixed_v: float, resistance: float) -> tuple[float, float]:
        """Return the main current and the voltage that current and limit allow."""
        main = max(0.0, min(self._bulk, (self._limit_v - fixed_v) / resistance))
        volts = fixed_v + resistance * main
        total = main + self._gassing(volts)
        if total <= self._bulk:
            return main, volts
        for _ in range(SOLVES_WITHIN):  # gassing takes its part: Newton, from above
            over = (volts - fixed_v) / resistance + self._gassing(volts) - self._bulk
            if over <= self._bulk * EXACT:
                break
            volts -= over / (1 / resistance + self._gassing_slope(volts))
        return (volts - fixed_v) / resistance, volts

    def _gassing(self, volts: float) -> float:
        gassing = self._cell.gassing
        return 0.0 if gassing is None else gassing.at(volts) * self._gas

    def _gassing_slope(self, volts: float) -> float:
        gassing = self._cell.gassing
        return 0.0 if gassing is None else self._gassing(volts) / gassing.volts_per_e

    def _too_far(self, tried: _Step) -> bool:
        """Say whether a shorter step would tell better when something happens."""
        turns_at = self._charger.turns_a / self._pack.ah
        missed = self._stage is Stage.TAPER and tried.rate < turns_at * (1 - MISSES_BY)
        changed = abs(tried.rate - self._rate) > 2 * CHANGES_BY * self._scale
        return missed or changed or tried.bend_v > BENDS_BY_V

    def _turn(self, changed: float) -> None:
        """Go to the next stage if it is time, and choose the next step."""
        stage, charger, guard_v = self._stage, self._charger, self._cell.guard_v
        long = self._step_s >= LONGEST_S[stage]
        if changed < CHANGES_BY * self._scale:
            self._step_s = min(LONGEST_S[stage], self._step_s * 1.5)
        if guard_v is not None and self._volts >= guard_v:
            self._off()
        elif stage is Stage.BULK and self._rate < self._bulk * (1 - 1e-6):
            self._stage = Stage.TAPER
        elif stage is Stage.TAPER and self._rate * self._pack.ah <= charger.turns_a:
            self._full()
        elif stage is Stage.FLOAT and long:
            self.is_steady = changed <= STEADY * self._rate

    def _full(self) -> None:
        if self._charger.float_v is None:
            self._off()
        else:
            self._stage, self._step_s = Stage.FLOAT, SHORTEST_S
            self._limit_v = self._charger.float_v / self._pack.series

    @property
    def _scale(self) -> float:
        """Return the current by which changes are measured: small ones do not count."""
        return max(self._rate, NEGLIGIBLE * self._bulk)

    def _off(self) -> None:
        self._rate, self._stage, self.is_steady = 0.0, Stage.OFF, True

    def _moment(self) -> Moment:
        pack = self._pack
        volts, amps = self._volts * pack.series, self._rate * pack.ah
        return Moment(self.at_s, volts, amps, self._stage)
