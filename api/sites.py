"""The sites file: which areas, sites and devices there are, and when each site is closed.

One TOML file, written by the operator, read at start (docs/sites.md explains every key).
A mistake in it stops the start, with the key and what is allowed there: half a policy
would be worse than none.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import msgspec

from api.sites_file import DevicePart, SitePart, SitesFile
from api.sites_moved import moved_keys
from api.sites_schedule import ScheduleWrong, SiteCalendar, schedule_of, site_calendar
from ingest.errors import ChargewatchError
from ingest.registry import Area, Device, Site
from ingest.wire import bad_name
from rules.places import DRILL_AREA
from rules.readings import DeviceId
from rules.schedule import Schedule


class SitesFileWrong(ChargewatchError):
    """The sites file cannot be used; the message names the place and what is allowed."""


class Declared(msgspec.Struct, frozen=True):
    """What a sites file declares."""

    areas: tuple[Area, ...]
    sites: tuple[Site, ...]
    devices: tuple[Device, ...]
    calendars: tuple[SiteCalendar, ...] = ()
    """The calendars on which windows depend; `api.calendars` says when one ends."""


def read_sites(path: Path, dialects: Iterable[str], year: int) -> Declared:
    """Read and check a sites file; raises SitesFileWrong with the place and the reason."""
    try:
        return parsed(path.read_bytes(), frozenset(dialects), year)
    except OSError as error:
        raise SitesFileWrong(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SitesFileWrong(f"{path}: save it as UTF-8 ({error})") from error
    except (msgspec.DecodeError, SitesFileWrong) as error:
        raise SitesFileWrong(f"{path}: {error}") from error


def parsed(text: bytes, dialects: frozenset[str], year: int) -> Declared:
    """Check the text of a sites file and return what it declares; `year` is the present one."""
    try:
        file = msgspec.toml.decode(text, type=SitesFile)
    except msgspec.ValidationError:
        if moved := list(moved_keys(text)):
            raise SitesFileWrong("\n".join(moved)) from None
        raise
    for site in file.sites:
        area, slash, name = site.partition("/")
        if not slash or not name or "/" in name:
            raise SitesFileWrong(f'sites."{site}": a site is called "area/site"')
        if area not in file.areas:
            raise SitesFileWrong(f'sites."{site}": there is no area {area!r}')
    if DRILL_AREA in file.areas:
        raise SitesFileWrong(f"areas.{DRILL_AREA}: this name is reserved for drills")
    areas = tuple(Area(id=key, name=part.name) for key, part in file.areas.items())
    sites = tuple(
        Site(
            id=key,
            area=key.partition("/")[0],
            name=part.name,
            schedule=_schedule(key, part, year),
            carrier=part.carrier,
            location=part.location,
        )
        for key, part in file.sites.items()
    )
    devices = tuple(_device(part, file.sites, dialects) for part in file.devices)
    seen: set[str] = set()
    for device in devices:
        called = f"{device.dialect} {device.name}"
        if device.id in seen or called in seen:
            raise SitesFileWrong(f"devices: {device.id!r} ({called}) is there twice")
        seen |= {device.id, called}
    calendars = (site_calendar(key, part, year) for key, part in file.sites.items())
    return Declared(areas, sites, devices, tuple(each for each in calendars if each))


def _schedule(site: str, part: SitePart, year: int) -> Schedule:
    try:
        return schedule_of(part, year)
    except ScheduleWrong as error:
        raise SitesFileWrong(f'sites."{site}".{error}') from error


def _device(part: DevicePart, sites: Iterable[str], dialects: frozenset[str]) -> Device:
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
