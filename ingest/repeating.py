"""Doing something again and again: at news, after a while, and ever more rarely if it fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

GATHER = timedelta(seconds=1)
"""How long a little news waits for more: a transaction costs as much as 1000 readings."""
RETRY_FIRST, RETRY_MAX = timedelta(seconds=1), timedelta(seconds=30)

Jitter = Callable[[], float]
"""Numbers in [0, 1)."""


async def repeated(
    turn: Callable[[], Awaitable[bool]],
    wake: asyncio.Event,
    *,
    look_again: timedelta,
    jitter: Jitter = random.random,
) -> None:
    """Take turns until cancelled. `turn` says whether it went well; what it raises gets out.

    Whoever has news sets `wake`; without it the next turn comes after `look_again`. After one
    that failed comes a pause of 1 to 30 s, doubled each time, shortened by up to half.
    """
    pause = RETRY_FIRST
    while True:
        wake.clear()
        if not await turn():
            await asyncio.sleep(pause.total_seconds() * (1 - jitter() / 2))
            pause = min(pause * 2, RETRY_MAX)
            continue
        pause = RETRY_FIRST
        with suppress(TimeoutError):
            async with asyncio.timeout(look_again.total_seconds()):
                await wake.wait()
                await asyncio.sleep(GATHER.total_seconds())
