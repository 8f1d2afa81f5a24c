"""How warm it is outdoors: cool before sunrise, warm in the afternoon, and less so in rain."""

import math
from datetime import UTC, datetime, timedelta

import msgspec

WARMEST_AT = timedelta(hours=7)
"""Three in the afternoon in China, in UTC."""
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON_IN_RAIN, RAIN_COOLS_C = 0.4, 3.0
"""Under clouds a day swings less, and is cooler (estimates)."""


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """The weather of a run. Figures are for under a canopy in spring (estimates)."""

    mean_c: tuple[float, float] = (16.0, 21.0)
    """The mean over a day: the coolest and the warmest of the places."""
    swing_c: float = 4.0
    """Half of what lies between night and afternoon."""
    rain: tuple[tuple[datetime, datetime], ...] = ()

    def rains(self, at: datetime) -> bool:
        return any(since <= at < until for since, until in self.rain)

    def outdoors_c(self, mean_c: float, at: datetime) -> float:
        """Return the temperature at a place whose mean over the day is `mean_c`."""
        swings = math.cos(2 * math.pi * ((at - EPOCH - WARMEST_AT) / DAY))
        if self.rain and self.rains(at):
            return mean_c - RAIN_COOLS_C + self.swing_c * NOON_IN_RAIN * swings
        return mean_c + self.swing_c * swings


FAIR = Weather()
