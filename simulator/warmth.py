"""How warm a contact gets: a first-order lag behind what its resistance turns into heat.

The lag is exact for heat that changes straight between two moments, and curves are straight
between their points. So it makes no difference when anybody looks at the thermometer.
"""

import math

CONTACT_K_PER_W = 20.0
"""How much warmer a contact gets for each watt in it (estimate)."""
CONTACT_LAG_S = 600.0
CABINET_K_PER_W = 1.2
"""Of all contacts together, and of the air that they share (estimate)."""
CABINET_LAG_S = 2700.0


def lagged(was: float, first: float, last: float, passed_s: float, lag_s: float) -> float:
    """Return where something is that was at `was` and goes after what goes from `first`
    to `last`, straight, in `passed_s` seconds.
    """
    if passed_s <= 0:
        return was
    turns = passed_s / lag_s
    keep, slope = math.exp(-turns), (last - first) / turns
    return last - slope + (was - first + slope) * keep
