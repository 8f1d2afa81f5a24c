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
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
import structlog
import typer
from rich.console import Console
from rich.live import Live

from ingest.clock import utc_now
from simulator.__main__ import (
    CaFile,
    Password,
    PasswordFile,
    Seed,
    SitesFile,
    Url,
    Username,
    address,
    chosen,
    first_day,
    made,
)
from simulator.answers import Answers
from simulator.choosing import Scene
from simulator.emissions import Emission
from simulator.faults.fault import Fault
from simulator.keys import keyboard
from simulator.meddling import CHOICES, MeddledPlayer
from simulator.publisher import Broker, Publisher
from simulator.scene import Subject
from simulator.truth import Incident
from simulator.view_words import Words
from simulator.village import Village, policy_toml
from simulator.village import sites_toml as register
from simulator.watching import picture
from simulator.words import DAY, length

ALWAYS = "quiet-month"
BEAT_S = 30
DAYS = 2
"""So much of a long scenario is laid down: nobody watches longer."""
FAULT_KEYS = {each.key: each.fault for each in CHOICES}
DRAWN_EVERY_S = 0.5
ASKED_EVERY_S = 1.0
LEAVES_WITHIN_S = 6.0
SAYS_SO_AFTER_S = 2.0
"""By then a device whose trouble is over has said how things are."""
NOT_A_TERMINAL = 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(  # noqa: PLR0913  (a command line is as wide as its options)
    scenario: Annotated[str, typer.Argument(help="Which one; see simulate --list.")] = ALWAYS,
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
    seed: Seed = None,
    sites: Annotated[
        int, typer.Option(min=1, max=999, help="How many, at most, if the scenario makes them.")
    ] = 6,
    beat: Annotated[
        int,
        typer.Option(min=0, max=3600, help="Seconds between a pile's reports; 0: its own."),
    ] = BEAT_S,
    language: Annotated[Literal["zh", "en"], typer.Option()] = "zh",
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Write what was true meanwhile at the end, for `score` (JSON lines)."
        ),
    ] = None,
    sites_toml: SitesFile = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy-toml", help="Write the limits that it has agreed on."),
    ] = None,
) -> None:
    """Watch a village live, do something to it by a key, and see whether the alarm comes.

    It plays in real time, from this moment on. --sites-toml alone writes the register that the
    service needs, and ends.
    """
    village = quicker(village_now(scenario, seed, sites), beat)
    if sites_toml is not None:
        sites_toml.write_text(register(village), encoding="utf-8")
    if policy is not None:
        policy.write_text(policy_toml(village), encoding="utf-8")
    if sites_toml is not None or policy is not None:
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
    true = asyncio.run(watch(village, where, api, token, Words(language)))
    if truth is not None:
        truth.write_bytes(msgspec.json.Encoder().encode_lines(true))


def village_now(named: str, seed: int | None, sites: int) -> Village:
    """Return a scenario as it plays now: of today, or, if that has not begun, of yesterday."""
    scenario, name = chosen(named)
    now = utc_now()
    today = first_day(scenario, now, live=True)
    days = DAYS if length(scenario.lasts) > DAYS * DAY else None
    some = sites if sum(part.count for part in scenario.places) > sites else None
    villages = [made(name, scenario, day, seed, days, some) for day in (today, today - DAY)]
    for village in villages:
        if village.starts <= now < village.ends:
            return village
    zone, tonight = ZoneInfo(scenario.zone), villages[0]
    begins, ends = (each.astimezone(zone) for each in (tonight.starts, tonight.ends))
    raise typer.BadParameter(
        f"{name} plays from {begins:%H:%M} to {ends:%H:%M} on the clock of {scenario.zone};"
        f" {ALWAYS} plays at any time",
        param_hint="SCENARIO",
    )


def quicker(village: Village, beat_s: int) -> Village:
    """Return the village with piles that report every so many seconds; 0: as it is.

    Real piles take minutes. A tester who waits for an overload wants to wait for the rule.
    """
    if not beat_s:
        return village
    beat = timedelta(seconds=beat_s)
    piles = tuple(msgspec.structs.replace(plan, beat=beat) for plan in village.piles)
    return msgspec.structs.replace(village, piles=piles)


async def watch(
    village: Village, where: Broker, url: str, token: str, say: Words
) -> list[Incident]:
    """Run village, questions and picture until somebody presses q; return what was true."""
    player = MeddledPlayer(village)
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
    return player.truth(begins, utc_now())


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
    while True:
        key = await pressed.get()
        scene.notice = ""
        if key == "q":
            stop.set()
            return
        if not scene.move(key):
            _heed(key, scene, publisher)
        await asyncio.sleep(0)
        draw()


def _heed(key: str, scene: Scene, publisher: Publisher) -> None:
    """Do what a key means that chooses nothing."""
    if scene.menu is not None:
        if key == "enter":
            _do(scene.faults[scene.menu], scene, publisher)
        scene.menu = None
    elif key in FAULT_KEYS:
        _do(FAULT_KEYS[key], scene, publisher)
    elif key in {"e", "x"}:
        _end(scene, publisher, everything=key == "x")
    elif key == "a":
        scene.menu = 0


async def _put_right(scene: Scene, publisher: Publisher) -> None:
    """End all that was done, so that the next who watches finds the village well."""
    if not any(scene.player.open_deeds()):
        return
    _end(scene, publisher, everything=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVES_WITHIN_S):
            while any(scene.player.open_deeds()):  # noqa: ASYNC110  (it has no event)
                await asyncio.sleep(DRAWN_EVERY_S / 10)
            await asyncio.sleep(SAYS_SO_AFTER_S)
            await publisher.emptied()


def _do(fault: Fault, scene: Scene, publisher: Publisher) -> None:
    subject, player, say = scene.whom(fault), scene.player, scene.say
    if subject is None:
        scene.notice = say("nobody")
    elif player.is_tired:
        scene.notice = say("full")
    else:
        publisher.soon(partial(_happen, scene, fault, subject))


def _happen(scene: Scene, fault: Fault, subject: Subject, now: datetime) -> list[Emission]:
    """Do it when its turn has come: what was ended by the key before is over by then."""
    if scene.player.is_taken(subject, now):
        scene.notice = scene.say("taken")
    return scene.player.do(fault, subject, now)


def _end(scene: Scene, publisher: Publisher, *, everything: bool) -> None:
    for deed in list(reversed(list(scene.player.open_deeds())))[: None if everything else 1]:
        publisher.soon(partial(scene.player.end, deed))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        app(prog_name="chargewatch village")
