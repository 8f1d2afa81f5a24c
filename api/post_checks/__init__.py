"""Duty-post checks (查岗): asks, waits, and tells the manager if nobody answers."""

from api.post_checks.messages import Messenger
from api.post_checks.metrics import CheckMetrics
from api.post_checks.running import (
    AlarmsWait,
    CheckUnderWay,
    NoSuchPost,
    PostChecks,
    seed_from,
)
from api.post_checks.words import CheckWords

__all__ = [
    "AlarmsWait",
    "CheckMetrics",
    "CheckUnderWay",
    "CheckWords",
    "Messenger",
    "NoSuchPost",
    "PostChecks",
    "seed_from",
]
