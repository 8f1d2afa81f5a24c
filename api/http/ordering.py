"""What a request wants done to the engine, which belongs to the pipeline."""

import asyncio

from api.http.problems import RETRY_AFTER_S, Trouble
from api.watch import Watch
from ingest.intake import Order

KEPT_WITHIN_S = 10.0
"""A ledger that takes longer than this is not well."""


async def ordered(watch: Watch, order: Order) -> None:
    """Have `order` carried out; return when it is on the disk, or refuse with 503.

    It is carried out all the same, as soon as the ledger can be written again.
    """
    try:
        async with asyncio.timeout(KEPT_WITHIN_S):
            await watch.order(order)
    except TimeoutError:
        detail = "It will be done, but is not written down yet: the ledger does not answer."
        raise Trouble(503, detail, headers={"Retry-After": RETRY_AFTER_S}) from None
