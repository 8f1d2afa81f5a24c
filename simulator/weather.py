"""How warm it is outdoors: cool before sunrise, warm in the afternoon, every day alike."""

import math
from datetime import UTC, datetime, timedelta

SWING_C = 4.0
"""Half of what lies between night and afternoon under a canopy in spring (estimate)."""
WARMEST_AT = timedelta(hours=7)
"""Three in the afternoon in China, in UTC."""
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def outdoors_c(mean_c: float, at: datetime) -> float:
    """Return the temperature at a place whose mean over the day is `mean_c`."""
    turn = (at - EPOCH - WARMEST_AT) / DAY
    return mean_c + SWING_C * math.cos(2 * math.pi * turn)
