"""The shape of the sites file: every key that it may have, its type and its default.

docs/sites.md explains each, and a test holds the two together. What the keys mean to each
other is checked in `api.sites` and `api.sites_schedule`.
"""

from datetime import date
from typing import Annotated

import msgspec

from ingest.registry import Location, Name
from rules.readings import Kind

Minutes = Annotated[float, msgspec.Meta(gt=0, le=14 * 24 * 60)]


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
    carrier: str = ""
    location: Location | None = None


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
