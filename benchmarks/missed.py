"""Why some incidents are missed, where somebody has looked at the readings.

Alarms alone do not show it. Each cause is told of a miss for which its condition holds, and
the figures in it are those that the truth has of that very incident.
"""

from collections.abc import Callable
from typing import NamedTuple

from api.backtest.matching import Miss
from rules.charging import band_w
from rules.policy import Policy

BUILT_IN = Policy()
METER_ERROR = 0.02
"""A class 1 meter shows up to 1 % too little, and its noise is as much, as in the truth."""


class Cause(NamedTuple):
    """A kind of misses, and what is said of one."""

    holds: Callable[[Miss], bool]
    says: Callable[[Miss], str]


def why_missed(miss: Miss) -> str | None:
    """Return the cause of a miss, if it is of a kind that was looked into."""
    return next((cause.says(miss) for cause in CAUSES if cause.holds(miss)), None)


# --- two bikes on one socket -----------------------------------------------------------


def _first_was_done(miss: Miss) -> bool:
    alone_w = miss.incident.figures.get("alone_w")
    return alone_w is not None and alone_w < BUILT_IN.charging.min_w


def _of_one_that_was_done(miss: Miss) -> str:
    alone_w, both_w = (miss.incident.figures[name] for name in ("alone_w", "both_w"))
    return (
        f"The first bike was done. Its {alone_w:.0f} W might be crosstalk of other sockets, so"
        f" {both_w:.0f} W look like a new charge."
    )


def _no_more_than_before(miss: Miss) -> bool:
    both_w, most_w = (miss.incident.figures.get(name) for name in ("both_w", "before_most_w"))
    if both_w is None or most_w is None:
        return False
    return both_w * (1 - METER_ERROR) <= most_w + band_w(most_w)


def _of_no_more_than_before(miss: Miss) -> str:
    figures = miss.incident.figures
    return (
        f"Power rose from {figures['alone_w']:.0f} W to {figures['both_w']:.0f} W, not clearly"
        f" above the {figures['before_most_w']:.0f} W that the first bike alone had drawn. A"
        " charger that tops its battery up looks the same."
    )


# --- meters that stick -----------------------------------------------------------------


def _stuck_too_briefly(miss: Miss) -> bool:
    begins, ends = miss.incident.begins, miss.incident.ends
    if miss.incident.kind != "meter_stuck" or ends is None:
        return False
    return ends - begins < BUILT_IN.stuck_value.power_for


def _of_stuck_too_briefly(miss: Miss) -> str:
    begins, ends = miss.incident.begins, miss.incident.ends or miss.incident.begins
    lasted, waits = (
        each.total_seconds() / 3600 for each in (ends - begins, BUILT_IN.stuck_value.power_for)
    )
    return f"The meter stuck for {lasted:.1f} h; the rule waits for {waits:.1f} h."


def _behind_a_stuck_meter(miss: Miss) -> bool:
    said, found_by_power = miss.said, miss.incident.kind in {"long_float", "long_charge"}
    return said is not None and said.rule == "stuck_value" and found_by_power


def _of_a_stuck_meter(miss: Miss) -> str:  # noqa: ARG001  (it is the same of each)
    return "The meter was stuck, and people had been told so: it did not show the float."


CAUSES = (
    Cause(_first_was_done, _of_one_that_was_done),
    Cause(_no_more_than_before, _of_no_more_than_before),
    Cause(_stuck_too_briefly, _of_stuck_too_briefly),
    Cause(_behind_a_stuck_meter, _of_a_stuck_meter),
)
