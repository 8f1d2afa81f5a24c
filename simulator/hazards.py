"""The truth that follows from physics: who draws too much, too long, or too late.

It looks at what is laid down (plugs, curves, when the current may flow) and at the limits
that were agreed on, and at nothing that any rule does. So a danger by accident of behaviour
is as true as one that was scheduled.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from simulator.cadences import LATE_MAX
from simulator.devices import Span
from simulator.hours import Hours
from simulator.limits import LASTS, Limits
from simulator.piles import PilePlan
from simulator.sockets import FINISHED_W, Switching, Use
from simulator.truth import Incident

SLACK = timedelta(minutes=2)
"""What a slow machine may take longer: 2 s of real time at 60-fold speed."""
FEEDER_SHARE = 0.9
"""From this share of its rating on a feeder is overloaded: the rest is for what was not
foreseen."""
MARGIN = 0.02
"""A class 1 meter shows up to 1 % too little, and its noise is as much: what is above a limit
by less may be true, and nobody can know it."""
SAME_CHARGE = timedelta(minutes=2)
"""A plug that bounces, and is back sooner, goes on with its charge."""
MINUTE = timedelta(minutes=1)

Stretch = tuple[datetime, datetime, float]
"""Current flows from, until; and how long it had flowed before, in seconds."""


class Flow:
    """The power of one plug over the time of the day."""

    def __init__(self, pile: str, use: Use, stretches: Sequence[Stretch]) -> None:
        self.pile, self.use, self.stretches = pile, use, stretches

    def points(self) -> Iterator[tuple[datetime, float]]:
        """Yield moments and power; between them it goes straight, and is 0 outside."""
        curve = self.use.curve
        for since, until, ran_s in self.stretches:
            ends_s = ran_s + (until - since).total_seconds()
            yield since, 0.0
            yield since, curve.at(ran_s).power_w
            for at_s, power_w in zip(curve.times_s, curve.powers_w, strict=True):
                if ran_s < at_s < ends_s:
                    yield since + timedelta(seconds=at_s - ran_s), power_w
            yield until, curve.at(ends_s).power_w
            yield until, 0.0

    def when(self, ran_s: float) -> datetime | None:
        """Return when current has flowed for so long; None: it never has."""
        for since, until, before_s in self.stretches:
            at = since + timedelta(seconds=ran_s - before_s)
            if at < until:
                return max(since, at)
        return None

    @property
    def ends(self) -> datetime:
        return self.stretches[-1][1]


def flows(plan: PilePlan, ends: datetime) -> list[Flow]:
    """Return every plug of a pile through which current flows."""
    found = []
    for use in plan.uses:
        stretches = tuple(_stretches(use, plan, ends))
        if stretches:
            found.append(Flow(plan.id, use, stretches))
    return found


def _stretches(use: Use, plan: PilePlan, ends: datetime) -> Iterator[Stretch]:
    since, until = use.plugged_at, min(use.unplugged_at, ends)
    if plan.faults.dies_at is not None:
        until = min(until, plan.faults.dies_at)
    off = list(plan.faults.dark)
    if plan.switching.get(use.channel) is not Switching.WELDED:
        for stop in plan.stops:
            if stop.channel == use.channel and use.plugged_at <= stop.at < use.unplugged_at:
                again = [r.at for r in plan.rescans if r.channel == stop.channel]
                again = [at for at in again if at > stop.at]
                off.append(Span(stop.at, min(again, default=None)))
    ran_s = 0.0
    for span in sorted(off, key=lambda each: each.since):
        if span.until is not None and span.until <= since:
            continue
        if since < min(span.since, until):
            yield since, min(span.since, until), ran_s
            ran_s += (min(span.since, until) - since).total_seconds()
        if span.until is None:
            return
        since = max(since, span.until)
    if since < until:
        yield since, until, ran_s


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
                yield Incident(
                    kind="after_hours",
                    severity="warning",
                    begins=begins,
                    ends=ends,
                    earliest=earliest,
                    latest=earliest + late + (grace if seen_late else timedelta(0)),
                    expected_rules=("after_hours",)
                    if _surely(points, FINISHED_W, earliest, beat)
                    else (),
                )

    def _too_long(self, flow: Flow, beat: timedelta) -> Iterator[Incident]:
        """Yield a charge that does not end, and a full battery that is fed on and on."""
        full_s, late = flow.use.curve.full_s, 2 * (beat + SLACK)
        full_at = None if full_s is None else flow.when(full_s)
        charged_until = full_at or flow.ends
        long_from = flow.use.plugged_at + self.limits.length("charge")
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
            if since <= full_at and allowed_until < until:
                knowable = _surely(points, FINISHED_W, allowed_until, beat)
                yield Incident(
                    kind="long_float",
                    severity="warning",
                    begins=full_at,
                    ends=until,
                    earliest=allowed_until,
                    latest=allowed_until + late + 10 * MINUTE,
                    expected_rules=self._if_seen(flow, "long_float") if knowable else (),
                )

    def _if_seen(self, flow: Flow, rule: str) -> tuple[str, ...]:
        """Expect what only they can know who saw the plug go in."""
        return (rule,) if flow.use.plugged_at >= self.starts else ()


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


def joined(
    spans: Iterable[tuple[datetime, datetime]],
) -> Iterator[tuple[datetime, datetime]]:
    """Yield spans with those made one between which nothing but a plug has bounced."""
    begins: datetime | None = None
    ends: datetime | None = None
    for since, until in spans:
        if begins is not None and ends is not None and since - ends > SAME_CHARGE:
            yield begins, ends
            begins = None
        begins, ends = begins or since, until
    if begins is not None and ends is not None:
        yield begins, ends


def too_much(found: Sequence[Flow], limit_w: float) -> Iterator[tuple[datetime, datetime]]:
    """Yield when these plugs together draw more than the limit, for longer than an inrush."""
    most: dict[tuple[str, int], float] = {}
    for flow in found:
        socket, most_w = (flow.pile, flow.use.channel), max(flow.use.curve.powers_w)
        most[socket] = max(most_w, most.get(socket, 0.0))
    if sum(most.values()) <= limit_w:
        return  # not even if all drew their most at once
    points = list(found[0].points()) if len(found) == 1 else _summed(found)
    for since, until in above(points, limit_w):
        if until - since > LASTS:
            yield since, until


def _summed(found: Iterable[Flow]) -> list[tuple[datetime, float]]:
    """Return the sum of lines that are straight between their points, as another."""
    turns: dict[datetime, list[float]] = {}
    for flow in found:
        before: tuple[datetime, float] | None = None
        for at, power_w in flow.points():
            if before is not None and at > before[0]:
                slope = (power_w - before[1]) / (at - before[0]).total_seconds()
                turns.setdefault(before[0], [0.0, 0.0])[1] += slope
                turns.setdefault(at, [0.0, 0.0])[1] -= slope
            elif before is not None:
                turns.setdefault(at, [0.0, 0.0])[0] += power_w - before[1]
            before = (at, power_w)
    points, sum_w, slope = [], 0.0, 0.0
    last: datetime | None = None
    for at, (jump_w, turn) in sorted(turns.items()):
        if last is not None:
            sum_w += slope * (at - last).total_seconds()
        points.append((at, sum_w))
        sum_w, slope, last = sum_w + jump_w, slope + turn, at
        points.append((at, sum_w))
    return points


def above(
    points: Sequence[tuple[datetime, float]], limit: float
) -> Iterator[tuple[datetime, datetime]]:
    """Yield when a line that is straight between its points is above a limit."""
    since: datetime | None = None
    before: tuple[datetime, float] | None = None
    for at, value in points:
        if value > limit and since is None:
            since = _crossed(before, (at, value), limit) if before else at
        elif value <= limit and since is not None and before is not None:
            yield since, _crossed(before, (at, value), limit)
            since = None
        before = (at, value)
    if since is not None and before is not None:
        yield since, before[0]


def _crossed(
    before: tuple[datetime, float], after: tuple[datetime, float], limit: float
) -> datetime:
    (since, low), (until, high) = before, after
    share = (limit - low) / (high - low) if high != low else 1.0
    return since + (until - since) * share
