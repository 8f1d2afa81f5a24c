"""Keys that a sites file once had, and where in the policy file they are now."""

import tomllib
from collections.abc import Iterator

from ingest.toml_lines import line_of, lines_of

MOVED: dict[str, tuple[tuple[str, ...], str]] = {
    "grace_min": (("after_hours.grace",), "min"),
    "warn_before_min": (("closing_soon.before",), "min"),
    "charging_w_min": (("charging.min_w",), ""),
    "socket_limit_w": (("overload.act_w",), ""),
    "socket_clear_w": (("overload.clear_w",), ""),
    "pile_limit_w": (("pile_overload.act_w",), ""),
    "pile_clear_w": (("pile_overload.clear_w",), ""),
    "overload_hold_s": (("overload.hold", "pile_overload.hold"), "s"),
    "overload_keep_firing_s": (("overload.keep_firing", "pile_overload.keep_firing"), "s"),
    "heat_c": (("heat.act_c",), ""),
    "heat_clear_c": (("heat.clear_c",), ""),
    "heat_hold_s": (("heat.hold",), "s"),
    "heat_keep_firing_s": (("heat.keep_firing",), "s"),
    "relay_off_w": (("relay_welded.min_w",), ""),
    "relay_off_hold_s": (("relay_welded.hold",), "s"),
    "battery_low_pct": (("sensor_battery.low_pct",), ""),
    "battery_clear_pct": (("sensor_battery.clear_pct",), ""),
    "clock_wrong_after_min": (("clock_wrong.after",), "min"),
    "undeclared_after_min": (("undeclared_device.after",), "min"),
    "charger_silent_after_min": (("silence.charger_after",), "min"),
    "smoke_silent_after_min": (("silence.smoke_after",), "min"),
}
"""Each with its keys in the policy file, and the unit that their lengths of time have."""


def moved_keys(text: bytes) -> Iterator[str]:
    """Say of every such key of a file what is to be written instead, and where."""
    words = text.decode()
    sites = tomllib.loads(words).get("sites")
    lines = lines_of(words)
    for site, said in sites.items() if isinstance(sites, dict) else ():
        for key in said if isinstance(said, dict) else ():
            if key not in MOVED:
                continue
            new, unit = MOVED[key]
            value = f'"{said[key]} {unit}"' if unit else str(said[key])
            instead = "; ".join(f"{each} = {value}" for each in new)
            yield (
                f'line {line_of(("sites", site, key), lines)}: sites."{site}".{key}: limits are'
                f' in the policy file now (docs/policy.md): [site."{site}"] {instead}'
            )
