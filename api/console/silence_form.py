"""The form of a new silence: what was typed, read on the site's clock, with every mistake."""

from collections.abc import Collection, Mapping
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from api.console.local_time import Misread, moment_typed, next_day_at
from rules.silences import ALWAYS_HEARD, LONGEST, Silence, SilenceKind

MORNING = time(8)
CHANNEL_MAX = 256
CHANNEL_MARK = "#"
"""Between device and socket; no topic, so no device's name, may hold it."""


class Until(StrEnum):
    """When it ends; its words are `ui.silence.until.{until}`."""

    HALF_HOUR = "half_hour"
    TWO_HOURS = "two_hours"
    MORNING = "morning"
    AT = "at"
    """At the time that was typed."""


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What the form holds, as text; it is shown again if it cannot be used."""

    site: str
    where: str = ""
    """Empty: the whole site; else a device, or a device and a socket."""
    rule: str = ""
    kind: str = SilenceKind.SILENCE
    owner: str = ""
    reason: str = ""
    starts: str = ""
    """Empty: now."""
    until: str = Until.HALF_HOUR
    ends: str = ""


class Mistakes(msgspec.Struct, frozen=True):
    """What is wrong: keys of the catalogue, by field."""

    fields: Mapping[str, str]


def place_typed(where: str, devices: Collection[str]) -> tuple[str, int | None] | None:
    """Return device and socket of a choice; None: it is none of that site's."""
    if not where or where in devices:
        return where, None
    device, _, channel = where.rpartition(CHANNEL_MARK)
    if device not in devices or not (channel.isascii() and channel.isdecimal()):
        return None
    number = int(channel[:4])
    return (device, number) if 1 <= number <= CHANNEL_MAX else None


def where_typed(device: str, channel: int | None) -> str:
    """Return a place as the form chooses it."""
    return device if channel is None or not device else f"{device}{CHANNEL_MARK}{channel}"


def end_of(until: Until, starts: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when one of the usual silences ends; None: that is typed."""
    match until:
        case Until.HALF_HOUR:
            return starts + timedelta(minutes=30)
        case Until.TWO_HOURS:
            return starts + timedelta(hours=2)
        case Until.MORNING:
            return next_day_at(MORNING, starts, zone)
        case Until.AT:
            return None


def silence_typed(
    typed: Typed, devices: Collection[str], now: datetime, zone: ZoneInfo
) -> Silence | Mistakes:
    """Return what is wanted, or all that is wrong with it."""
    wrong: dict[str, str] = {}
    place = place_typed(typed.where, devices)
    if place is None:
        wrong["where"] = "ui.silence.wrong.where"
    device, channel = place or ("", None)
    kind = SilenceKind.MAINTENANCE if typed.kind == "maintenance" else SilenceKind.SILENCE
    for name in ("owner", "reason"):
        if not getattr(typed, name).strip():
            wrong[name] = f"ui.silence.wrong.{name}"
    if typed.rule in ALWAYS_HEARD and not (device and kind is SilenceKind.MAINTENANCE):
        wrong["rule"] = "ui.silence.wrong.rule"
    starts = _starts(typed, now, zone, wrong)
    ends = _ends(typed, starts, zone, wrong)
    if "ends" not in wrong and "starts" not in wrong:
        if ends <= max(starts, now):
            wrong["ends"] = "ui.silence.wrong.ends"
        elif ends > starts + LONGEST:
            wrong["ends"] = "ui.silence.wrong.long"
    if wrong:
        return Mistakes(wrong)
    return Silence(
        id="",
        kind=kind,
        owner=typed.owner.strip(),
        reason=typed.reason.strip(),
        starts=starts,
        ends=ends,
        site="" if device else typed.site,
        device=device,
        channel=channel,
        rule=typed.rule,
    )


def _starts(typed: Typed, now: datetime, zone: ZoneInfo, wrong: dict[str, str]) -> datetime:
    if not typed.starts:
        return now
    moment = moment_typed(typed.starts, zone)
    if isinstance(moment, Misread):
        wrong["starts"] = f"ui.time.{moment}"
        return now
    return max(moment, now)


def _ends(typed: Typed, starts: datetime, zone: ZoneInfo, wrong: dict[str, str]) -> datetime:
    until = Until(typed.until) if typed.until in set(Until) else Until.AT
    if (ends := end_of(until, starts, zone)) is not None:
        return ends
    moment = moment_typed(typed.ends, zone)
    if isinstance(moment, Misread):
        wrong["ends"] = f"ui.time.{moment}"
        return starts
    return moment
