"""How the devices of a place take their orders: how late, and which of them not at all."""

import math
from datetime import timedelta
from random import Random

import msgspec

LATEST = timedelta(minutes=10)
"""No order is obeyed later than this."""
Z95 = 1.645
"""So many standard deviations above the middle lies what 95 of 100 do not exceed."""


class Obedience(msgspec.Struct, frozen=True, kw_only=True):
    """By chance, order by order. Latencies are log-normal: mostly short, now and then long."""

    half_within: timedelta = timedelta(0)
    """The latency that half of the orders do not exceed ..."""
    most_within: timedelta = timedelta(0)
    """... and that 95 of 100 do not."""
    loses: float = 0.0
    """The share of orders that never arrive."""
    refuses: float = 0.0
    """The share of orders that a device has understood, and does not carry out."""

    def latency(self, chance: Random) -> timedelta | None:
        """Return how late an order is obeyed; None: it is lost."""
        if self.loses and chance.random() < self.loses:
            return None
        if not self.half_within:
            return timedelta(0)
        spread = math.log(max(1.0, self.most_within / self.half_within)) / Z95
        return min(LATEST, self.half_within * chance.lognormvariate(0, spread))

    def refusal(self, chance: Random) -> str:
        """Say why an order is not carried out; an empty text: it is."""
        return "not now" if self.refuses and chance.random() < self.refuses else ""
