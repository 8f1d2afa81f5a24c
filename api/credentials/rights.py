"""What each login may say and hear, and the access file of Mosquitto that says so.

Rights come from the codecs: what the service reads, devices may say, and nothing more. Topics
are spelled out wherever they can be: a stolen password must not be able to fill the broker's
memory with retained messages under names that it makes up.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from api.credentials.logins import (
    BASE,
    NATIVE,
    SERVICE,
    SIMULATOR,
    TASMOTA,
    Login,
)
from ingest.broker_drops import DROPPED
from ingest.codecs import all_codecs
from ingest.codecs import tasmota as plugs
from ingest.codecs.native import ROOT
from ingest.drills import ALL_TOPICS as DRILLS

SAID = ("telemetry", "event", "status", "reply")
"""The branches of the native format on which a device speaks."""
COMMAND = "command"
ANSWER, ANSWERED = "answer", "answered"
"""On the one a device says that somebody has seen an alert, on the other it hears what became
of that (api/mqtt_answers.py)."""
ANSWERS = "/".join((*ROOT, "+", "+", "+", ANSWER))
RELAYS = 32
"""As many as Tasmota can have."""
FRIENDLY_LEVELS = 8
"""Zigbee2MQTT's names may hold slashes; to deeper ones no order is sent."""

HEAD = """\
# Who may say and hear what. Made by `./chargewatch devices`, from logins.json: a change made
# here by hand is lost with the next command.
"""
PATTERNS_HEAD = """\

# A native device is called like its topics, area/site/device, and speaks for itself alone.
"""


class Right(msgspec.Struct, frozen=True):
    access: Literal["read", "write", "deny"]
    topic: str


def access_file(logins: Iterable[Login]) -> str:
    """Return the text of the access file for these logins; a revoked one has no rights."""
    active = [each for each in logins if each.revoked_at is None]
    named = sorted(
        (each for each in active if each.dialect != NATIVE), key=lambda each: each.username
    )
    parts = [HEAD]
    for login in named:
        lines = "".join(f"topic {each.access} {each.topic}\n" for each in rights_of(login))
        parts.append(f"\nuser {login.username}\n{lines}")
    patterns = (f"pattern {each.access} {each.topic}\n" for each in _native_rights("%u"))
    return "".join((*parts, PATTERNS_HEAD, *patterns))


def rights_of(login: Login) -> tuple[Right, ...]:
    """Return what a login may do."""
    if login.username == SERVICE:
        return tuple(_service_rights())
    if login.username == SIMULATOR:
        return tuple(right for site in login.sites for right in _native_rights(f"{site}/+"))
    if login.dialect == NATIVE:
        return tuple(_native_rights(login.speaks_for))
    if login.dialect == TASMOTA:
        return tuple(_plug_rights(login.name))
    return tuple(_bridge_rights(login.speaks_for))


def _native_rights(device: str) -> Iterator[Right]:
    for branch in SAID:
        yield Right("write", "/".join((*ROOT, device, branch)))
    yield Right("read", "/".join((*ROOT, device, COMMAND)))
    yield Right("write", "/".join((*ROOT, device, ANSWER)))
    yield Right("read", "/".join((*ROOT, device, ANSWERED)))


def _plug_rights(plug: str) -> Iterator[Right]:
    commands, *spoken = plugs.Tasmota().prefixes
    for prefix in spoken:
        for branch in sorted(plugs.READ):
            yield Right("write", f"{prefix}/{plug}/{branch}")
    for relay in ("", *range(1, RELAYS + 1)):
        yield Right("write", f"{spoken[0]}/{plug}/POWER{relay}")
    yield Right("read", f"{commands}/{plug}/+")


def _bridge_rights(base: str) -> Iterator[Right]:
    """Let a bridge speak for all its devices, whose names it alone knows.

    What a bridge below the common base says of itself would look like a device: it is denied.
    """
    yield Right("write", f"{base}/#")
    yield Right("read", f"{base}/#")
    if base != BASE:
        yield Right("deny", f"{base}/bridge/#")


def _service_rights() -> Iterator[Right]:
    for topic in dict.fromkeys(each for codec in all_codecs() for each in codec.filters):
        yield Right("read", topic)
    yield Right("read", DROPPED)
    yield Right("read", ANSWERS)
    yield Right("write", "/".join((*ROOT, "+", "+", "+", ANSWERED)))
    yield Right("write", "/".join((*ROOT, "+", "+", "+", COMMAND)))
    yield Right("write", DRILLS)
    yield Right("write", f"{plugs.Tasmota().prefixes[0]}/+/+")
    for levels in range(1, FRIENDLY_LEVELS + 1):
        yield Right("write", "/".join((BASE, *["+"] * levels, "set")))
