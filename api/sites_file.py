"""The shape of the sites file: every key that it may have, its type and its default.

docs/sites.md explains each, and a test holds the two together. What the keys mean to each
other is checked in `api.sites` and `api.sites_schedule`.
"""

from datetime import date
from typing import Annotated

import msgspec

from ingest.registry import Name
from rules.readings import Kind

Watts = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Celsius = Annotated[float, msgspec.Meta(gt=0, le=250)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Minutes = Annotated[float, msgspec.Meta(gt=0, le=14 * 24 * 60)]
MinutesOfADay = Annotated[float, msgspec.Meta(ge=0, le=24 * 60)]


class AreaPart(msgspec.Struct, forbid_unknown_fields=True):
    """What `[areas.…]` says."""

    name: Name


class ExceptionPart(
    msgspec.Struct,
    forbid_unknown_fields=True,
    kw_only=True,
    rename={"first": "from", "last": "to"},
):
    """The windows of dated days, instead of the weekly ones."""

    first: date
    last: date
    closed: tuple[str, ...]


class SitePart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What `[sites."…"]` says."""

    name: Name
    zone: str = "Asia/Shanghai"
    closed: tuple[str, ...] = ("22:00-05:00",)
    calendar: str | None = None
    extra_holidays: tuple[date, ...] = ()
    extra_workdays: tuple[date, ...] = ()
    exceptions: tuple[ExceptionPart, ...] = ()
    grace_min: MinutesOfADay = 10.0
    warn_before_min: MinutesOfADay = 0.0
    charging_w_min: Watts = 15.0
    socket_limit_w: Watts = 1000.0
    socket_clear_w: Watts = 700.0
    pile_limit_w: Watts = 8700.0
    pile_clear_w: Watts = 7800.0
    overload_hold_s: Seconds = 30.0
    overload_keep_firing_s: Seconds = 60.0
    heat_c: Celsius = 80.0
    heat_clear_c: Celsius = 65.0
    heat_hold_s: Seconds = 30.0
    heat_keep_firing_s: Seconds = 60.0
    relay_off_w: Watts = 30.0
    relay_off_hold_s: Seconds = 60.0
    battery_low_pct: Percent = 10.0
    battery_clear_pct: Percent = 20.0
    clock_wrong_after_min: Minutes = 60.0
    undeclared_after_min: Minutes = 10.0
    charger_silent_after_min: Minutes = 8.0
    smoke_silent_after_min: Minutes = 25 * 60.0


class DevicePart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What one `[[devices]]` says."""

    id: str
    kind: Kind
    dialect: str = "native"
    name: str | None = None
    sockets: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    silent_after_min: Minutes | None = None


class SitesFile(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    areas: dict[str, AreaPart] = {}
    sites: dict[str, SitePart] = {}
    devices: list[DevicePart] = []
