"""All that is true of a run, reckoned up when its plans are known."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from simulator.hazards import Physics
from simulator.hearing import as_known
from simulator.pile_plans import PilePlan
from simulator.plans import Faults
from simulator.scene import Scene
from simulator.truth import TRAP, Incident

NO_FAULTS = Faults()


def true_of(
    scene: Scene, piles: Iterable[PilePlan], heard_until: datetime | None = None
) -> list[Incident]:
    """Return all that is true: what was laid down, and what follows from physics.

    `heard_until`: so long the service goes on after the end, and may say what it has seen.
    """
    found, plans = list(scene.incidents), {plan.id: plan for plan in piles}
    for site in scene.sites:
        hours = scene.hours_of(site)
        physics = Physics(
            limits=scene.limits, hours=hours, starts=scene.starts, ends=scene.ends
        )
        mine = [plans[name] for name in site.pile_ids()]
        for plan in mine:
            found += physics.of_pile(plan)
        found += physics.of_site(site.id, mine)
    faults = {device: doing.faults(NO_FAULTS) for device, doing in scene.on.items()}
    faults |= {plan.id: plan.faults for plan in plans.values()}
    heard = (as_known(each, faults.get(each.device or "", NO_FAULTS)) for each in found)
    seen = (_within(incident, scene, heard_until or scene.ends) for incident in heard)
    return sorted((each for each in seen if each is not None), key=_order)


def _within(incident: Incident, scene: Scene, heard_until: datetime) -> Incident | None:
    """Return what a run shows of an incident; None: nothing.

    What could be known so late that a good service has no time for it within the run is
    expected of nobody; but an alarm about it is right.
    """
    starts, ends = scene.starts, scene.ends
    if incident.begins >= ends or (incident.ends is not None and incident.ends <= starts):
        return None
    due = incident.latest or incident.earliest
    begins, earliest = max(incident.begins, starts), max(incident.earliest, starts)
    late_by = earliest - incident.earliest
    over = incident.ends is not None and incident.ends < ends
    known_by = heard_until if over else ends
    return msgspec.structs.replace(
        incident,
        begins=begins,
        earliest=earliest,
        latest=None if incident.latest is None else incident.latest + late_by,
        ends=None if incident.ends is None or incident.ends >= ends else incident.ends,
        expected_rules=incident.expected_rules if due + late_by < known_by else (),
    )


def _order(incident: Incident) -> tuple[datetime, bool, str, str, str, int]:
    return (
        incident.begins,
        incident.severity == TRAP,
        incident.kind,
        incident.site or "",
        incident.device or "",
        incident.channel or 0,
    )
