"""The page behind the link that a post's desk is sent: one button, and no login.

To open it answers nothing: mail servers and chat programs open links by themselves. Only the
button does.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from api.console.login import not_from_elsewhere
from api.console.rendering import language_of, page
from api.http.context import WatchHere
from api.http.problems import Trouble
from api.links import TOKEN_CHARS_MAX, Link, LinkRefused, Purpose
from api.post_checks.words import answerer, name_of_post
from api.text import Texts
from api.watch import Watch
from ingest.clock import utc_now
from ingest.ledger import post_checks as kept
from ingest.ledger.audit import Audited
from ingest.post_checks import PostCheck
from rules.schedule import Schedule

Token = Annotated[str, Path(min_length=1, max_length=TOKEN_CHARS_MAX)]

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
    return RedirectResponse(f"/a/c/{token}", 303)


def _link(watch: Watch, token: str) -> Link:
    """Return the link, or refuse with 404, or 410 once it has expired."""
    link = watch.links.read(token, Purpose.CHECK, utc_now())
    if link is LinkRefused.EXPIRED:
        raise Trouble(410, "This link has expired.", words="problem.link.expired")
    if isinstance(link, LinkRefused):
        raise Trouble(404, "There is no such link.", words="problem.link.wrong")
    return link


def _who(watch: Watch, link: Link, check: PostCheck) -> str:
    """Return in whose name a link answers: a member's, or that of whoever is at the desk."""
    kind, _, name = link.to.partition(":")
    if kind != "person":
        return f"post:{check.post}"
    person, post = watch.directory.people.get(name), watch.directory.posts.get(check.post)
    if person is None or not person.active or post is None or name not in post.members:
        raise Trouble(404, "This link is somebody's who left.", words="problem.link.wrong")
    return name


async def _check(watch: Watch, link: Link) -> PostCheck:
    check = await watch.ledger.read(lambda c: kept.get_check(c, link.subject))
    if check is None:
        raise Trouble(404, "There is no such post check.", words="problem.link.wrong")
    return check
