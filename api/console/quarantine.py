"""The quarantine: what was refused, why, what to do about it, who sent it, what it was."""

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.console.login import ScopedPage, Viewing
from api.console.payload import Payload, payload_shown
from api.console.rendering import page
from api.http.access import Right
from api.http.context import WatchHere
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId, NumberInPath
from api.http.scope import Scoped
from api.http.sessions import Session
from ingest.codecs import all_codecs
from ingest.ledger import queries
from ingest.ledger.queries import QuarantineRow
from ingest.registry import Device
from ingest.wire import Refusal
from rules.schedule import Schedule

REFUSED_PER_PAGE = 30

quarantine = APIRouter()

MayService = Annotated[Session, Depends(Viewing(Right.SERVICE))]


class RefusedCard(msgspec.Struct, frozen=True, kw_only=True):
    """A refused message; `device` is who a codec takes for its sender, if it is known."""

    row: QuarantineRow
    payload: Payload
    device: Device | None


@quarantine.get("/quarantine")
async def show(
    request: Request,
    session: MayService,
    scoped: ScopedPage,
    reason: Refusal | None = None,
    before_id: BeforeId | None = None,
) -> Response:
    """Show the messages that were refused, newest first."""
    watch, limit = scoped.watch, REFUSED_PER_PAGE + 1

    def ask(c: Connection) -> tuple[list[QuarantineRow], dict[str, int]]:
        rows = queries.find_refused(c, reason=reason, before_id=before_id, limit=limit)
        return rows, queries.tallies(c)

    found, tallies = await watch.ledger.read(ask)
    counts = {each: tallies.get(f"refused:{each}", 0) for each in Refusal}
    shown = found[:REFUSED_PER_PAGE]
    return await asyncio.to_thread(
        page,
        request,
        "quarantine.html",
        here="quarantine",
        session=session,
        now=watch.now(),
        refused=[_card(scoped, row) for row in shown],
        older=shown[-1].id if len(found) > REFUSED_PER_PAGE else None,
        reason=reason,
        counts={each: count for each, count in counts.items() if count or each == reason},
        zone=Schedule.nightly().zone,
    )


@quarantine.get("/quarantine/{number}/payload")
async def payload(_session: MayService, watch: WatchHere, number: NumberInPath) -> Response:
    """Return what was kept of a message, byte for byte, to be saved and not to be opened."""
    row = await watch.ledger.read(lambda c: queries.get_refused(c, number))
    if row is None:
        raise Trouble(404, "There is no such message in quarantine.")
    return Response(
        row.payload,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="quarantine-{row.id}.bin"'},
    )


def sender_of(scoped: Scoped, topic: str) -> Device | None:
    """Return the device of theirs that speaks on a topic; None: nobody knows of one."""
    registry = scoped.watch.registry
    for codec in all_codecs():
        name = codec.address(topic, registry.names(codec.name))
        if isinstance(name, str):
            found = registry.find(codec.name, name)
            return found if found is not None and scoped.caller.sees(found.site) else None
    return None


def _card(scoped: Scoped, row: QuarantineRow) -> RefusedCard:
    return RefusedCard(
        row=row,
        payload=payload_shown(row.payload, row.size),
        device=sender_of(scoped, row.topic),
    )
