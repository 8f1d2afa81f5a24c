"""Switching off for safety: orders, what became of them, and latches."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.http.access import Right
from api.http.context import Allowed, MayClearLatch, MayCut, ScopedHere
from api.http.problems import Trouble
from api.http.routes.inputs import Channel, Id, Limit, Moment, NameInPath
from api.http.scope import Scoped
from api.http.shapes.alerts import LogLine
from api.http.shapes.shape import NAME_CHARS_MAX
from api.http.shapes.switching import Command, CommandInFull, Commands, Latch, Latches
from api.watch import Watch
from ingest.ledger import commanding, queries
from ingest.ledger.commanding import CommandFilter
from ingest.ledger.commit import Commit
from ingest.registry import Device
from rules import cutting
from rules.cutting import CommandState
from rules.latch import Latch as InForce
from rules.readings import Kind

REASON_CHARS_MAX = 500

switching = APIRouter(tags=["switching"], dependencies=[Depends(Allowed(Right.SEE))])


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("a reason is needed, for those who come later")
    return text.strip()


Reason = Annotated[str, Field(max_length=REASON_CHARS_MAX), AfterValidator(_not_blank)]


class CutOrder(BaseModel):
    """`channel` is the socket, from 1; left out for a device that is one single socket."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "device": "xuhui/renmin-lu/pile-1",
                    "channel": 3,
                    "reason": "smells of burning",
                }
            ]
        },
    )

    device: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    channel: int | None = Field(None, ge=1, le=256)
    reason: Reason


class Clearing(BaseModel):
    """Why it is safe to charge there again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "bike removed, socket looked at"}]},
    )

    reason: Reason


@switching.post("/cut", status_code=202)
async def cut(scoped: ScopedHere, _caller: MayCut, wanted: CutOrder) -> Command:
    """Order a socket to be switched off, and latch it until a person clears it.

    The answer says that the order is kept; ask `/commands/{id}` what became of it. While
    one cut is on its way, the same is answered again.
    """
    return Command.of(await ordered(scoped, wanted))


@switching.get("/commands")
async def commands(  # noqa: PLR0913, PLR0917  (each is a filter)
    scoped: ScopedHere,
    device: Id | None = None,
    channel: Channel | None = None,
    state: CommandState | None = None,
    before: Moment | None = None,
    limit: Limit = 100,
) -> Commands:
    """List commands, newest first; with `before` those that were ordered earlier."""
    wanted = CommandFilter(
        device=device,
        channel=channel,
        state=state,
        before=before,
        areas=scoped.caller.within,
    )
    found = await scoped.watch.ledger.read(
        lambda c: commanding.find_commands(c, wanted, limit + 1)
    )
    page = found[:limit]
    return Commands(
        commands=[Command.of(each) for each in page],
        next_before=page[-1].ordered_at if len(found) > limit else None,
    )


@switching.get("/commands/{id}")
async def command(scoped: ScopedHere, id: NameInPath) -> CommandInFull:  # noqa: A002  (the API's word)
    """Return a command and everything that was written down about it."""
    found = await scoped.command(id)
    log = await scoped.watch.ledger.read(lambda c: queries.events_of(c, found.episode))
    return CommandInFull(command=Command.of(found), log=[LogLine.of(line) for line in log])


@switching.get("/latches")
async def latches(
    scoped: ScopedHere,
    *,
    device: Id | None = None,
    cleared: Annotated[bool, Query(description="True: those that were cleared.")] = False,
    limit: Limit = 100,
) -> Latches:
    """List the latches that are in force, or those that were cleared, newest first."""
    own = scoped.caller.within
    found = await scoped.watch.ledger.read(
        lambda c: commanding.find_latches(
            c, device=device, cleared=cleared, limit=limit, areas=own
        )
    )
    return Latches(latches=[Latch.of(each) for each in found])


@switching.post("/latches/{id}/clear")
async def clear(
    scoped: ScopedHere,
    _caller: MayClearLatch,
    id: NameInPath,  # noqa: A002
    said: Clearing,
) -> Latch:
    """Clear a latch: somebody has been there, and says why it is safe to charge again.

    The socket is ordered to be switched on.
    """
    return Latch.of(await latch_cleared(scoped, id, said))


async def ordered(scoped: Scoped, wanted: CutOrder) -> cutting.Command:
    """Order a socket of theirs to be cut, or refuse it with the reason."""
    watch, caller = scoped.watch, scoped.caller
    device = _charger(scoped, wanted.device)
    _check_socket(watch, device, wanted.channel)

    def order(batch: Commit) -> cutting.Command:
        batch.audited.append(
            caller.deed(
                "socket.cut",
                batch.now,
                about=_socket(device.id, wanted.channel),
                place=device.site,
                detail=wanted.reason,
            )
        )
        return watch.switching.cut(
            device.id, wanted.channel, who=caller.name, reason=wanted.reason, now=batch.now
        )

    return await watch.desk.ask(order)


async def latch_cleared(scoped: Scoped, number: str, said: Clearing) -> InForce:
    """Clear a latch of theirs, or refuse it with the reason."""
    watch, caller = scoped.watch, scoped.caller
    latch = await scoped.latch(number)

    def order(batch: Commit) -> InForce | None:
        cleared = watch.switching.clear(
            latch, who=caller.name, reason=said.reason, now=batch.now
        )
        if cleared is not None:
            batch.audited.append(
                caller.deed(
                    "latch.cleared",
                    batch.now,
                    about=_socket(latch.device, latch.channel),
                    place=latch.device,
                    detail=said.reason,
                )
            )
        return cleared

    cleared = await watch.desk.ask(order)
    if cleared is None:
        raise Trouble(409, "This latch has been cleared already.")
    return cleared


def _socket(device: str, channel: int | None) -> str:
    return device if channel is None else f"{device}#{channel}"


def _charger(scoped: Scoped, name: str) -> Device:
    device = scoped.device(name)
    if device.kind is not Kind.CHARGER:
        raise Trouble(422, "Only a charger can be switched off.")
    return device


def _check_socket(watch: Watch, device: Device, channel: int | None) -> None:
    state = watch.engine.device(device.id)
    sockets = device.sockets | (state.sockets.keys() if state else frozenset())
    if channel is None and sockets:
        raise Trouble(422, "Which socket? This device has several, or counts its only one.")
    if channel is not None and channel not in sockets:
        raise Trouble(422, f"There is no socket {channel}.")
