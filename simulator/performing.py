"""Plays a village to a broker for somebody at a terminal: how its devices come, how it goes."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console

from ingest.clock import utc_now
from simulator.line import Broker, Return
from simulator.logins import LoginsUnreadable, read_logins
from simulator.open_files import TooFewFiles, allow
from simulator.player import Player
from simulator.publisher import Crowd, Publisher
from simulator.wire import Login

SOME = 3
"""Devices that are named where there may be thousands."""
TOLD_EVERY_S = 10.0
"""How often a line says how it goes."""


def crowd(  # noqa: PLR0913, PLR0917
    player: Player,
    where: Broker,
    each: bool,
    logins: Path | None,
    returns: Return,
    keep_alive_s: int,
) -> Crowd:
    """Return how the devices come to the broker; what cannot be is the caller's mistake."""
    if not each and logins is not None:
        raise typer.BadParameter("goes with --connections each", param_hint="--logins")
    known: Mapping[str, Login] = {}
    if each:
        speakers = player.last_wills(utc_now(), everybody=True)
        try:
            allow(len(speakers))
            known = known if logins is None else read_logins(logins)
        except TooFewFiles as error:
            raise typer.BadParameter(str(error), param_hint="--connections") from None
        except LoginsUnreadable as error:
            raise typer.BadParameter(str(error), param_hint="--logins") from None
        without = [name for name in speakers if name not in known]
        if logins is not None and where.login is None and without:
            some = ", ".join(without[:SOME]) + (", …" if len(without) > SOME else "")
            what = f"{logins} has no login for {len(without)} of {len(speakers)}: {some}"
            raise typer.BadParameter(what, param_hint="--logins")
    return Crowd(each=each, logins=known, returns=returns, keep_alive_s=keep_alive_s)


async def perform(publisher: Publisher, until: datetime, console: Console) -> None:
    """Play to the broker until the virtual moment `until`, and say now and then how it goes."""
    playing = asyncio.create_task(publisher.run(until))
    before, since_s = 0, time.monotonic()
    while not playing.done():
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(playing), TOLD_EVERY_S)
        if not playing.done():
            said, now_s = publisher.said, time.monotonic()
            rate = (said - before) / (now_s - since_s)
            before, since_s = said, now_s
            how = f"{publisher.connected} connected, {said} said, {rate:.0f} messages/s"
            console.print(how, highlight=False)
    await playing
    console.print(f"{publisher.said} messages said and acknowledged")
