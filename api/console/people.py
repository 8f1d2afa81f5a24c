"""People, posts and routes: who there is, who is on duty now, and who would be told of what."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.routes.alarm_routes import explained
from api.http.routes.entering import After, by, kept_here, own
from api.http.routes.entering import page as page_of
from api.http.routes.inputs import Id, Word
from api.http.scope import Scoped
from api.http.sessions import Session
from api.people.explaining import name_of_recipient
from api.people.keeper import with_calendars
from api.routing import Routing
from api.text import Texts
from ingest.ledger.people import Kept, people_with_passwords
from ingest.people import EVERYWHERE, Directory, Person
from ingest.registry import UNDECLARED
from rules.catalog import rules_in_force
from rules.schedule import Schedule
from rules.verdict import Severity

Which = Literal["people", "posts", "routes"]
SHOWN_MAX = 50
ON_DUTY_MAX = 20

people = APIRouter()

MayPeople = Annotated[Session, Depends(Viewing(Right.PEOPLE))]


class OnDuty(msgspec.Struct, frozen=True):
    """Who answers for an area at this moment."""

    area: str
    people: list[Person]
    more: int


@people.get("/people")
async def show(
    request: Request,
    session: MayPeople,
    scoped: ScopedPage,
    which: Which = "people",
    after: After = "",
) -> Response:
    """List people, posts or routes, all of whose areas are the caller's."""
    watch, whose, say = scoped.watch, by(scoped), Texts.of(language_of(request))
    now = watch.now()
    kept = await asyncio.to_thread(with_calendars, await kept_here(scoped), now.year)
    theirs = own(kept.people.values(), whose)
    with_password = await watch.ledger.read(people_with_passwords)
    shown_people, next_people = page_of(theirs, after, SHOWN_MAX)
    shown_posts, next_posts = page_of(own(kept.posts.values(), whose), after, SHOWN_MAX)
    shown_routes, next_routes = page_of(own(kept.routes.values(), whose), after, SHOWN_MAX)
    rest = {"people": next_people, "posts": next_posts, "routes": next_routes}
    return await asyncio.to_thread(
        page,
        request,
        "people.html",
        here="people",
        session=session,
        which=which,
        people=shown_people,
        posts=shown_posts,
        routes=shown_routes,
        older=rest[which],
        with_password=with_password,
        on_duty=on_duty(theirs, scoped, now) if which == "people" and not after else [],
        called=lambda name: called(kept, name, say),
        area_name=lambda area: area_name(scoped, area, say),
        now=now,
        zone=Schedule.nightly().zone,
    )


@people.get("/people/explain")
async def explain(  # noqa: PLR0913, PLR0917  (the fields of the form)
    request: Request,
    session: MayPeople,
    scoped: ScopedPage,
    site: Id | None = None,
    rule: Word = "smoke",
    severity: Annotated[Severity, Query()] = Severity.CRITICAL,
) -> Response:
    """Show who would be told of an alarm now, tier by tier, and why others would not."""
    watch, say = scoped.watch, Texts.of(language_of(request))
    now = watch.now()
    sites = sorted((each.id, say.name(each.name)) for each in scoped.sites())
    chosen = site or (sites[0][0] if sites else "")
    found: list[Routing] = []
    if chosen:
        found = explained(scoped, chosen, rule, severity, now)
    return page(
        request,
        "people_explain.html",
        here="people",
        session=session,
        sites=sites,
        site=chosen,
        rule=rule,
        rules=[(name, say(f"rule.{name}.name")) for name in rule_names()],
        severity=severity,
        severities=[(each, say.word("severity", each)) for each in Severity],
        tiers=found,
        called=lambda name: name_of(watch.directory, name, say),
        now=now,
        zone=Schedule.nightly().zone,
    )


def on_duty(theirs: list[Person], scoped: Scoped, now: datetime) -> list[OnDuty]:
    """Return who is on duty now, area by area; the one of undeclared devices is nobody's."""
    found = []
    for area in scoped.areas():
        if area.id == UNDECLARED:
            continue
        there = [
            person
            for person in theirs
            if person.active and person.ways and person.answers_for(area.id)
        ]
        on = [person for person in there if person.on_duty(now)]
        found.append(OnDuty(area.id, on[:ON_DUTY_MAX], max(0, len(on) - ON_DUTY_MAX)))
    return found


def rule_names() -> list[str]:
    return [rule.name for rules in rules_in_force() for rule in rules]


def area_name(scoped: Scoped, area: str, say: Texts) -> str:
    if area == EVERYWHERE:
        return say("ui.people.everywhere")
    known = scoped.watch.registry.areas.get(area)
    return say.name(known.name) if known is not None else area


def called(kept: Kept, name: str, say: Texts) -> str:
    """Return what a recipient is called, for a list."""
    there = Directory(kept.people.values(), kept.posts.values())
    return name_of(there, name, say)


def name_of(directory: Directory, name: str, say: Texts) -> str:
    """Return a recipient in words: a name, a role's name, or what was written."""
    kind, _, number = name.partition(":")
    if kind == "role":
        return say("ui.people.all_of", role=say.word("role", number))
    return name_of_recipient(directory, name, say.lang) or name
