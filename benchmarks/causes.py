"""Why false alarms that are left came, where somebody has looked at the readings.

The score knows the alarms and the truth alone. Each cause here was seen in the readings that
led to such an alarm; it is told of others only where rule, incident and moment are alike.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from api.backtest.matching import FalseAlarm, Whence

BY_THE_METER = timedelta(minutes=15)
"""How long a float that falls slowly may be within a meter's error of the limit."""


SAY_NO_PLUGS = frozenset({"mixed/zigbee", "mixed/tasmota"})
"""Sites of `mixed-devices` whose dialects have no word for a plug that is pulled."""


class Explained(NamedTuple):
    rules: frozenset[str]
    fits: Callable[[FalseAlarm], bool]
    cause: str


def _in_loss(alarm: FalseAlarm) -> bool:
    return alarm.near is not None and alarm.near.kind == "loss"


def _just_below(alarm: FalseAlarm) -> bool:
    near, at = alarm.near, alarm.episode.fired_at
    if alarm.whence is not Whence.ECHO or near is None or near.ends is None:
        return False
    return near.kind in {"long_float", "after_hours"} and at - near.ends <= BY_THE_METER


def _came_late(alarm: FalseAlarm) -> bool:
    near = alarm.near
    held_back = near is not None and near.kind in {"reorder", "delay"}
    return held_back and alarm.whence is Whence.MEANWHILE


def _without_plugs(alarm: FalseAlarm) -> bool:
    return alarm.episode.site in SAY_NO_PLUGS


EXPLAINED = (
    Explained(
        frozenset({"silence"}),
        _in_loss,
        "Lost messages: three reports in a row did not arrive, at one every three minutes."
        " The pile was alive, but for ten minutes nobody could have heard of a danger there.",
    ),
    Explained(
        frozenset({"long_float", "after_hours"}),
        _just_below,
        "What flowed had fallen below 15 W a few minutes before, and the meter still showed"
        " 15 W: an error of less than half a watt.",
    ),
    Explained(
        frozenset({"overload"}),
        _came_late,
        "Plugging in draws more than the limit for some seconds. The report that would have"
        " shown that this was over came a minute later.",
    ),
    Explained(
        frozenset({"abrupt_end"}),
        _without_plugs,
        "Somebody fetched a bike while a detector there saw smoke. This dialect does not say"
        " that a plug was pulled, so it looks like a charger that trips on what burns.",
    ),
)


def explained(alarm: FalseAlarm) -> str | None:
    """Return the cause of a false alarm, if it is of a kind that was looked into."""
    for each in EXPLAINED:
        if alarm.episode.rule in each.rules and each.fits(alarm):
            return each.cause
    return None
