"""Entering people, posts and routes by forms: adding, changing, deleting, passwords, trying."""

import asyncio
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console.login import Posting, ScopedPage, Viewing
from api.console.people import area_name, rule_names
from api.console.people_forms import Typed, mistakes, typed_of, ways_typed
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.context import context_of
from api.http.problems import Trouble
from api.http.routes.entering import (
    IdInPath,
    by,
    entered,
    kept_here,
    known,
    password_for,
    refusing,
    try_way,
)
from api.http.scope import Scoped
from api.http.sessions import Session
from api.people.keeping import delete, find
from api.people.parts import ADDRESS_CHARS_MAX, ID_PATTERN, SECRET_CHARS_MAX
from api.people.trying import Tried
from api.people.wrong import Complaint, Conflict, NotThere, Wrong
from api.text import LANGUAGES, Texts
from ingest.ledger.people import Kept
from ingest.people import EVERYWHERE, Person, Post, Role, Route, Via, Way
from rules.verdict import Severity

Kind = Literal["person", "post", "route"]
Which = Literal["post", "route"]
TABS = {"person": "people", "post": "posts", "route": "routes"}
ROWS_MAX = 20

editing = APIRouter()

MayLook = Annotated[Session, Depends(Viewing(Right.PEOPLE))]
MayPost = Annotated[Session, Depends(Posting(Right.PEOPLE))]
Line = Annotated[str, Form(max_length=200)]
Ticked = Annotated[bool, Form()]
Lines = Annotated[str, Form(max_length=5_000)]
Chosen = Annotated[list[Annotated[str, Form(max_length=200)]], Form(max_length=500)]
Addresses = Annotated[
    list[Annotated[str, Form(max_length=ADDRESS_CHARS_MAX)]], Form(max_length=ROWS_MAX)
]
Secrets = Annotated[
    list[Annotated[str, Form(max_length=SECRET_CHARS_MAX)]], Form(max_length=ROWS_MAX)
]


@editing.get("/people/{kind}/new")
async def add(request: Request, session: MayLook, scoped: ScopedPage, kind: Kind) -> Response:
    areas = () if scoped.caller.is_everywhere else tuple(sorted(scoped.caller.areas))
    typed = Typed(kind=kind, areas=areas, area=areas[0] if areas else "")
    return await _form(request, session, scoped, typed)


@editing.get("/people/{kind}/{id}")
async def edit(
    request: Request,
    session: MayLook,
    scoped: ScopedPage,
    kind: Kind,
    id: IdInPath,  # noqa: A002
) -> Response:
    return await _form(request, session, scoped, typed_of(await _entry(scoped, kind, id)))


@editing.post("/people/{kind}")
async def save(  # noqa: PLR0913, PLR0917  (the fields of the form)
    request: Request,
    session: MayPost,
    scoped: ScopedPage,
    kind: Kind,
    id: Line = "",  # noqa: A002
    new: Ticked = False,  # noqa: FBT002
    version: Line = "",
    name: Line = "",
    name_zh: Line = "",
    name_en: Line = "",
    role: Line = "",
    areas: Chosen = [],  # noqa: B006
    area: Line = "",
    language: Line = "zh",
    members: Lines = "",
    via: Chosen = [],  # noqa: B006
    address: Addresses = [],  # noqa: B006
    secret: Secrets = [],  # noqa: B006
    hours: Lines = "",
    zone: Line = "",
    exceptions: Lines = "",
    checks: Line = "0",
    severity: Line = "",
    rules: Chosen = [],  # noqa: B006
    tiers: Lines = "",
    active: Ticked = False,  # noqa: FBT002
) -> Response:
    """Keep what was typed; or show the form again, with what is wrong beside each field."""
    number = id.strip()
    kept = await kept_here(scoped)
    typed = Typed(
        kind=kind,
        id=number,
        new=new,
        version=version,
        name=name,
        name_zh=name_zh,
        name_en=name_en,
        role=role,
        areas=tuple(areas),
        area=area,
        language=language,
        members=members,
        ways=ways_typed(via, address, secret, [] if new else _ways_of(kept, kind, number)),
        hours=hours,
        zone=zone,
        exceptions=exceptions,
        checks=checks,
        severity=severity,
        rules=tuple(rules),
        tiers=tiers,
        active=active,
    )
    say = Texts.of(language_of(request))
    try:
        _check_id(number)
        await entered(scoped, number, typed.part(), new=new, version=version)
    except NotThere as error:
        raise Trouble(404, str(error)) from error
    except Conflict as error:
        return await _form(request, session, scoped, typed, {"": error.words(say)})
    except Wrong as error:
        return await _form(request, session, scoped, typed, mistakes(error, say))
    return RedirectResponse(f"/people/{kind}/{number}", 303)


