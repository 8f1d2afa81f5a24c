"""The truth of a run: what really happens, and what ought to be said of it.

It is a side channel: files that the service never sees. It comes from faults and physics
alone; the names of rules are those of docs/policy.md, and nothing here knows how they judge.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

TRAP = "trap"
"""The severity of what is no danger, and must not be taken for one."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that really happens to a socket, a device or a site (docs/backtest.md)."""

    kind: str = msgspec.field(name="class")
    site: str | None = None
    """Of what concerns a site as a whole; empty: of what concerns several."""
    device: str | None = None
    """area/site/device."""
    channel: int | None = None
    severity: str
    begins: datetime
    ends: datetime | None = None
    """None: it lasts longer than we look."""
    onset: datetime | None = None
    """When the danger itself began, where that is not `begins`."""
    earliest: datetime
    """When it could first be known, by anybody who sees what the devices measure."""
    latest: datetime | None = None
    """Later is too late, with the latency of a slow machine allowed for."""
    expected_rules: tuple[str, ...] = ()
    """Each of them ought to fire. Empty: a trap, or what nobody could know."""
    must_not_rules: tuple[str, ...] = ()
    """None of them may fire. Those in neither list may."""
    figures: dict[str, float] = {}
    """What was physically so, by name and unit, for those who ask why it was missed."""


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that a good service raises, once, and people should hear of."""

    rule: str
    device: str
    channel: int | None = None
    begins: datetime
    ends: datetime | None
    earliest: datetime
    latest: datetime


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The truth as one object: what to expect of one run, in virtual time."""

    scenario: str
    seed: int
    starts: datetime
    ends: datetime
    expected_refused: int
    alerts: tuple[Truth, ...]


def alerts_of(incidents: Iterable[Incident], ends: datetime) -> Iterator[Truth]:
    """Yield the alerts that are due, one for each expected rule, by the earliest moment."""
    for incident in sorted(incidents, key=lambda each: each.earliest):
        for rule in incident.expected_rules:
            yield Truth(
                rule=rule,
                device=incident.device or incident.site or "",
                channel=incident.channel,
                begins=incident.begins,
                ends=incident.ends,
                earliest=incident.earliest,
                latest=incident.latest or incident.ends or ends,
            )
