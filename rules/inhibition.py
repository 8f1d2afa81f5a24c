"""Which alarm speaks for which: what people are not told because they know of worse.

An alert that is held back exists, is written down, and is told as soon as nothing worse
holds it back. Smoke is never held back, and neither is an emergency; nor is, by a fire, what
those who fight it must know: a site without power, a relay that does not switch off.
"""

INHIBITED_BY: dict[str, tuple[str, ...]] = {
    "silence": ("monitoring_blind", "carrier_outage", "site_outage", "fire"),
    "site_outage": ("monitoring_blind", "carrier_outage"),
    "carrier_outage": ("monitoring_blind",),
    "overload": ("fire",),
    "pile_overload": ("fire",),
    "site_overload": ("fire",),
    "heat": ("fire",),
    "warm": ("fire",),
    "after_hours": ("fire",),
    "closing_soon": ("fire",),
    "tamper": ("fire",),
    "device_fault": ("fire",),
    "sensor_battery": ("fire",),
    "impossible_value": ("fire",),
    "stuck_value": ("fire",),
    "voltage": ("fire",),
    "self_test_overdue": ("fire",),
    "clock_wrong": ("fire",),
    "undeclared_device": ("fire",),
    "after_session": ("fire",),
    "long_charge": ("fire",),
    "long_float": ("fire",),
    "no_taper": ("fire",),
    "power_step": ("fire",),
}
"""By rule, the rules that speak for it if they fire about its site, its carrier, or everything.

The widest first, for the narrower ones may be held back by it themselves."""

INHIBITS: dict[str, tuple[str, ...]] = {
    speaker: tuple(rule for rule, speakers in INHIBITED_BY.items() if speaker in speakers)
    for speakers in INHIBITED_BY.values()
    for speaker in speakers
}
"""The same, the other way round."""
