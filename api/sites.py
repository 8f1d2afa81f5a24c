"""The sites file: which areas, sites and devices there are, and what is allowed where.

One TOML file, written by the operator, read at start (docs/sites.md explains every key).
A mistake in it stops the start, with the key and what is allowed there: half a policy
would be worse than none.
"""

import re
from collections.abc import Iterable
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ingest.errors import ChargewatchError
from ingest.registry import Area, Device, Name, Site
from ingest.wire import bad_name
from rules.policy import Band, SitePolicy
from rules.readings import DeviceId, Kind
from rules.schedule import EVERY_DAY, Schedule, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z,-]+) )?(?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)"
)

Watts = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Celsius = Annotated[float, msgspec.Meta(gt=0, le=250)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Minutes = Annotated[float, msgspec.Meta(gt=0, le=14 * 24 * 60)]


class SitesFileWrong(ChargewatchError):
    """The sites file cannot be used; the message names the place and what is allowed."""


class _AreaPart(msgspec.Struct, forbid_unknown_fields=True):
    name: Name


class _SitePart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Name
    zone: str = "Asia/Shanghai"
    closed: tuple[str, ...] = ("22:00-05:00",)
    grace_min: Annotated[float, msgspec.Meta(ge=0, le=24 * 60)] = 10.0
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


class _DevicePart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    id: str
    kind: Kind
    dialect: str = "native"
    name: str | None = None
    sockets: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    silent_after_min: Minutes | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    areas: dict[str, _AreaPart] = {}
    sites: dict[str, _SitePart] = {}
    devices: list[_DevicePart] = []


class Declared(msgspec.Struct, frozen=True):
    """What a sites file declares."""

    areas: tuple[Area, ...]
    sites: tuple[Site, ...]
    devices: tuple[Device, ...]


def read_sites(path: Path, dialects: Iterable[str]) -> Declared:
    """Read and check a sites file; raises SitesFileWrong with the place and the reason."""
    try:
        return parsed(path.read_bytes(), frozenset(dialects))
    except OSError as error:
        raise SitesFileWrong(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SitesFileWrong(f"{path}: save it as UTF-8 ({error})") from error
    except (msgspec.DecodeError, SitesFileWrong) as error:
        raise SitesFileWrong(f"{path}: {error}") from error


def parsed(text: bytes, dialects: frozenset[str]) -> Declared:
    """Check the text of a sites file and return what it declares."""
    file = msgspec.toml.decode(text, type=_File)
    for site in file.sites:
        area, slash, name = site.partition("/")
        if not slash or not name or "/" in name:
            raise SitesFileWrong(f'sites."{site}": a site is called "area/site"')
        if area not in file.areas:
            raise SitesFileWrong(f'sites."{site}": there is no area {area!r}')
    areas = tuple(Area(id=key, name=part.name) for key, part in file.areas.items())
    sites = tuple(
        Site(id=key, area=key.partition("/")[0], name=part.name, policy=_policy(key, part))
        for key, part in file.sites.items()
    )
    devices = tuple(_device(part, file.sites, dialects) for part in file.devices)
    seen: set[str] = set()
    for device in devices:
        called = f"{device.dialect} {device.name}"
        if device.id in seen or called in seen:
            raise SitesFileWrong(f"devices: {device.id!r} ({called}) is there twice")
        seen |= {device.id, called}
    return Declared(areas, sites, devices)


def _policy(site: str, part: _SitePart) -> SitePolicy:
    where = f'sites."{site}"'
    try:
        ZoneInfo(part.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # "Asia" is a folder
        raise SitesFileWrong(
            f"{where}.zone: no IANA time zone is called {part.zone!r}"
        ) from error
    try:
        socket_limit = Band(part.socket_limit_w, part.socket_clear_w)
        pile_limit = Band(part.pile_limit_w, part.pile_clear_w)
        heat = Band(part.heat_c, part.heat_clear_c)
    except ValueError as error:
        raise SitesFileWrong(f"{where}: {error}") from error
    if part.battery_clear_pct < part.battery_low_pct:
        raise SitesFileWrong(f"{where}.battery_clear_pct: at least battery_low_pct")
    return SitePolicy(
        schedule=Schedule(part.zone, tuple(window(text, where) for text in part.closed)),
        after_hours_grace=timedelta(minutes=part.grace_min),
        charging_w_min=part.charging_w_min,
        socket_limit_w=socket_limit,
        pile_limit_w=pile_limit,
        overload_hold=timedelta(seconds=part.overload_hold_s),
        overload_keep_firing=timedelta(seconds=part.overload_keep_firing_s),
        heat_c=heat,
        heat_hold=timedelta(seconds=part.heat_hold_s),
        heat_keep_firing=timedelta(seconds=part.heat_keep_firing_s),
        relay_off_w=part.relay_off_w,
        relay_off_hold=timedelta(seconds=part.relay_off_hold_s),
        battery_low_pct=part.battery_low_pct,
        battery_clear_pct=part.battery_clear_pct,
        clock_wrong_after=timedelta(minutes=part.clock_wrong_after_min),
        undeclared_after=timedelta(minutes=part.undeclared_after_min),
        charger_silent_after=timedelta(minutes=part.charger_silent_after_min),
        smoke_silent_after=timedelta(minutes=part.smoke_silent_after_min),
    )


def window(text: str, where: str) -> Window:
    """Read "22:00-05:00", "mon-fri 22:00-05:00" or "sat,sun 00:00-24:00"."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise SitesFileWrong(
            f'{where}.closed: {text!r} is not like "22:00-05:00" or "mon-fri 22:00-05:00"'
        )
    return Window(
        _clock(match["h1"], match["m1"], where),
        _clock(match["h2"], match["m2"], where),
        EVERY_DAY if match["days"] is None else _days(match["days"], where),
    )


def _clock(hour: str, minute: str, where: str) -> time:
    if (hour, minute) == ("24", "00"):
        return time(0)
    try:
        return time(int(hour), int(minute))
    except ValueError as error:
        raise SitesFileWrong(f"{where}.closed: {hour}:{minute} is no time of day") from error


def _days(text: str, where: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise SitesFileWrong(f"{where}.closed: {part!r}: days are {', '.join(DAYS)}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        length = (end - begin) % len(DAYS) + 1
        days |= {(begin + n) % len(DAYS) for n in range(length)}
    return frozenset(days)


def _device(part: _DevicePart, sites: Iterable[str], dialects: frozenset[str]) -> Device:
    where = f"devices: {part.id!r}"
    site = "/".join(part.id.split("/")[:2])
    if part.id.count("/") < 2:  # noqa: PLR2004
        raise SitesFileWrong(f'{where}: a device is called "area/site/device"')
    if site not in sites:
        raise SitesFileWrong(f"{where}: there is no site {site!r}")
    for level in part.id.split("/"):
        if wrong := bad_name(level):
            raise SitesFileWrong(f"{where}: {level!r} is {wrong}")
    if part.dialect not in dialects:
        raise SitesFileWrong(f"{where}.dialect: one of {', '.join(sorted(dialects))}")
    if part.dialect == "native" and part.id.count("/") > 2:  # noqa: PLR2004
        raise SitesFileWrong(f'{where}: a native device is called "area/site/device"')
    if part.dialect == "native" and part.name not in {None, part.id}:
        raise SitesFileWrong(f"{where}.name: a native device is called like its id")
    name = part.name or (part.id if part.dialect == "native" else part.id.rpartition("/")[2])
    silent = part.silent_after_min
    return Device(
        id=DeviceId(part.id),
        site=site,
        dialect=part.dialect,
        name=name,
        kind=part.kind,
        sockets=frozenset(range(1, part.sockets + 1)),
        silent_after=None if silent is None else timedelta(minutes=silent),
    )
