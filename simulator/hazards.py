"""The truth that follows from physics: who draws too much, too long, or too late.

It looks at what is laid down (plugs, curves, when the current may flow) and at the limits
that were agreed on, and at nothing that any rule does. So a danger by accident of behaviour
is as true as one that was scheduled.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from simulator.cadences import LATE_MAX
from simulator.flows import Flow, above, flows, joined, too_much
from simulator.hours import Hours
from simulator.limits import LASTS, Limits
from simulator.pile_plans import PilePlan
from simulator.sockets import FINISHED_W
from simulator.truth import Incident

SLACK = timedelta(minutes=2)
"""What a slow machine may take longer: 2 s of real time at 60-fold speed."""
FEEDER_SHARE = 0.9
"""From this share of its rating on a feeder is overloaded: the rest is for what was not
foreseen."""
MARGIN = 0.02
"""A class 1 meter shows up to 1 % too little, and its noise is as much: what is above a limit
by less may be true, and nobody can know it."""
MINUTE = timedelta(minutes=1)


class Charge(NamedTuple):
    """The charge of a plug; if a second bike comes when the first is full, there are two."""

    begins: datetime
    full_at: datetime | None
    """None: it is not full when it ends."""
    ends: datetime


class Physics(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the truth at one site."""

    limits: Limits
    hours: Hours
    starts: datetime
    ends: datetime

    def of_pile(self, plan: PilePlan) -> Iterator[Incident]:
        """Yield what is true of a pile and its sockets."""
        found = flows(plan, self.ends)
        for flow in found:
            yield from self._of_plug(plan, flow)
        for incident in _overloads(
            "pile_overload", found, self.limits.pile_w, plan.figures or plan.beat
        ):
            yield msgspec.structs.replace(incident, device=plan.id)

    def of_site(self, site: str, plans: Iterable[PilePlan]) -> Iterator[Incident]:
        """Yield what is true of all piles of a site together."""
        if not self.limits.feeder_w:
            return
        plans = tuple(plans)
        found = [flow for plan in plans for flow in flows(plan, self.ends)]
        beat = max((plan.figures or plan.beat for plan in plans), default=MINUTE)
        limit_w = self.limits.feeder_w * FEEDER_SHARE
        for incident in _overloads("site_overload", found, limit_w, beat):
            yield msgspec.structs.replace(incident, site=site)

    def _of_plug(self, plan: PilePlan, flow: Flow) -> Iterator[Incident]:
        channel, beat = flow.use.channel, plan.figures or plan.beat
        much = _overloads("overload", [flow], self.limits.socket_w, beat)
        if plan.figures is not None:
            much = (_when_shown(each, flow, plan.figures) for each in much)
        for incident in (*much, *self._too_late(flow, beat), *self._too_long(flow, beat)):
            yield msgspec.structs.replace(incident, device=plan.id, channel=channel)

    def _too_late(self, flow: Flow, beat: timedelta) -> Iterator[Incident]:
        """Yield charges that go on while the station is closed."""
        points: list[tuple[datetime, float]] = []
        grace, late = self.limits.length("grace"), beat + SLACK
        for night in self.hours.spans:
            opens = night.until or self.ends
            if flow.ends <= night.since or flow.use.plugged_at >= opens:
                continue
            points = points or list(flow.points())
            for since, until in joined(above(points, FINISHED_W)):
                begins, ends = max(since, night.since), min(until, opens)
                earliest = max(night.since + grace, since + LASTS, self.starts)
                if earliest >= ends:
                    continue
                seen_late = since > night.since or self.starts > night.since
                allowed = grace if seen_late else timedelta(0)
                knowable = _surely(points, FINISHED_W, earliest + allowed, beat)
                knowable = knowable and earliest + allowed + beat < ends
                yield Incident(
                    kind="after_hours",
                    severity="warning",
                    begins=begins,
                    ends=ends,
                    earliest=earliest,
                    latest=earliest + late + allowed,
                    expected_rules=("after_hours",) if knowable else (),
                )

    def _too_long(self, flow: Flow, beat: timedelta) -> Iterator[Incident]:
        """Yield charges that do not end, and full batteries that are fed on and on."""
        for charge in _charges(flow):
            yield from self._of_charge(flow, charge, beat)

    def _of_charge(self, flow: Flow, charge: Charge, beat: timedelta) -> Iterator[Incident]:
        full_at, late = charge.full_at, 2 * (beat + SLACK)
        charged_until = full_at or charge.ends
        long_from = charge.begins + self.limits.length("charge")
        draws = flow.use.curve.at((charged_until - flow.use.plugged_at).total_seconds()).power_w
        if long_from < charged_until and (full_at or draws >= FINISHED_W):
            knowable = long_from + beat < charged_until
            yield Incident(
                kind="long_charge",
                severity="warning",
                begins=long_from,
                ends=charged_until,
                earliest=long_from,
                latest=long_from + late + 5 * MINUTE,
                expected_rules=self._if_seen(flow, "long_charge") if knowable else (),
            )
        if full_at is None:
            return
        points = list(flow.points())
        allowed_until = full_at + self.limits.length("float_")
        for since, until in joined(above(points, FINISHED_W)):
            ends = min(until, charge.ends)
            if since <= full_at and allowed_until < ends:
                knowable = _surely(points, FINISHED_W, allowed_until, beat)
                knowable = knowable and allowed_until + beat < ends
                yield Incident(
                    kind="long_float",
                    severity="warning",
                    begins=full_at,
                    ends=ends,
                    earliest=allowed_until,
                    latest=allowed_until + late + 10 * MINUTE,
                    expected_rules=self._if_seen(flow, "long_float") if knowable else (),
                )

    def _if_seen(self, flow: Flow, rule: str) -> tuple[str, ...]:
        """Expect what only they can know who saw the plug go in."""
        return (rule,) if flow.use.plugged_at >= self.starts else ()


