"""What a pile's meter shows of what flows: noise, its own error, its neighbours, its steps."""

from random import Random
from typing import NamedTuple

import msgspec

from simulator.mains import FULL_POWER_FACTOR, NOMINAL_V

NOISE = 0.004
"""One standard deviation, of the value."""
NOISE_W = 0.1
GAIN = 0.005
"""One standard deviation of how wrong a pile's meter is, always (class 1 chips)."""
CROSSTALK = (0.001, 0.01)
"""What an empty socket's meter shows of the power in the sockets beside it, by firmware: an
X10P's shows 1 W of 100 W next door (docs/sources.md)."""
OFFSET_W = (0.2, 0.8)
"""What it shows of nothing at all."""
DIGITS = {1: 70, 0: 30}
"""Digits after the point of its watts, and how many of a hundred piles show that many
(estimate; real ones report whole watts or tenths)."""


class Shown(NamedTuple):
    power_w: float
    current_a: float


class Meter(msgspec.Struct, frozen=True):
    """The meter chip of one pile."""

    gain: float
    offset_w: float
    crosstalk: float
    digits: int

    @classmethod
    def made(cls, chance: Random) -> "Meter":
        [digits] = chance.choices(list(DIGITS), list(DIGITS.values()))
        return cls(
            gain=chance.gauss(1, GAIN),
            offset_w=chance.uniform(*OFFSET_W),
            crosstalk=chance.uniform(*CROSSTALK),
            digits=digits,
        )

    def shown(self, power_w: float, square_a2: float, voltage_v: float, noise: float) -> Shown:
        """Return what it shows of this power and this current at 230 V, squared.

        `noise` is a draw from the normal distribution.
        """
        real_w = power_w * self.gain * (1 + NOISE * noise) + (0 if power_w else NOISE_W * noise)
        return self._rounded(real_w, square_a2**0.5 * NOMINAL_V / voltage_v * self.gain)

    def shown_empty(self, beside_w: float, voltage_v: float, noise: float) -> Shown:
        """Return what it shows of a socket with nothing in it, with so much beside it."""
        ghost_w = self.offset_w + self.crosstalk * beside_w + NOISE_W * noise
        return self._rounded(ghost_w, max(0.0, ghost_w) / voltage_v / FULL_POWER_FACTOR)

    def _rounded(self, real_w: float, current_a: float) -> Shown:
        return Shown(round(real_w, self.digits) if real_w > 0 else 0.0, round(current_a, 2))
