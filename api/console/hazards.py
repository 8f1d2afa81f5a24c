"""What late data showed: breaches that were over when they were known, in words."""

import asyncio
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.console import views
from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.routes.inputs import BeforeId, Id
from api.http.scope import Scoped
from api.http.sessions import Session
from api.text import Texts, hazard_text
from api.text.explaining import place_name, zone_of
from ingest.ledger.hazards import HazardFilter, HazardRow, find_hazards
from rules.schedule import Schedule

HAZARDS_PER_PAGE = 30

hazards = APIRouter()


class HazardCard(msgspec.Struct, frozen=True, kw_only=True):
    """A hazard in the reader's words."""

    row: HazardRow
    rule: str
    where: str
    text: str
    zone: ZoneInfo


@hazards.get("/hazards")
async def show(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    site: Id | None = None,
    before_id: BeforeId | None = None,
) -> Response:
    """Show what was found (at a site), the last found first."""
    watch, say = scoped.watch, Texts.of(language_of(request))
    if site is not None:
        scoped.site(site)
    wanted = HazardFilter(site=site, before_id=before_id, areas=scoped.caller.within)
    found = await watch.ledger.read(lambda c: find_hazards(c, wanted, HAZARDS_PER_PAGE + 1))
    shown = found[:HAZARDS_PER_PAGE]
    return await asyncio.to_thread(
        page,
        request,
        "hazards.html",
        here="hazards",
        session=session,
        now=watch.now(),
        unwell=views.unwell(watch),
        hazards=[_card(scoped, row, say) for row in shown],
        older=shown[-1].id if len(found) > HAZARDS_PER_PAGE else None,
        site=site,
        zone=Schedule.nightly().zone,
    )


def _card(scoped: Scoped, row: HazardRow, say: Texts) -> HazardCard:
    registry = scoped.watch.registry
    return HazardCard(
        row=row,
        rule=say.word("rule", f"{row.rule}.name"),
        where=place_name(registry, say, row.site, row.device, row.channel),
        text=hazard_text(row, registry, say),
        zone=zone_of(registry, row.site),
    )
