"""Doing a piece of work again and again, for a store that may be away for days.

Whoever has news sets `wake`; without it the work is done every `look_again`. While the store
is away it is tried again after pauses that grow, and the health says so.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from ingest.clock import Now
from ingest.errors import ChargewatchError
from ingest.history import HistoryUnavailable
from ingest.history_writer import HistoryHealth
from ingest.repeating import Jitter, repeated


async def followed(  # noqa: PLR0913  (the wiring names each of them)
    work: Callable[[], Awaitable[None]],
    wake: asyncio.Event,
    *,
    look_again: timedelta,
    now: Now,
    tell: Callable[[HistoryHealth], None],
    jitter: Jitter = random.random,
    passing: tuple[type[ChargewatchError], ...] = (HistoryUnavailable,),
) -> None:
    """Do `work` until cancelled; only errors that are not `passing` get out.

    `tell` is called whenever it becomes well or unwell, or is unwell for another reason.
    """
    told: HistoryHealth | None = None

    async def turn() -> bool:
        nonlocal told
        reason = ""
        try:
            await work()
        except passing as error:
            reason = str(error) or type(error).__name__
        if told is None or told.reason != reason:
            same = told is not None and told.ok is (not reason)
            since = told.since if told is not None and same else now()
            told = HistoryHealth(ok=not reason, since=since, reason=reason)
            tell(told)
        return not reason

    await repeated(turn, wake, look_again=look_again, jitter=jitter)
