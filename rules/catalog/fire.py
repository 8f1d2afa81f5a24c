"""Smoke that something else bears out: a second detector, heat, or a charge that broke off.

One detector alone stays `smoke`, which a manager goes to see: dust, steam and spiders set
off one, seldom two. Heat may be that of the air at the same detector: a parked bike that
burns under the only one of a site shows nothing else until its flames reach a pile. A
detector that tests itself is no witness (rules/catalog/smoke.py), and neither is a device
that was tampered with before it spoke; its smoke alone is still told.

It ends no sooner than its signs: all of them gone, and the confirmation older than the
window.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from rules.alerts import GroupKind, State
from rules.groups import EVENTS, GroupState
from rules.policy import Policy
from rules.readings import DeviceId
from rules.rule import GroupMoment
from rules.verdict import (
    AT_ONCE,
    BETWEEN,
    CLEAR,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

CONFIRMING = ("heat", "warm", "abrupt_end")
"""The rules that speak of what a fire does besides smoke."""

SMOKE_ALONE = 2
"""So many detectors confirm each other."""

SHOWN_MAX = 6
"""Signs that are named: a site may have hundreds of detectors."""


class Sign(NamedTuple):
    rule: str
    device: DeviceId
    since: datetime
    over_at: datetime | None
    """When it went away; None while it lasts."""


class Fire(msgspec.Struct, frozen=True):
    name: str = "fire"
    severity: Severity = Severity.EMERGENCY
    group: GroupKind = GroupKind.SITE
    basis: str = "smoke and a second sign; overcharge test: explosion 3 min after white smoke"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002  (no site may slow it down)
        return AT_ONCE

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:
        if not group.how_many_open("smoke") and not group.past("smoke"):
            return CLEAR
        window = moment.policy.fire.window
        smoke = tuple(_signs("smoke", group, moment.now - window))
        others = tuple(
            sign for rule in CONFIRMING for sign in _signs(rule, group, moment.now - window)
        )
        others += tuple(_hot_air(smoke, group))
        if len(smoke) >= SMOKE_ALONE or (smoke and others):
            return _breach((*smoke, *others), window)
        lasts = group.how_many_open("smoke") or group.how_many_open("heat")
        return BETWEEN if lasts else CLEAR


def _signs(rule: str, group: GroupState, oldest: datetime) -> Iterator[Sign]:
    """Yield one sign for each device that shows it, or did so after `oldest`."""
    tampered = {alert.key.device: alert.began_at for alert in group.open("tamper")}
    witnesses: set[DeviceId] = set()
    for sign in _seen(rule, group):
        too_old = sign.over_at is not None and sign.over_at <= oldest
        if too_old or tampered.get(sign.device, sign.since) < sign.since:
            continue
        if sign.device not in witnesses:
            witnesses.add(sign.device)
            yield sign


def _hot_air(smoke: tuple[Sign, ...], group: GroupState) -> Iterator[Sign]:
    """Yield a sign for each detector whose smoke comes with air that got hot."""
    witnesses = {sign.device for sign in smoke}
    for alert in group.open("smoke"):
        device, found_k = alert.key.device, alert.evidence.measured
        if device in witnesses and device is not None and found_k is not None:
            yield Sign("hot_air", device, alert.began_at, None)


def _seen(rule: str, group: GroupState) -> Iterator[Sign]:
    """Yield what is open now, then what is over."""
    for alert in group.open(rule):
        if alert.key.device is not None and alert.state is State.FIRING:
            over_at = alert.began_at if rule in EVENTS else None
            yield Sign(rule, alert.key.device, alert.began_at, over_at)
    for device, at in group.past(rule).items():
        yield Sign(rule, device, at, at)


def _breach(signs: tuple[Sign, ...], window: timedelta) -> Breach:
    named = [f"{sign.rule} {sign.device.rpartition('/')[2]}" for sign in signs[:SHOWN_MAX]]
    over = [sign.over_at for sign in signs if sign.over_at is not None]
    return Breach(
        Evidence(len(signs), since=min(each.since for each in signs), detail="; ".join(named)),
        recheck_at=min(over) + window if over else None,
    )
