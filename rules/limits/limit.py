"""What all tables of the policy have in common, and the units of their keys."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated

import msgspec

Watts = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Celsius = Annotated[float, msgspec.Meta(gt=0, le=250)]
Volts = Annotated[float, msgspec.Meta(ge=0, le=500)]
Kelvins = Annotated[float, msgspec.Meta(gt=0, le=100)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(gt=0, le=2)]

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LONGEST = timedelta(days=366)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the policy. Raises ValueError for what contradicts itself."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, timedelta) and not timedelta(0) <= value <= LONGEST:
                raise ValueError(f"{name} must be between 0 s and {LONGEST.days} d")
        self.check()

    def check(self) -> None:
        """Raise ValueError if the values contradict each other."""

    def check_order(self, *names: str) -> None:
        """Raise ValueError unless the fields rise (or stay) in this order."""
        for low, high in pairwise(names):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must be at most {high}")
