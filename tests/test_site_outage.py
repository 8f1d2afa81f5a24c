"""A silent site: is it the power or the network? Said where it can be known."""

from datetime import UTC, datetime, timedelta

import pytest

from api.text import Texts
from rules.alerts import Alert, AlertKey, Group, GroupKind, State
from rules.catalog.site_outage import SiteOutage
from rules.groups import GroupState
from rules.policy import Policy
from rules.readings import DeviceId, Kind
from rules.rule import GroupMoment
from rules.verdict import Breach, Evidence, Severity

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SITE = Group(GroupKind.SITE, "town/north")
PILES = [DeviceId(f"town/north/pile-{n}") for n in (1, 2)]


def dark_site() -> GroupState:
    site = GroupState(SITE)
    for number, pile in enumerate(PILES):
        site.enrol(pile, Kind.CHARGER)
        site.note(open_alert("silence", pile, Evidence(since=NOON + number * MINUTE)))
    return site


def open_alert(rule: str, device: DeviceId, evidence: Evidence) -> Alert:
    return Alert(
        key=AlertKey(rule, device),
        severity=Severity.WARNING,
        within=(SITE,),
        state=State.FIRING,
        began_at=NOON,
        since=NOON,
        evidence=evidence,
    )


def cause(site: GroupState) -> str:
    verdict = SiteOutage().judge(site, GroupMoment(NOON + 10 * MINUTE, Policy()))
    assert isinstance(verdict, Breach)
    return verdict.evidence.detail


def test_nobody_can_tell_without_detectors() -> None:
    assert cause(dark_site()) == "power_or_network"


def test_a_detector_that_was_heard_before_the_last_pile_fell_silent_proves_nothing() -> None:
    site = dark_site()
    site.hear_detector(NOON + 90 * timedelta(seconds=1))
    assert cause(site) == "power_or_network"


def test_it_is_the_power_where_a_detector_with_a_battery_is_heard_since() -> None:
    site = dark_site()
    site.hear_detector(NOON + 5 * MINUTE)
    site.hear_detector(NOON)
    assert cause(site) == "power"


@pytest.mark.parametrize("fault", ["power_loss", "1: Mains failure", "E17 power lost"])
def test_it_is_the_power_where_a_device_said_so_last(fault: str) -> None:
    site = dark_site()
    site.note(open_alert("device_fault", PILES[0], Evidence(detail=fault)))
    assert cause(site) == "power_said"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_each_cause_has_words(lang: str) -> None:
    for word in ("power_or_network", "power", "power_said"):
        assert f"detail.{word}" in Texts.of(lang).messages
