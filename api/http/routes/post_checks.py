"""Duty-post checks: finding them, answering them, and asking a post now."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends

from api.http.access import Right
from api.http.context import Allowed, MayAcknowledge, MayDrill, ScopedHere
from api.http.problems import Trouble
from api.http.routes.inputs import (
    BeforeId,
    Id,
    Limit,
    Moment,
    NameInPath,
    NumberInPath,
    in_order,
)
from api.http.scope import Scoped
from api.http.shapes.post_checks import Check, Checks, PostFigures, Summary
from api.post_checks import AlarmsWait, CheckUnderWay, NoSuchPost
from api.post_checks.figures import Figures, figures
from ingest.ledger import post_checks as kept
from ingest.ledger.post_checks import CheckFilter, Outcome
from ingest.post_checks import CheckState, PostCheck

PERIOD = timedelta(days=30)
"""What a summary is of, unless it is asked for another."""

post_checks = APIRouter(tags=["duty posts"], dependencies=[Depends(Allowed(Right.SEE))])


async def wanted_checks(  # noqa: PLR0913, PLR0917  (each is a filter)
    post: Id | None = None,
    area: Id | None = None,
    state: CheckState | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before_id: BeforeId | None = None,
) -> CheckFilter:
    in_order(since, until)
    return CheckFilter(
        post=post, area=area, state=state, since=since, until=until, before_id=before_id
    )


@post_checks.get("/post-checks")
async def find(
    scoped: ScopedHere,
    wanted: Annotated[CheckFilter, Depends(wanted_checks)],
    limit: Limit = 100,
) -> Checks:
    """List duty-post checks, the newest first."""
    found, more = await found_checks(scoped, wanted, limit)
    directory = scoped.watch.directory
    return Checks(
        checks=[Check.of(each, directory) for each in found],
        next_before_id=found[-1].id if more else None,
    )


@post_checks.get("/post-checks/summary")
async def summary(
    scoped: ScopedHere,
    post: Id | None = None,
    area: Id | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Summary:
    """Say how each post answered over a period: of 30 days, if none is given."""
    until = until or scoped.watch.now()
    since = since or until - PERIOD
    in_order(since, until)
    found = figures(await outcomes_of(scoped, since, until))
    return Summary(
        since=since,
        until=until,
        posts=[
            PostFigures.of(each, found.get(each.id, Figures()))
            for each in scoped.duty_posts()
            if post in {None, each.id} and area in {None, each.area}
        ],
    )


@post_checks.get("/post-checks/{number}")
async def one(scoped: ScopedHere, number: NumberInPath) -> Check:
    return Check.of(await scoped.post_check(number), scoped.watch.directory)


@post_checks.post("/post-checks/{number}/answer")
async def answer(scoped: ScopedHere, _caller: MayAcknowledge, number: NumberInPath) -> Check:
    """Say that somebody is at the post. The first answer stays; so does what was missed."""
    return Check.of(await check_answered(scoped, number), scoped.watch.directory)


@post_checks.post("/posts/{id}/check")
async def begin(scoped: ScopedHere, _caller: MayDrill, id: NameInPath) -> Check:  # noqa: A002
    """Ask a post now whether somebody is there."""
    return Check.of(await check_begun(scoped, id), scoped.watch.directory)


# --- what the pages do, too --------------------------------------------------------------


async def found_checks(
    scoped: Scoped, wanted: CheckFilter, limit: int
) -> tuple[list[PostCheck], bool]:
    """Return checks of theirs, and whether there are more."""
    own = msgspec.structs.replace(wanted, areas=scoped.caller.within)
    asked = min(limit + 1, kept.READ_MAX)
    found = await scoped.watch.ledger.read(lambda c: kept.find_checks(c, own, asked))
    return found[:limit], len(found) > limit or len(found) == kept.READ_MAX


async def outcomes_of(scoped: Scoped, since: datetime, until: datetime) -> list[Outcome]:
    """Return how their posts answered, the newest first."""
    wanted = CheckFilter(since=since, until=until, areas=scoped.caller.within)
    return await scoped.watch.ledger.read(lambda c: kept.outcomes(c, wanted))


async def check_begun(scoped: Scoped, post: str) -> PostCheck:
    """Ask a post of theirs now, or refuse with 409."""
    known, watch = scoped.duty_post(post), scoped.watch
    deed = scoped.caller.deed("check.asked", watch.now())
    try:
        return await watch.post_checks.begin(known.id, deed)
    except (NoSuchPost, CheckUnderWay, AlarmsWait) as error:
        words = f"check_refused.{type(error).__name__}"
        raise Trouble(409, f"{error}.".capitalize(), words=words) from error


async def check_answered(scoped: Scoped, number: int) -> PostCheck:
    """Answer a check in their own name."""
    check, watch = await scoped.post_check(number), scoped.watch
    if not scoped.may_answer(check):
        raise Trouble(403, "You do not answer for this post.", words="problem.no_right")
    deed = scoped.caller.deed("check.answered", watch.now())
    return await watch.post_checks.answer(number, deed) or check
