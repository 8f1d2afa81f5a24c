"""What the ledger has counted and refused."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection

from api.http.access import Right
from api.http.context import Allowed, WatchHere
from api.http.routes.inputs import BeforeId
from api.http.shapes.service import Quarantine, Refused, RuleCount, Summary
from ingest.ledger import queries
from ingest.wire import Refusal

REFUSED_LIMIT_MAX = 200
"""Each holds up to 4 KiB of what was sent."""

ledger = APIRouter(tags=["ledger"], dependencies=[Depends(Allowed(Right.SERVICE))])


@ledger.get("/quarantine")
async def quarantine(
    watch: WatchHere,
    reason: Refusal | None = None,
    before_id: BeforeId | None = None,
    limit: Annotated[int, Query(ge=1, le=REFUSED_LIMIT_MAX)] = 50,
) -> Quarantine:
    """List the messages that were refused, newest first."""
    found = await watch.ledger.read(
        lambda c: queries.find_refused(c, reason=reason, before_id=before_id, limit=limit + 1)
    )
    page = found[:limit]
    return Quarantine(
        refused=[Refused.of(row) for row in page],
        next_before_id=page[-1].id if len(found) > limit else None,
    )


@ledger.get("/summary")
async def summary(watch: WatchHere) -> Summary:
    """Return what was counted since the ledger began, and alerts by rule and state."""

    def ask(c: Connection) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        return queries.tallies(c), queries.count_alerts(c)

    tallies, alerts = await watch.ledger.read(ask)
    return Summary(
        tallies=tallies,
        alerts=[
            RuleCount(rule=rule, state=state, count=count)
            for (rule, state), count in sorted(alerts.items())
        ],
    )
