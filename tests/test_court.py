"""Sockets at rest are passed over, because no rule has anything to say of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.alerts import EVERYTHING
from rules.catalog import rules_in_force
from rules.groups import GroupState
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind
from rules.rule import Moment, SocketRule
from rules.schedule import Span
from rules.subject import DeviceState, Values
from rules.verdict import Breach

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
PILE = DeviceId("town/north/pile-1")
POLICY = Policy()
RULES = rules_in_force().socket_rules


def moment(*, closed: bool) -> Moment:
    return Moment(
        now=NOON,
        policy=POLICY,
        profile=DeviceProfile(id=PILE, site="town/north", kind=Kind.CHARGER),
        fresh_for=HOUR,
        span=Span(closed, NOON - HOUR, NOON + HOUR),
        site=GroupState(EVERYTHING),
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.name))
@given(
    power_w=st.none() | st.floats(-5, 2000),
    minutes=st.integers(0, 90),
    relay_on=st.none() | st.booleans(),
    temperature_c=st.none() | st.floats(-40, 250),
    closed=st.booleans(),
)
def test_no_rule_starts_or_waits_for_anything_at_a_socket_at_rest(  # noqa: PLR0913, PLR0917
    rule: SocketRule,
    power_w: float | None,
    minutes: int,
    relay_on: bool | None,
    temperature_c: float | None,
    closed: bool,
) -> None:
    at = NOON - timedelta(minutes=minutes)
    part = Values(
        1,
        power_w=power_w,
        power_at=None if power_w is None else at,
        relay_on=relay_on,
        relay_at=None if relay_on is None else at,
        device_temperature_c=temperature_c,
        temperature_at=None if temperature_c is None else at,
    )
    if not part.rests(min(POLICY.charging.min_w, POLICY.overload.clear_w)):
        return
    device = DeviceState(PILE, "town/north", Kind.CHARGER, sockets={1: part}, heard_at=at)
    verdict = rule.judge(part, device, moment(closed=closed))
    assert type(verdict) is not Breach
    assert verdict.recheck_at is None


@pytest.mark.parametrize("power_w", [14.9, 15.0, 800.0])
def test_a_socket_rests_only_below_what_counts_as_charging(power_w: float) -> None:
    assert Values(1, power_w=power_w).rests(15.0) is (power_w < 15)
