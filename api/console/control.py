"""One socket as somebody sees it who may have to switch it off: its state, latch, commands."""

from datetime import datetime

import msgspec

from api.http.live import device_of
from api.http.scope import Scoped
from api.http.shapes.places import Device as Live
from api.http.shapes.places import Socket
from ingest.codecs import all_codecs
from ingest.ledger import commanding
from ingest.ledger.commanding import CommandFilter
from ingest.registry import Device
from ingest.wire import Switch
from rules.cutting import Command
from rules.latch import Latch
from rules.readings import DeviceId, Kind

COMMANDS_MAX = 3


class Control(msgspec.Struct, frozen=True, kw_only=True):
    device: DeviceId
    channel: int | None
    socket: Socket | None
    """None: nobody knows this socket."""
    latch: Latch | None
    commands: list[Command]
    """The newest first."""
    can_be_cut: bool
    """Whether the device's dialect has a word for it."""


async def control_of(scoped: Scoped, entry: Device, channel: int | None) -> Control:
    """Return how a socket of theirs stands, with its last commands."""
    watch = scoped.watch
    wanted = CommandFilter(device=entry.id, channel=channel)
    commands = await watch.ledger.read(
        lambda c: commanding.find_commands(c, wanted, COMMANDS_MAX)
    )
    state = watch.engine.device(entry.id)
    part = None
    if state is not None:
        part = state.whole if channel is None else state.sockets.get(channel)
    return Control(
        device=entry.id,
        channel=channel,
        socket=socket_of(device_of(watch, entry), channel),
        latch=part.cut.latch if part is not None and part.cut is not None else None,
        commands=commands,
        can_be_cut=can_be_cut(entry, channel, watch.now()),
    )


def socket_of(live: Live, channel: int | None) -> Socket | None:
    return next((each for each in live.sockets if each.channel == channel), None)


def can_be_cut(entry: Device, channel: int | None, now: datetime) -> bool:
    """Say whether a socket can be switched off by a word of its device's dialect."""
    codec = {each.name: each for each in all_codecs()}.get(entry.dialect)
    if entry.kind is not Kind.CHARGER or codec is None:
        return False
    switch = Switch(
        id="", on=False, channel=channel, sockets=len(entry.sockets), expires_at=now
    )
    return codec.command(entry.name, switch) is not None