@editing.post("/people/person/{id}/password")
async def password(
    request: Request,
    session: MayPost,
    scoped: ScopedPage,
    id: IdInPath,  # noqa: A002
) -> Response:
    """Give a password, and show it this once."""
    given = await password_for(context_of(request), scoped, id)
    typed = typed_of(await _entry(scoped, "person", id))
    return await _form(request, session, scoped, typed, given=given)


@editing.post("/people/{kind}/{id}/try")
async def try_it(  # noqa: PLR0913, PLR0917  (what a request brings)
    request: Request,
    session: MayPost,
    scoped: ScopedPage,
    kind: Literal["person", "post"],
    id: IdInPath,  # noqa: A002
    via: Annotated[Via, Form()],
) -> Response:
    """Send a test message, and show what the receiver answered."""
    kept, context = await kept_here(scoped), context_of(request)
    if kind == "person":
        came = await try_way(context, scoped, kept.people, id, via)
    else:
        came = await try_way(context, scoped, kept.posts, id, via)
    typed = typed_of(await _entry(scoped, kind, id))
    return await _form(request, session, scoped, typed, tried=(via, came))


@editing.post("/people/{kind}/{id}/delete")
async def remove(
    request: Request,
    session: MayPost,
    scoped: ScopedPage,
    kind: Which,
    id: IdInPath,  # noqa: A002
) -> Response:
    """Delete a post or a route."""
    whose, typed = by(scoped), typed_of(await _entry(scoped, kind, id))
    try:
        await scoped.watch.ledger.write(lambda c: delete(c, kind, id, whose))
    except Conflict as error:
        words = {"": error.words(Texts.of(language_of(request)))}
        return await _form(request, session, scoped, typed, words)
    await known(scoped)
    return RedirectResponse(f"/people?which={TABS[kind]}", 303)


async def _entry(scoped: Scoped, kind: Kind, number: str) -> Person | Post | Route:
    kept, whose = await kept_here(scoped), by(scoped)
    with refusing():
        if kind == "person":
            return find(kept.people, number, kind, whose)
        if kind == "post":
            return find(kept.posts, number, kind, whose)
        return find(kept.routes, number, kind, whose)


async def _form(  # noqa: PLR0913  (what may be shown beside the fields)
    request: Request,
    session: Session,
    scoped: Scoped,
    typed: Typed,
    wrong: dict[str, str] | None = None,
    *,
    given: str = "",
    tried: tuple[Via, Tried] | None = None,
) -> Response:
    say = Texts.of(language_of(request))
    areas = [(area.id, say.name(area.name)) for area in scoped.areas()]
    if scoped.caller.is_everywhere:
        areas.insert(0, (EVERYWHERE, area_name(scoped, EVERYWHERE, say)))
    return await asyncio.to_thread(
        page,
        request,
        "people_form.html",
        status=422 if wrong else 200,
        headers={"Cache-Control": "no-store"},
        here="people",
        session=session,
        typed=typed,
        wrong=wrong or {},
        given=given,
        tried=tried,
        tab=TABS[typed.kind],
        areas=areas,
        roles=[(role.value, say.word("role", role)) for role in Role],
        languages=[(lang, say(f"language.{lang}")) for lang in LANGUAGES],
        vias=[("", "–"), *((via.value, say.word("via", via)) for via in Via)],
        severities=[(each.value, say.word("severity", each)) for each in Severity],
        rules=[(name, say(f"rule.{name}.name")) for name in rule_names()],
    )


def _ways_of(kept: Kept, kind: Kind, number: str) -> tuple[Way, ...]:
    somebody: Person | Post | None = None
    if kind == "person":
        somebody = kept.people.get(number)
    elif kind == "post":
        somebody = kept.posts.get(number)
    return () if somebody is None else somebody.ways


def _check_id(number: str) -> None:
    if re.fullmatch(ID_PATTERN, number) is None:
        raise Wrong([Complaint(("id",), "id")])
