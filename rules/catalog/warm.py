"""A socket is much warmer than its neighbours, or warms up much faster.

A loose contact glows long before 65 °C. The sun warms all sockets of a pile, so they are
compared with each other; a plug has no neighbours, and only its own past.
"""

from collections.abc import Iterator
from datetime import datetime
from statistics import median

import msgspec

from rules.limits.warmth import WarmLimits
from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import BETWEEN, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class Warm(msgspec.Struct, frozen=True):
    name: str = "warm"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "ours: 15 K over its neighbours, or 10 K in 10 min, and above 45 C"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.warm.hold, policy.warm.keep_firing)

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        limits, oldest = moment.policy.warm, moment.now - moment.fresh_for
        parts = tuple(device.sockets.values()) or (device.whole,)
        known = missing = warm = False
        for part in parts:
            found_c, at = part.device_temperature_c, part.temperature_at
            if found_c is None or at is None:
                continue
            known = True
            if at < oldest:
                missing = True
            elif found_c >= limits.floor_c:
                warm = True
        verdict = _compared(parts, limits, oldest) if warm else None
        return verdict or (UNKNOWN if missing or not known else CLEAR)


def _compared(
    parts: tuple[Values, ...], limits: WarmLimits, oldest: datetime
) -> Verdict | None:
    """Return the worst that is found among the warm sockets; None: nothing."""
    fresh = [
        (part, found_c, part.rise_k())
        for part in parts
        if (found_c := part.temperature_c_since(oldest)) is not None
    ]
    worst: Breach | None = None
    near = False
    for part, found_c, rise_k in fresh:
        if found_c < limits.floor_c:
            continue
        others = [(c, k) for other, c, k in fresh if other is not part]
        over_k = found_c - median(c for c, _ in others) if others else 0.0
        faster_k = rise_k - (median(k for _, k in others) if others else 0.0)
        near = near or over_k >= limits.clear_k
        for breach in _breaches(part, over_k, faster_k, limits):
            if worst is None or _excess(breach) > _excess(worst):
                worst = breach
    return worst or (BETWEEN if near else None)


def _breaches(
    part: Values, over_k: float, faster_k: float, limits: WarmLimits
) -> Iterator[Breach]:
    for found_k, limit_k, how in (
        (over_k, limits.over_neighbours_k, "over_neighbours"),
        (faster_k, limits.rise_k, "rising"),
    ):
        if found_k >= limit_k:
            where = how if part.channel is None else f"{how} {part.channel}"
            evidence = Evidence(
                round(found_k, 1), limit_k, "K", part.temperature_at, None, where
            )
            yield Breach(evidence)


def _excess(breach: Breach) -> float:
    """Return by how much the limit is exceeded, so that two kinds can be compared."""
    evidence = breach.evidence
    return (evidence.measured or 0.0) - (evidence.limit or 0.0)
