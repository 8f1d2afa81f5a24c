"""A sites file that fits an anonymous tape: the same devices and hours, under its pseudonyms.

Names and places are left out, and so is whatever else somebody wrote; the hours of a site,
and how many sockets a device has, are what the rules need.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from api.sites import SitesFileWrong
from api.sites_file import DevicePart, SitePart, SitesFile
from api.tape.pseudonyms import Pseudonyms

DIALECT_KINDS = {"tasmota": "plug", "zigbee2mqtt": "device"}
"""What `api.tape.anonymising` calls a device of a dialect."""


def anonymous_sites(file: Path, key: bytes) -> str:
    """Return the text of the new file; raises SitesFileWrong if the old one is none."""
    try:
        declared = msgspec.toml.decode(file.read_bytes(), type=SitesFile)
    except OSError as error:
        raise SitesFileWrong(f"{file}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SitesFileWrong(f"{file}: {error}") from error
    return "\n".join(_text(declared, Pseudonyms(key))) + "\n"


def _text(declared: SitesFile, names: Pseudonyms) -> Iterator[str]:
    yield "# Made by ./chargewatch anonymise."
    for area in declared.areas:
        hidden = names.of("area", area)
        yield f"\n[areas.{hidden}]\nname = {_name(hidden)}"
    for site, part in declared.sites.items():
        yield from _site(site, part, names)
    for device in declared.devices:
        yield from _device(device, names)


def _site(site: str, part: SitePart, names: Pseudonyms) -> Iterator[str]:
    area, _, slug = site.partition("/")
    hidden = names.device(area, slug, "")
    yield f'\n[sites."{hidden[0]}/{hidden[1]}"]\nname = {_name(hidden[1])}'
    yield f"zone = {_quoted(part.zone)}\nclosed = {json.dumps(list(part.closed))}"
    if part.calendar is not None:
        yield f"calendar = {_quoted(part.calendar)}"
    for key, days in (
        ("extra_holidays", part.extra_holidays),
        ("extra_workdays", part.extra_workdays),
    ):
        if days:
            yield f"{key} = [{', '.join(map(str, days))}]"
    if part.carrier:
        yield f"carrier = {_quoted(names.of('carrier', part.carrier))}"
    for each in part.exceptions:
        yield f'[[sites."{hidden[0]}/{hidden[1]}".exceptions]]'
        yield f"from = {each.first}\nto = {each.last}\nclosed = {json.dumps(list(each.closed))}"


def _device(device: DevicePart, names: Pseudonyms) -> Iterator[str]:
    area, site, own = (*device.id.split("/", 2), "", "")[:3]
    yield f'\n[[devices]]\nid = "{"/".join(names.device(area, site, own))}"'
    yield f"kind = {_quoted(device.kind)}\nsockets = {device.sockets}"
    if device.dialect != "native":
        called = device.name or device.id.rpartition("/")[2]
        kind = DIALECT_KINDS.get(device.dialect, "device")
        yield f"dialect = {_quoted(device.dialect)}\nname = {_quoted(names.of(kind, called))}"
    if device.silent_after_min is not None:
        yield f"silent_after_min = {device.silent_after_min}"


def _name(hidden: str) -> str:
    return f'{{zh = "{hidden}", en = "{hidden}"}}'


def _quoted(text: str) -> str:
    return json.dumps(text)
