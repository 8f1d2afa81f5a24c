"""The live view: `python -m simulator.watch quiet-month --broker mqtt://… --api http://…`.

The village runs here; the service under test runs wherever it runs, and is asked over HTTP
what it makes of it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import structlog
import typer
from rich.console import Console
from rich.live import Live

from ingest.clock import utc_now
from simulator.__main__ import (
    SCENARIOS,
    CaFile,
    Password,
    PasswordFile,
    PolicyFile,
    Seed,
    SitesFile,
    Size,
    Url,
    Username,
    address,
    chosen,
)
from simulator.answers import Answers
from simulator.keys import keyboard
from simulator.meddling import CHOICES, Choice, MeddledPlayer
from simulator.publisher import Broker, Publisher
from simulator.view_words import Words
from simulator.village import POLICY_TOML, Village
from simulator.village import sites_toml as register
from simulator.watching import Scene, picture

DRAWN_EVERY_S = 0.5
ASKED_EVERY_S = 1.0
LEAVES_WITHIN_S = 3.0
NOT_A_TERMINAL = 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(  # noqa: PLR0913  (a command line is as wide as its options)
    scenario: Annotated[str, typer.Argument(help="Which one; see simulate --list.")] = (
        "quiet-month"
    ),
    *,
    broker: Url = "mqtt://127.0.0.1:1883",
    username: Username = None,
    password: Password = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    api: Annotated[
        str, typer.Option(metavar="URL", help="The service that is tested; it is only read.")
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(help="Holds a token that may read; else CHARGEWATCH_TOKEN is it."),
    ] = None,
    seed: Seed = 7,
    sites: Annotated[int, typer.Option(min=1, max=999, help="Of quiet-month.")] = 6,
    language: Annotated[Literal["zh", "en"], typer.Option()] = "zh",
    sites_toml: SitesFile = None,
    policy_toml: PolicyFile = None,
) -> None:
    """Watch a village live, do something to it by a key, and see whether the alarm comes.

    It plays in real time, from this moment on. --sites-toml alone writes the register that the
    service needs, and ends.
    """
    village = village_now(scenario, seed, sites)
    if sites_toml is not None:
        sites_toml.write_text(register(village), encoding="utf-8")
    if policy_toml is not None:
        policy_toml.write_text(POLICY_TOML, encoding="utf-8")
    if sites_toml is not None or policy_toml is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo("the live view needs a terminal: use `simulate` instead", err=True)
        raise typer.Exit(NOT_A_TERMINAL)
    if password_file:
        password = password_file.read_text(encoding="utf-8").strip()
    token = os.environ.get("CHARGEWATCH_TOKEN", "")
    if token_file is not None:
        token = token_file.read_text(encoding="utf-8").strip()
    where = address(broker, username, password, ca_file)
    structlog.configure(  # what it would print, the picture shows
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )
    asyncio.run(watch(village, where, api, token, Words(language)))


def village_now(scenario: str, seed: int, sites: int) -> Village:
    """Return the village of today."""
    today = utc_now().astimezone(ZoneInfo("Asia/Shanghai")).date()
    village = chosen(scenario)(seed, today, Size(days=2, sites=sites))
    now = utc_now()
    if not village.starts <= now < village.ends:
        raise typer.BadParameter(
            f"{scenario} plays from {village.starts:%H:%M} to {village.ends:%H:%M} UTC; what"
            f" plays now is one of {', '.join(SCENARIOS)}"
        )
    return village


async def watch(village: Village, where: Broker, url: str, token: str, say: Words) -> None:
    """Run village, questions and picture until somebody presses q."""
    player = MeddledPlayer(village.devices())
    begins = utc_now()
    for _ in player.play(begins):
        """Nobody hears what is past."""
    player.said = 0
    publisher = Publisher(player, where, utc_now, 1.0)
    answers = Answers(url, token)
    scene = Scene(player, answers, url, ZoneInfo(village.zone), say)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console = Console()
    with (
        keyboard(sys.stdin.fileno()) as pressed,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):

        def draw() -> None:
            shown = picture(scene, utc_now(), publisher.connected, console.height)
            live.update(shown, refresh=True)

        tasks = [
            asyncio.create_task(publisher.run(village.ends)),
            asyncio.create_task(_ask(answers, player)),
            asyncio.create_task(_obey_keys(pressed, scene, publisher, stop, draw)),
            asyncio.create_task(_draw(draw)),
            asyncio.create_task(stop.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _put_right(scene, publisher)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await answers.close()
    for task in done:
        task.result()  # a mistake of ours is loud, after the terminal is as it was


async def _draw(draw: Callable[[], None]) -> None:
    while True:
        draw()
        await asyncio.sleep(DRAWN_EVERY_S)


async def _ask(answers: Answers, player: MeddledPlayer) -> None:
    while True:
        await answers.ask(player.deeds)
        await asyncio.sleep(ASKED_EVERY_S)


async def _obey_keys(
    pressed: "asyncio.Queue[str]",
    scene: Scene,
    publisher: Publisher,
    stop: asyncio.Event,
    draw: Callable[[], None],
) -> None:
    choices = {each.key: each for each in CHOICES}
    while True:
        key = await pressed.get()
        scene.notice = ""
        if key == "q":
            stop.set()
            return
        if key in choices:
            _do(choices[key], scene, publisher)
        elif key in {"e", "x"}:
            _end(scene, publisher, everything=key == "x")
        else:
            scene.move(key)
        await asyncio.sleep(0)
        draw()


async def _put_right(scene: Scene, publisher: Publisher) -> None:
    """End all that was done, so that the next who watches finds the village well."""
    _end(scene, publisher, everything=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVES_WITHIN_S):
            while any(scene.player.open_deeds()):  # noqa: ASYNC110  (it has no event)
                await asyncio.sleep(DRAWN_EVERY_S / 10)
            await publisher.emptied()


def _do(choice: Choice, scene: Scene, publisher: Publisher) -> None:
    device, channel, player = scene.whom(choice), scene.channel, scene.player
    if device is None:
        scene.notice = scene.say("nobody")
        return
    if player.is_tired:
        scene.notice = scene.say("full")
        return
    publisher.soon(partial(player.do, choice, device, channel))


def _end(scene: Scene, publisher: Publisher, *, everything: bool) -> None:
    for deed in list(reversed(list(scene.player.open_deeds())))[: None if everything else 1]:
        publisher.soon(partial(scene.player.end, deed))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        app(prog_name="chargewatch village")
