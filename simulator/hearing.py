"""Whether anybody could hear of it: what happens behind a broken link is known afterwards."""

from collections.abc import Iterable

import msgspec

from simulator.link_faults import Kept, Lost, Oversized
from simulator.plans import Faults, Span
from simulator.truth import Incident

OF_THE_LINK = frozenset({"silence", "site_outage", "carrier_outage"})
"""Rules that speak of the silence itself."""


def unheard(faults: Faults) -> tuple[Span, ...]:
    """Return the times in which nothing that a device says comes through at once."""
    found = list(faults.dark)
    for step in faults.link:
        lost = isinstance(step, Lost) and step.share >= 1
        if lost or isinstance(step, Kept | Oversized):
            found.append(Span(step.since, step.until))
    if faults.ends_at is not None:
        found.append(Span(faults.ends_at))
    return tuple(sorted(found, key=lambda span: span.since))


def as_known(incident: Incident, faults: Faults) -> Incident:
    """Return an incident with what is expected of those who know what became of its device."""
    return when_heard(_of_the_living(incident, faults), unheard(faults))


def _of_the_living(incident: Incident, faults: Faults) -> Incident:
    """Return an incident; one that would silence a device that is silent for good is none.

    Who knows that the device is dead hears nothing new.
    """
    ends_at = faults.ends_at
    if "silence" in incident.expected_rules and ends_at and ends_at < incident.begins:
        return msgspec.structs.replace(incident, expected_rules=())
    return incident


def when_heard(incident: Incident, away: Iterable[Span]) -> Incident:
    """Return an incident of a device with the moment at which it could be heard of.

    If it is over by then it was never known live: nothing is expected of anybody.
    """
    if OF_THE_LINK & {*incident.expected_rules}:
        return incident
    earliest = incident.earliest
    for span in away:
        if not span.has(earliest):
            continue
        if span.until is None or (incident.ends is not None and incident.ends <= span.until):
            return msgspec.structs.replace(incident, expected_rules=())
        earliest = span.until
    if earliest == incident.earliest:
        return incident
    latest = incident.latest
    return msgspec.structs.replace(
        incident,
        earliest=earliest,
        latest=None if latest is None else latest + (earliest - incident.earliest),
    )
