"""The page behind the link that a post's desk is sent: one button, and no login.

To open it answers nothing: mail servers and chat programs open links by themselves. Only the
button does.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from api.console.answering import APART
from api.console.login import not_from_elsewhere
from api.console.rendering import language_of, page
from api.http.context import WatchHere
from api.http.problems import Trouble
from api.links import PATHS, TOKEN_CHARS_MAX, Link, LinkRefused, Purpose
from api.post_checks.words import answerer, name_of_post
from api.text import Texts
from api.watch import Watch
from ingest.clock import utc_now
from ingest.ledger import post_checks as kept
from ingest.ledger.audit import Audited
from ingest.post_checks import PostCheck
from rules.schedule import Schedule

Token = Annotated[str, Path(max_length=2 * TOKEN_CHARS_MAX)]

check_link = APIRouter()


@check_link.get("/a/c/{token}")
async def show(request: Request, watch: WatchHere, token: Token) -> Response:
    """Show the question, or how it was answered."""
    check = await _check(watch, _link(watch, token))
    say = Texts.of(language_of(request))
    return await asyncio.to_thread(
        page,
        request,
        "check_link.html",
        headers=APART,
        check=check,
        post=name_of_post(watch.directory, check.post, say),
        answered_by=answerer(watch.directory, check.answered_by, say),
        now=watch.now(),
        zone=Schedule.nightly().zone,
        token=token,
    )


@check_link.post("/a/c/{token}")
async def answer(request: Request, watch: WatchHere, token: Token) -> Response:
    """Note that somebody is at the post's desk."""
    not_from_elsewhere(request)
    link = _link(watch, token)
    check = await _check(watch, link)
    who = _who(watch, link, check)
    deed = Audited(at=watch.now(), who=who, via="link", what="check.answered")
    await watch.post_checks.answer(check.id, deed, link.id)
    return RedirectResponse(f"{PATHS[Purpose.CHECK]}{token}", 303, headers=dict(APART))


def _link(watch: Watch, token: str) -> Link:
    """Return the link, or refuse with 404, or 410 once it has expired."""
    link = watch.links.read(token, Purpose.CHECK, utc_now())
    if link is LinkRefused.EXPIRED:
        raise Trouble(410, "It has expired.", words="problem.link.expired", headers=APART)
    if isinstance(link, LinkRefused):
        raise _wrong()
    return link


def _wrong() -> Trouble:
    """Return the same for all that a link may be instead of right."""
    return Trouble(404, "There is no such link.", words="problem.link.wrong", headers=APART)


def _who(watch: Watch, link: Link, check: PostCheck) -> str:
    """Return in whose name a link answers: a member's, or that of whoever is at the desk."""
    kind, _, name = link.to.partition(":")
    if kind != "person":
        return f"post:{check.post}"
    person, post = watch.directory.people.get(name), watch.directory.posts.get(check.post)
    if person is None or not person.active or post is None or name not in post.members:
        raise _wrong()  # it is somebody's who has left
    return name


async def _check(watch: Watch, link: Link) -> PostCheck:
    check = await watch.ledger.read(lambda c: kept.get_check(c, link.subject))
    if check is None:
        raise _wrong()
    return check
