"""A smoke detector sees smoke. It never waits: no hold, and its own lane to the ledger.

If the detector has a thermometer, and the air has warmed by more than air does, that is the
evidence, and for `fire` it is a second sign (rules/catalog/fire.py).
"""

from datetime import UTC, datetime, timedelta

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import (
    AT_ONCE,
    CLEAR,
    UNKNOWN,
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

NEVER = datetime.min.replace(tzinfo=UTC)
SELF_TEST_MAX = timedelta(minutes=5)
"""A test lasts seconds. One whose end got lost must not hide a fire for ever."""
CLEARS_WITHIN = timedelta(seconds=30)
"""Smoke of a test may outlast the word that the test is over: the chamber has to clear, and an
event overtakes the reading before it (docs/decisions/005). Smoke that is said anew is told."""


class Smoke(msgspec.Struct, frozen=True):
    name: str = "smoke"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "brigade's overcharge test: white smoke 3 min, explosion 6 min after swelling"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002  (no site may slow it down)
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        parts = [part for part in device.parts if part.smoke_alarm is not None]
        if not parts:
            return UNKNOWN
        tests_end: list[datetime] = []
        for part in parts:
            if part.smoke_alarm:
                ends = _excused_until(part, device.whole)
                if ends <= moment.now:
                    return Breach(_evidence(device, moment.policy))
                tests_end.append(ends)
        return Clear(recheck_at=min(tests_end)) if tests_end else CLEAR


def _evidence(device: DeviceState, policy: Policy) -> Evidence:
    """Say by how much the air has warmed, if that is more than air does by itself."""
    rise_k, limit_k = max(part.air_rise_k() for part in device.parts), policy.fire.air_rise_k
    if rise_k < limit_k:
        return Evidence(since=device.heard_at)
    return Evidence(round(rise_k, 1), limit_k, "K", device.heard_at)


def _excused_until(part: Values, whole: Values) -> datetime:
    """Return until when a self-test excuses a part's smoke; long ago if none does."""
    ends = max(_test_ends(part), _test_ends(whole))
    if part.smoke_left_at is not None:
        ends = max(ends, part.smoke_left_at + CLEARS_WITHIN)
    return ends


def _test_ends(part: Values) -> datetime:
    """Return until when the test that goes on excuses smoke; long ago if there is none."""
    if not part.self_test or part.self_test_at is None:
        return NEVER
    return part.self_test_at + SELF_TEST_MAX
