"""Server-sent events: tells an open page that it is out of date, and what about."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from api.console.login import Visitor
from api.http.access import Caller
from api.http.context import Context, context_of
from api.http.problems import Trouble
from api.watch import Change, Changes

HEARTBEAT_S = 15.0
"""Shorter than the half minute after which proxies think that a connection is dead."""
PAUSE_S = 0.5
STREAMS_MAX = 200
STREAMS_MAX_EACH = 4
"""Of one session. Without HTTP/2 a browser has six connections: some must be left for pages."""
RETRY_MS = 3_000

events = APIRouter()


class Event(msgspec.Struct, frozen=True):
    """What changed: `site` is null if it was several."""

    site: str | None
    alerts: bool


@events.get("/events")
async def stream(
    request: Request,
    session: Visitor,
    seen: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> StreamingResponse:
    """Send `change` events until the page or its session is gone.

    `seen` is the number of the last change that the page has in it: what came after is told
    at once, and so is whatever a stream missed that was cut off.
    """
    context = context_of(request)
    if context.watch.changes.listeners() >= STREAMS_MAX:
        raise Trouble(503, "Too many pages are open.", headers={"Retry-After": "30"})
    if context.watch.changes.listeners(session.id) >= STREAMS_MAX_EACH:
        raise Trouble(
            429, "Too many pages of this session are open.", headers={"Retry-After": "30"}
        )
    return StreamingResponse(
        changes(context, session.id, seen),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def changes(
    context: Context, session: str, seen: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield at most two events a second, and a comment where there is nothing to tell."""
    with context.watch.changes.listening(session) as queue:
        missed = missed_since(context.watch.changes, seen)
        yield f"retry: {RETRY_MS}\n\n".encode()
        while True:
            waiting, missed = missed, []
            try:
                if not waiting:
                    waiting = [await asyncio.wait_for(queue.get(), HEARTBEAT_S)]
                waiting = [*waiting, *drained(queue)]
            except TimeoutError:
                pass
            known = await context.sessions.find(session)
            if known is None:
                return
            if not waiting:
                yield b": all is quiet\n\n"
            elif event := merged(waiting, known.caller):
                yield event_of(event)
                await asyncio.sleep(PAUSE_S)


def missed_since(told: Changes, seen: int | None) -> list[Change]:
    """Return what a page does not know that was made after change number `seen`."""
    if seen is None:
        return []
    missed = told.since(seen)
    return [Change("", alerts=True)] if missed is None else list(missed)


def drained(queue: asyncio.Queue[Change]) -> list[Change]:
    """Return all that waits."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


def merged(waiting: Sequence[Change], caller: Caller) -> Event | None:
    """Return what of it is theirs, as one event; None: nothing.

    What is at no site is told without saying more: the page finds out whether it is theirs.
    """
    own = [change for change in waiting if not change.site or caller.sees(change.site)]
    if not own:
        return None
    [site, *others] = {change.site for change in own}
    return Event(
        site=(site or None) if not others else None,
        alerts=any(change.alerts for change in own),
    )


def event_of(event: Event) -> bytes:
    return b"event: change\ndata: " + msgspec.json.encode(event) + b"\n\n"
