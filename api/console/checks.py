"""Duty-post checks: how each post answers, and asking one now."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console import views
from api.console.login import NEXT_CHARS_MAX, Posting, ScopedPage, Viewing, own_path
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.routes.inputs import BeforeId, NumberInPath
from api.http.routes.post_checks import (
    PERIOD,
    check_answered,
    check_begun,
    found_checks,
    outcomes_of,
)
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from api.post_checks.figures import Figures, figures
from api.post_checks.words import answerer, name_of_post
from api.text import Texts
from ingest.ledger.post_checks import CheckFilter, Outcome
from ingest.people import EVERYWHERE, Post
from ingest.post_checks import CheckState, PostCheck
from rules.schedule import Schedule

PER_PAGE = 20
DOTS_MAX = 24
"""Checks of one post that are drawn, the newest last."""

checks = APIRouter()


class PostCard(msgspec.Struct, frozen=True, kw_only=True):
    """A post, and how it answers."""

    post: Post
    name: str
    area: str
    """Its area's name; empty: it answers for all."""
    found: Figures
    median: str
    """Half of the answers took no longer; empty: there are none."""
    p90: str
    dots: Sequence[CheckState]
    """Its last checks, the oldest first."""
    asked_at: datetime | None
    waits: bool
    """It is being asked just now."""


class CheckCard(msgspec.Struct, frozen=True, kw_only=True):
    """A check with the names of those it is about."""

    check: PostCheck
    post: str
    took: str
    """From question to answer; empty: there is none."""
    answered_by: str
    asked_by: str


@checks.get("/checks")
async def show(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    state: CheckState | None = None,
    before_id: BeforeId | None = None,
) -> Response:
    """Show how each post answers, and the checks, the newest first."""
    watch, say = scoped.watch, Texts.of(language_of(request))
    now, wanted = watch.now(), CheckFilter(state=state, before_id=before_id)
    found, more = await found_checks(scoped, wanted, PER_PAGE)
    outcomes = await outcomes_of(scoped, now - PERIOD, now)
    return await asyncio.to_thread(
        page,
        request,
        "checks.html",
        here="checks",
        session=session,
        live=before_id is None,
        now=now,
        unwell=views.unwell(watch),
        posts=_posts(scoped, outcomes, say),
        checks=[_card(scoped, each, say) for each in found],
        older=found[-1].id if more else None,
        state=state,
        states=(CheckState.MISSED, CheckState.LATE, CheckState.ANSWERED),
        zone=Schedule.nightly().zone,
    )


@checks.post("/checks/begin")
async def begin(
    _session: Annotated[Session, Depends(Posting(Right.DRILL))],
    scoped: ScopedPage,
    post: Annotated[str, Form(max_length=NAME_CHARS_MAX)] = "",
) -> Response:
    """Ask a post now."""
    await check_begun(scoped, post)
    return RedirectResponse("/checks", 303)


@checks.post("/checks/{number}/answer")
async def answer(
    _session: Annotated[Session, Depends(Posting(Right.ACKNOWLEDGE))],
    scoped: ScopedPage,
    number: NumberInPath,
    back: Annotated[str, Form(max_length=NEXT_CHARS_MAX)] = "/",
) -> Response:
    """Say that somebody is at the post, and go back to where the button was."""
    await check_answered(scoped, number)
    return RedirectResponse(own_path(back), 303)


def _posts(scoped: Scoped, outcomes: Sequence[Outcome], say: Texts) -> list[PostCard]:
    """Return the posts, those first that missed a check most often."""
    by_post = figures(outcomes)
    asked_now = {check.post for check in scoped.watch.post_checks.open.values()}
    areas = scoped.watch.registry.areas
    cards = []
    for post in scoped.duty_posts():
        theirs = [each for each in outcomes if each.post == post.id]
        area, found = areas.get(post.area), by_post.get(post.id, Figures())
        cards.append(
            PostCard(
                post=post,
                name=say.name(post.name),
                area=say.name(area.name) if area else post.area.replace(EVERYWHERE, ""),
                found=found,
                median=_span(found.median_s, say),
                p90=_span(found.p90_s, say),
                dots=[each.state for each in reversed(theirs[:DOTS_MAX])],
                asked_at=theirs[0].asked_at if theirs else None,
                waits=post.id in asked_now,
            )
        )
    return sorted(cards, key=lambda card: (-card.found.missed, -card.found.late, card.post.id))


def _card(scoped: Scoped, check: PostCheck, say: Texts) -> CheckCard:
    directory = scoped.watch.directory
    return CheckCard(
        check=check,
        post=name_of_post(directory, check.post, say),
        took=_span(check.answer_s, say),
        answered_by=answerer(directory, check.answered_by, say) if check.answered_by else "",
        asked_by=answerer(directory, check.asked_by, say) if check.asked_by else "",
    )


def _span(seconds: float | None, say: Texts) -> str:
    return "" if seconds is None else say.span(timedelta(seconds=seconds))
