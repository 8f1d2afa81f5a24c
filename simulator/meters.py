"""What a pile's meter shows of what flows: noise, its own error, its neighbours, its steps."""

from random import Random
from typing import NamedTuple

import msgspec

from simulator.mains import FULL_POWER_FACTOR

MAINS_V = 229.0
NOMINAL_V = 230.0
NOISE = 0.004
"""One standard deviation, of the value."""
NOISE_W = 0.1
GAIN = 0.005
"""One standard deviation of how wrong a pile's meter is, always (class 1 chips)."""
CROSSTALK = (0.0002, 0.001)
"""What an empty socket's meter shows of all that flows beside it, as a share ..."""
OFFSET_W = (0.2, 0.8)
"""... and in any case. Together, 0.3 to 3 W are seen on empty sockets, by firmware."""
STEPS_W = {0.1: 70, 1.0: 30}
"""The smallest step that it shows, and how many of a hundred piles show it (estimate)."""


class Shown(NamedTuple):
    power_w: float
    current_a: float


class Meter(msgspec.Struct, frozen=True):
    """The meter chip of one pile."""

    gain: float
    offset_w: float
    crosstalk: float
    step_w: float

    @classmethod
    def made(cls, chance: Random) -> "Meter":
        [step_w] = chance.choices(list(STEPS_W), list(STEPS_W.values()))
        return cls(
            gain=chance.gauss(1, GAIN),
            offset_w=chance.uniform(*OFFSET_W),
            crosstalk=chance.uniform(*CROSSTALK),
            step_w=step_w,
        )

    def shown(self, power_w: float, square_a2: float, voltage_v: float, noise: float) -> Shown:
        """Return what it shows of this power and this current at 230 V, squared.

        `noise` is a draw from the normal distribution.
        """
        real_w = power_w * self.gain * (1 + NOISE * noise) + (0 if power_w else NOISE_W * noise)
        return self._rounded(real_w, square_a2**0.5 * NOMINAL_V / voltage_v * self.gain)

    def shown_empty(self, load_w: float, voltage_v: float, noise: float) -> Shown:
        """Return what it shows of a socket with nothing in it, beside a load."""
        ghost_w = self.offset_w + self.crosstalk * load_w + NOISE_W * noise
        return self._rounded(ghost_w, max(0.0, ghost_w) / voltage_v / FULL_POWER_FACTOR)

    def _rounded(self, real_w: float, current_a: float) -> Shown:
        steps = max(0, round(real_w / self.step_w))
        return Shown(round(steps * self.step_w, 1), round(current_a, 2))
