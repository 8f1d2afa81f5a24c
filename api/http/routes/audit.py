"""What people did, and tried to do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.http.context import MayAudit, WatchHere
from api.http.routes.inputs import BeforeId, Moment, Word, in_order
from api.http.shapes.audit import Deed, Deeds
from ingest.ledger.audit import SHOWN_MAX, AuditFilter, audit_lines

audit = APIRouter(tags=["audit"])


async def wanted_deeds(
    who: Word | None = None,
    what: Word | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before_id: BeforeId | None = None,
) -> AuditFilter:
    in_order(since, until)
    return AuditFilter(who=who, what=what, since=since, until=until, before_id=before_id)


@audit.get("/audit")
async def find(
    watch: WatchHere,
    caller: MayAudit,
    wanted: Annotated[AuditFilter, Depends(wanted_deeds)],
    limit: Annotated[int, Query(ge=1, le=SHOWN_MAX)] = 100,
) -> Deeds:
    """List what was done, newest first. `what` may be the beginning of a word: `login.`."""
    found = await watch.ledger.read(
        lambda c: audit_lines(c, limit=limit + 1, wanted=wanted, areas=caller.within)
    )
    page = found[:limit]
    return Deeds(
        deeds=[Deed.of(line) for line in page],
        next_before_id=page[-1].id if len(found) > limit else None,
    )
