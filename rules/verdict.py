"""What a rule answers: all is well, something is wrong and how bad, or nobody knows."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Severity(StrEnum):
    """The levels, which rise in this order."""

    WARNING = "warning"
    """A manager sees to it."""
    CRITICAL = "critical"
    """Somebody acts now."""
    EMERGENCY = "emergency"
    """It burns, or nothing can switch it off: everybody, at once."""

    @property
    def rank(self) -> int:
        return RANKS[self]


RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured against which limit; the words are the message catalogue's."""

    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    since: datetime | None = None
    until: datetime | None = None
    detail: str = ""
    lower_is_worse: bool = False
    """Of what is measured; mostly it is the higher."""


class Clear(msgspec.Struct, frozen=True):
    """All is well, at least until `recheck_at` or the next reading."""

    recheck_at: datetime | None = None


class Between(msgspec.Struct, frozen=True):
    """Below the trigger but not below the clear threshold: starts nothing, ends nothing."""

    recheck_at: datetime | None = None


class Unknown(msgspec.Struct, frozen=True):
    """No fresh data. It never starts an alert and never ends one."""

    recheck_at: datetime | None = None


class Breach(msgspec.Struct, frozen=True):
    """Something is wrong, and this is the evidence."""

    evidence: Evidence
    recheck_at: datetime | None = None
    at_once: bool = False
    """It fires without the rule's hold: the device itself has waited already."""
    severity: Severity | None = None
    """The level that is reached, of a rule with several; None: the rule's own."""


Verdict = Clear | Between | Unknown | Breach

CLEAR = Clear()
BETWEEN = Between()
UNKNOWN = Unknown()


class Timing(NamedTuple):
    """How long a breach must last to fire, and how long it must be gone to be resolved."""

    hold: timedelta = timedelta(0)
    keep_firing: timedelta = timedelta(0)


AT_ONCE = Timing()