def _charges(flow: Flow) -> Iterator[Charge]:
    curve, begins = flow.use.curve, flow.use.plugged_at
    if curve.rests_s is not None:
        full_at, joins_at = map(flow.when, curve.rests_s)
        yield Charge(begins, full_at, joins_at or flow.ends)
        if joins_at is None:
            return
        begins = joins_at
    full_at = None if curve.full_s is None else flow.when(curve.full_s)
    yield Charge(begins, full_at, flow.ends)


def _overloads(
    kind: str, found: Sequence[Flow], limit_w: float, beat: timedelta
) -> Iterator[Incident]:
    """Yield the overloads of nobody yet.

    One that no report need have shown, because it was over too soon, is true all the same;
    but nobody could know, and nothing is expected of anybody.
    """
    sure = [
        (since, until)
        for since, until in too_much(found, limit_w * (1 + MARGIN))
        if until - since >= LASTS + beat
    ]
    for since, until in too_much(found, limit_w):
        known_at = next((at for at, _ in sure if since <= at < until), None)
        earliest = (known_at or since) + LASTS
        yield Incident(
            kind=kind,
            severity="critical",
            begins=since,
            ends=until,
            earliest=earliest,
            latest=earliest + beat + SLACK,
            expected_rules=(kind,) if known_at else (),
        )


def _when_shown(incident: Incident, flow: Flow, figures: timedelta) -> Incident:
    """Return an overload with the moment at which the pile next says what flows.

    An AP3000 says it every so long from the start of a charge on, and nothing in between. A
    report that was due a moment before may be late enough to show it.
    """
    charges_since = max(since for since, _, _ in flow.stretches if since <= incident.earliest)
    begins = max(incident.begins - LATE_MAX, charges_since)
    periods = max(1, -((charges_since - begins) // figures))
    earliest = max(incident.earliest, charges_since + periods * figures)
    later = earliest - incident.earliest
    latest = None if incident.latest is None else incident.latest + later
    return msgspec.structs.replace(incident, earliest=earliest, latest=latest)


def _surely(
    points: Sequence[tuple[datetime, float]], limit_w: float, at: datetime, beat: timedelta
) -> bool:
    """Say whether any meter shows more than a limit from a moment on, for one report."""
    sure = joined(above(points, limit_w * (1 + MARGIN)))
    return any(since <= at and at + beat < until for since, until in sure)
