"""What a place has agreed on: the limits that make a charge a danger, or a nuisance.

They decide what is true, and go into the service's policy file, so that both speak of the
same limits. How long something must last before it is believed is the service's business.
"""

from datetime import timedelta
from typing import Annotated

import msgspec

from simulator.words import Length, Part, length

Watts = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
LASTS = timedelta(seconds=30)
"""An inrush is over by then, and an AP3000 averages over as much (DOMAIN §2.1)."""


class Limits(Part, frozen=True, kw_only=True):
    """What is allowed here. Defaults and their sources are those of docs/policy.md."""

    socket_w: Watts = 800.0
    """More than this at one socket is an overload."""
    pile_w: Watts = 7800.0
    """More than this at one pile is."""
    feeder_w: Watts = 0.0
    """What the feeder of a site carries; 0: nobody said. From 90 % on it is overloaded."""
    charge: Length = "8 h"
    """A charge that goes on for longer is too long."""
    float_: Length = msgspec.field(name="float", default="1 h")
    """A full battery that is fed for longer is forgotten."""
    grace: Length = "10 min"
    """So long a charge may go on after closing time."""
    silent_pile: Length = "8 min"
    silent_sensor: Length = "25 h"
    """A device that is not heard for so long is silent."""
    hot_c: float = 65.0
    """A contact from here on is hot."""
    clock_behind: Length = "15 min"
    clock_ahead: Length = "5 min"
    """A clock that is further off is wrong ..."""
    clock_after: Length = "1 h"
    """... if it is so for this long."""
    battery_pct: float = 10.0
    """A battery below this is nearly empty."""

    def length(self, name: str) -> timedelta:
        """Return one of the lengths by its key."""
        return length(getattr(self, name))

    def policy_toml(self) -> str:
        """Return the policy file: what differs from what is built in."""
        lines = ["# What this village has agreed on. Made by simulator."]
        usual = Limits()
        if self.socket_w != usual.socket_w:
            act, clear = max(1000.0, self.socket_w * 1.2), min(700.0, self.socket_w * 0.85)
            lines += ["[default.overload]", f"warn_w = {self.socket_w:g}"]
            lines += [f"act_w = {act:g}"] if act != 1000 else []  # noqa: PLR2004
            lines += [f"clear_w = {clear:g}"] if clear != 700 else []  # noqa: PLR2004
        if self.pile_w != usual.pile_w:
            act, clear = self.pile_w * 1.1, self.pile_w * 0.95
            lines += ["[default.pile_overload]", f"warn_w = {self.pile_w:g}"]
            lines += [f"act_w = {act:g}", f"clear_w = {clear:g}"]
        for table, key, value in self._others(usual):
            lines += [f"[default.{table}]", f"{key} = {value}"]
        return "\n".join(lines) + "\n"

    def _others(self, usual: "Limits") -> list[tuple[str, str, str]]:
        found = []
        if self.feeder_w:
            found.append(("site_overload", "feeder_w", f"{self.feeder_w:g}"))
        if self.charge != usual.charge:
            found.append(("long_charge", "warn_after", f'"{self.charge}"'))
        if self.float_ != usual.float_:
            found.append(("long_float", "after", f'"{self.float_}"'))
        if self.grace != usual.grace:
            found.append(("after_hours", "grace", f'"{self.grace}"'))
        if self.silent_pile != usual.silent_pile:
            found.append(("silence", "charger_after", f'"{self.silent_pile}"'))
        if self.battery_pct != usual.battery_pct:
            found.append(("sensor_battery", "low_pct", f"{self.battery_pct:g}"))
        return found
