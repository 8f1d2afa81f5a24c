"""The quarantine: what was refused, and why."""

import asyncio
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.console.login import Viewing
from api.console.rendering import page
from api.http.access import Right
from api.http.context import WatchHere
from api.http.routes.inputs import BeforeId
from api.http.sessions import Session
from api.http.shapes.service import Refused
from ingest.ledger import queries
from ingest.wire import Refusal
from rules.schedule import Schedule

REFUSED_PER_PAGE = 30

pages = APIRouter()


@pages.get("/quarantine")
async def quarantine(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SERVICE))],
    watch: WatchHere,
    reason: Refusal | None = None,
    before_id: BeforeId | None = None,
) -> Response:
    """Show the messages that were refused."""
    limit = REFUSED_PER_PAGE + 1

    def ask(c: Connection) -> tuple[list[queries.QuarantineRow], dict[str, int]]:
        rows = queries.find_refused(c, reason=reason, before_id=before_id, limit=limit)
        return rows, queries.tallies(c)

    found, tallies = await watch.ledger.read(ask)
    counts = {each: tallies.get(f"refused:{each}", 0) for each in Refusal}
    shown = [Refused.of(row) for row in found[:REFUSED_PER_PAGE]]
    zone: ZoneInfo = Schedule.nightly().zone
    return await asyncio.to_thread(
        page,
        request,
        "quarantine.html",
        here="quarantine",
        session=session,
        now=watch.now(),
        refused=shown,
        older=shown[-1].id if len(found) > REFUSED_PER_PAGE else None,
        reason=reason,
        counts={each: count for each, count in counts.items() if count},
        zone=zone,
    )
