"""What a charger draws from the mains for what it gives: losses, power factor, inrush.

Small chargers rectify without correcting their power factor: they take short gulps at the
peaks of the voltage, the shorter the less they load. Figures are estimates around the 85 %
and the 0.65 that DOMAIN §6.2 has; no measured public data set is known.
"""

import msgspec

NOMINAL_V = 230.0
INRUSH_S = 3.0
INRUSH_FACTOR = 1.6
"""Over what follows, while the charger's capacitors fill and its control settles."""
FULL_POWER_FACTOR, IDLE_POWER_FACTOR = 0.65, 0.35
HALF_WAY = 0.08
"""Share of full load at which the power factor is half way between the two."""


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """The mains side of one charger."""

    full_w: float
    """The most that it gives, at its output."""
    efficiency: float
    """At full load."""
    standby_w: float
    """What it draws for itself: control, fan, lamp. Also with nothing connected."""

    def drawn_w(self, given_w: float) -> float:
        """Return the power at the socket for a power at the output.

        Losses beyond standby are shared between those that grow with the current (diodes,
        switching) and those that grow with its square (copper, transistors).
        """
        lost = (1 / self.efficiency - 1 - self.standby_w / self.full_w) / 2
        return self.standby_w + given_w * (1 + lost + lost * given_w / self.full_w)

    @property
    def rated_w(self) -> float:
        """Return the power at the socket at full load."""
        return self.drawn_w(self.full_w)


def power_factor(share: float) -> float:
    """Return real over apparent power at a share of the rated load."""
    rises = FULL_POWER_FACTOR - IDLE_POWER_FACTOR
    return IDLE_POWER_FACTOR + rises * min(1.0, share * (1 + HALF_WAY) / (share + HALF_WAY))
