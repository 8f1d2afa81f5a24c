"""chargewatch's own format, version 1: `chargewatch/v1/{area}/{site}/{device}/…`.

`telemetry` carries all sockets of a pile at once, `event` one thing that just happened,
`status` is the retained birth and last will. JSON Schema in docs/schema/, made from the
types below. A device may number its messages (`boot`, `seq`); then a repetition is known
for certain, and nothing is counted twice.
"""

from collections.abc import Container
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from ingest import wire
from ingest.wire import Ignored, Message, Profile, Refusal, Rejected, Said, Switch, bad_name
from rules.readings import Channel, Measured, Reading, Text

ROOT = ("chargewatch", "v1")
LEVELS = 6

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
SocketCount = Annotated[int, msgspec.Meta(ge=0, le=256)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Readings = Annotated[tuple[Reading, ...], msgspec.Meta(max_length=257)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """The device's own time, RFC 3339 with offset."""
    boot: Text = ""
    """Changes at each start of the device; with `seq` it names the message for ever."""
    seq: Sequence | None = None
    device: Text | None = None
    """If given, must be the topic's own device."""
    buffered: bool = False
    """True for a message that was kept back while there was no connection."""


class Telemetry(_Body, frozen=True, kw_only=True):
    """What is measured now: a reading for each socket, one without `channel` for the rest."""

    readings: Readings


EventName = Literal[
    "smoke", "heat", "tamper", "fault", "self_test", "plugged", "unplugged", "overpower"
]


class Event(_Body, frozen=True, kw_only=True):
    """One thing that just happened; `active` false says that it is over."""

    event: EventName
    active: bool = True
    channel: Channel | None = None
    detail: Text = ""
    temperature_c: Measured | None = None


class Status(_Body, frozen=True, kw_only=True):
    """Birth (online) and last will (offline), retained."""

    online: bool
    model: Text = ""
    firmware: Text = ""
    sockets: SocketCount | None = None
    signal_pct: Percent | None = None


Order = Literal["switch_off", "switch_on", "self_test", "report_now"]
CommandId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device is told to do. `channel` is the socket to switch, from 1."""

    id: CommandId
    command: Order
    channel: Channel | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """From here on it is not to be carried out; for devices whose clock is right."""


class Reply(msgspec.Struct, frozen=True):
    """The command with this id was understood and carried out, or why not."""

    id: CommandId
    ok: bool
    detail: Text = ""


BODIES = {"telemetry": Telemetry, "event": Event, "status": Status}

BRANCHES = {**BODIES, "command": Command, "reply": Reply}
"""Every branch of a device's topics, and what is said there."""

_telemetry = msgspec.json.Decoder(Telemetry)
_event = msgspec.json.Decoder(Event)
_status = msgspec.json.Decoder(Status)
_reply = msgspec.json.Decoder(Reply)


class Native(msgspec.Struct, frozen=True):
    name: str = "native"
    names_matter: bool = False
    filters: tuple[str, ...] = (
        "chargewatch/v1/+/+/+/telemetry",
        "chargewatch/v1/+/+/+/event",
        "chargewatch/v1/+/+/+/status",
        "chargewatch/v1/+/+/+/reply",
    )
    urgent_filters: tuple[str, ...] = (
        "chargewatch/v1/+/+/+/event",
        "chargewatch/v1/+/+/+/reply",
    )

    def address(self, topic: str, known: Container[str]) -> str | Rejected | Ignored | None:  # noqa: ARG002
        if not topic.startswith("chargewatch/v1/"):
            return None
        levels = topic.split("/")
        if len(levels) != LEVELS:
            return Rejected(Refusal.UNKNOWN_TOPIC, "not chargewatch/v1/area/site/device/what")
        for name in levels[2:5]:
            if wrong := bad_name(name):
                return Rejected(Refusal.BAD_NAME, wrong)
        if levels[5] == "command":
            return Ignored("a command")
        if levels[5] not in BRANCHES:
            return Rejected(Refusal.UNKNOWN_TOPIC, f"no such branch: {levels[5]!r}")
        return "/".join(levels[2:5])

    def decode(
        self,
        message: Message,
        name: str,
        profile: Profile,  # noqa: ARG002
    ) -> Said | Rejected | Ignored:
        if not message.payload:
            return Ignored("a retained message was deleted")
        branch = message.topic[message.topic.rindex("/") + 1 :]
        try:
            match branch:
                case "telemetry":
                    telemetry = _telemetry.decode(message.payload)
                    return _said(telemetry, name, telemetry.readings)
                case "event":
                    event = _event.decode(message.payload)
                    return _said(event, name, (happened(event),))
                case "reply":
                    reply = _reply.decode(message.payload)
                    return Said((), reply=wire.Reply(reply.id, reply.ok, reply.detail))
                case _:
                    status = _status.decode(message.payload)
                    return _said(status, name, (present(status),), presence=True)
        except msgspec.ValidationError as error:
            return Rejected(Refusal.WRONG_TYPE, str(error))
        except msgspec.DecodeError as error:
            return Rejected(Refusal.NOT_JSON, str(error))
        except UnicodeDecodeError as error:
            return Rejected(Refusal.NOT_UTF8, str(error))
        except RecursionError:
            return Rejected(Refusal.TOO_DEEP)

    def command(self, name: str, switch: Switch) -> tuple[str, bytes] | None:
        """Return the order; a device that is one single socket has it as its first."""
        body = Command(
            switch.id,
            "switch_on" if switch.on else "switch_off",
            switch.channel or 1,
            switch.expires_at,
        )
        return "/".join((*ROOT, name, "command")), msgspec.json.encode(body)


def _said(
    body: _Body, name: str, readings: tuple[Reading, ...], *, presence: bool = False
) -> Said | Rejected:
    if body.device is not None and body.device != name.rpartition("/")[2]:
        return Rejected(Refusal.NOT_ITS_OWN, f"speaks for {body.device!r}")
    return Said(readings, body.at, numbered(body), body.buffered, presence)


def numbered(body: _Body) -> str | None:
    """Return the message's identity, if its device numbers its messages.

    The time is part of it, for a device that begins at 0 again without a new `boot`.
    """
    if body.seq is None or not (body.boot or body.at):
        return None
    return f"{body.boot}/{body.seq}/{body.at.timestamp() if body.at else ''}"


def present(status: Status) -> Reading:
    """Return the reading that a birth or a last will amounts to."""
    return Reading(
        online=status.online,
        firmware=status.firmware or None,
        signal_pct=status.signal_pct,
    )


def happened(event: Event) -> Reading:
    """Return the reading that an event amounts to."""
    channel, active, temperature_c = event.channel, event.active, event.temperature_c
    match event.event:
        case "smoke":
            return Reading(
                channel=channel, smoke_alarm=active, ambient_temperature_c=temperature_c
            )
        case "heat":
            return Reading(
                channel=channel, overtemperature=active, device_temperature_c=temperature_c
            )
        case "tamper":
            return Reading(channel=channel, tamper=active)
        case "self_test":
            return Reading(channel=channel, self_test=active)
        case "overpower":
            return Reading(channel=channel, overpower=active)
        case "fault":
            return Reading(channel=channel, fault=(event.detail or "fault") if active else "")
        case "plugged" | "unplugged":
            plugged = (event.event == "plugged") is active
            return Reading(channel=channel, port_state="plugged" if plugged else "unplugged")
