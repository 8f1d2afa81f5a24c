"""What a trap may be taken for: what looks like a danger, and is none.

An alarm about a real incident's subject is about the incident, whatever rule speaks: one thing
leads to another. A trap leads to nothing. It excuses only what it can be mistaken for, and all
else that is said of its subject meanwhile has to be true by itself.
"""

from collections.abc import Mapping

TRAP = "trap"
"""The severity of one."""

SEEN_IN_SMOKE = frozenset({"smoke"})
"""A detector that sees anything says smoke. That it was no fire shows only on the spot."""
NOTHING: frozenset[str] = frozenset()

MISTAKEN_FOR: Mapping[str, frozenset[str]] = {
    "backlog": NOTHING,
    "carrier_outage_at_site": frozenset(
        {"silence", "site_outage", "carrier_outage", "monitoring_blind"}
    ),
    "clock_drifting": NOTHING,
    "clock_local": NOTHING,
    "clock_restarted": NOTHING,
    "clock_skewed": NOTHING,
    "copied_name": frozenset({"undeclared_device"}),
    "delay": NOTHING,
    "duplicate": NOTHING,
    "dust": SEEN_IN_SMOKE | {"device_fault"},
    "flood": frozenset({"undeclared_device"}),
    "fryer": SEEN_IN_SMOKE,
    "garbage": NOTHING,
    "half_open": NOTHING,
    "impostor": frozenset({"undeclared_device"}),
    "inrush": NOTHING,
    "insect": SEEN_IN_SMOKE,
    "link_down": NOTHING,
    "loss": NOTHING,
    "malformed": NOTHING,
    "oversized": NOTHING,
    "plug_bounce": NOTHING,
    "power_cut": NOTHING,
    "power_dips": NOTHING,
    "reconnect_storm": NOTHING,
    "reorder": NOTHING,
    "self_test": NOTHING,
    "sensor_drift": SEEN_IN_SMOKE,
    "thermometer_drift": frozenset({"heat", "warm", "after_session"}),
}
"""By class, the rules that a trap of the simulator excuses. Of a class that is not here, which
people have written down, nobody knows: it excuses whatever it does not forbid."""


def excuses(kind: str, rule: str) -> bool:
    """Say whether a trap of this class may be why a rule spoke."""
    known = MISTAKEN_FOR.get(kind)
    return known is None or rule in known
