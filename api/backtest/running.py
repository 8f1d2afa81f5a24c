"""A backtest from end to end: open, play, sum up. `api.cli` hands the options over."""

import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from api.backtest.past import messages_of, report_of
from api.backtest.places import Under, declare, enter, registry_of
from api.backtest.playing import Playing
from api.backtest.recording import Recording
from api.backtest.result import Lines, Result, result_of
from api.backtest.truth import Incident, read_truth
from api.histories import duckdb_file
from api.policy_file import read_policies
from ingest.duckdb_history import open_duckdb
from ingest.errors import ChargewatchError
from ingest.history import HistoryUnavailable, Row
from ingest.influx_history import open_influx
from ingest.influx_http import InfluxAddress
from ingest.ledger.store import opened
from ingest.registry import Registry

UNKNOWN_DEVICE = "unknown_device"
"""Why a message of the history is refused: its device was declared then, and is not now."""
TOLD_EVERY = 1_000
"""Messages between two looks at the progress bar."""

Tell = Callable[[float | None, datetime], None]
"""Is told how much is done (0 to 1; None: nobody knows) and what time it is played."""


class NoHistory(ChargewatchError):
    """There is nothing in the history for that time, or no history at all."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is held against what, besides the traffic itself."""

    policy: Path | None = None
    """The policy to try."""
    in_force: Path | None = None
    """The policy file in force; None: the built-in limits are."""
    sites: Path | None = None
    truth: Path | None = None

    def incidents(self) -> tuple[Incident, ...] | None:
        return None if self.truth is None else read_truth(self.truth)

    def playing(self, registry: Registry, at: datetime) -> Playing:
        if self.policy is None:
            return Playing(registry, (), at)
        return Playing(registry, (Under(read_policies(self.policy), registry),), at)


def on_recording(asked: Asked, path: Path, tell: Tell) -> Result:
    """Play a recording, from its first message to its last."""
    truth = asked.incidents()
    recording = Recording(path)
    messages = recording.messages()
    first = next(messages)
    at = first.received_at
    playing = asked.playing(registry_of(asked.sites, asked.in_force, at), at)
    started_s = time.perf_counter()
    with _sparing_the_collector():
        for count, message in enumerate(chain((first,), messages)):
            if not count % TOLD_EVERY:
                tell(recording.share_read(), playing.now)
            playing.hear(message)
    seconds = time.perf_counter() - started_s
    lines = Lines(read=recording.lines, bad=recording.bad_lines, bad_shown=recording.bad_shown)
    return result_of(playing, truth, lines, seconds)


async def on_history(  # noqa: PLR0913  (one of them is seldom given)
    asked: Asked,
    data_dir: Path,
    since: datetime,
    until: datetime,
    tell: Tell,
    *,
    influx: InfluxAddress | None = None,
) -> Result:
    """Play what arrived in [since, until), as far as the service's history keeps it.

    `influx` is where that is; None: in a file in `data_dir`.
    """
    truth = asked.incidents()
    if influx is None and not duckdb_file(data_dir).exists():
        raise NoHistory(f"{data_dir}: there is no history (CHARGEWATCH_DATA_DIR names it)")
    registry = await _registry(asked, data_dir, since)
    kept = (
        _of_file(duckdb_file(data_dir), since, until)
        if influx is None
        else _of_influx(influx, since, until)
    )
    playing: Playing | None = None
    started_s = time.perf_counter()
    with _sparing_the_collector():
        async for rows in kept:
            playing = playing or asked.playing(registry, rows[0].received_at)
            for message in messages_of(rows):
                _observe(playing, message)
            tell((playing.now - since) / (until - since), playing.now)
    if playing is None:
        raise NoHistory(f"{data_dir}: its history has nothing from {since} to {until}")
    return result_of(playing, truth, Lines(), time.perf_counter() - started_s)


async def _of_influx(
    address: InfluxAddress, since: datetime, until: datetime
) -> AsyncIterator[Sequence[Row]]:
    async with open_influx(address) as history:
        async for rows in history.replay(since, until):
            yield rows


async def _of_file(
    file: Path, since: datetime, until: datetime
) -> AsyncIterator[Sequence[Row]]:
    try:
        async with open_duckdb(file) as history:
            async for rows in history.replay(since, until):
                yield rows
    except HistoryUnavailable as error:
        hint = "if the service has it open, stop it, or work on a copy of its folder"
        raise HistoryUnavailable(f"{error}\n{hint}") from error


def _observe(playing: Playing, message: list[Row]) -> None:
    """Let a message of the history be judged, if anybody knows whose it is."""
    registry, first = playing.registry, message[0]
    if enter(registry, first.device, first.received_at):
        registry.learn(registry.devices[first.device], (row.reading for row in message))
        playing.observe(report_of(message, playing.sides[0].engine))
    else:
        playing.refuse(UNKNOWN_DEVICE)


async def _registry(asked: Asked, data_dir: Path, at: datetime) -> Registry:
    """Return what the service knows of its devices, sites file included."""
    if not (data_dir / "ledger.sqlite").exists():
        return registry_of(asked.sites, asked.in_force, at)
    async with opened(data_dir / "ledger.sqlite") as ledger:
        registry = ledger.registry()
    declare(registry, asked.sites, asked.in_force, at)
    return registry


@contextmanager
def progress(*, shown: bool) -> Iterator[Tell]:
    """Yield somebody to tell; if `shown`, it draws a bar on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("reading", total=None)

        def tell(share: float | None, now: datetime) -> None:
            total = None if share is None else 1.0
            words = f"{now:%Y-%m-%d %H:%M}"
            bar.update(task, completed=share or 0.0, total=total, description=words)

        yield tell


@contextmanager
def _sparing_the_collector() -> Iterator[None]:
    """Let the garbage collector look rarely: messages make no cycles."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
