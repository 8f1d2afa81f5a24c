"""People: who they are, what they answer for, how they are reached; passwords."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ConfigDict, JsonValue

from api.http.access import Right
from api.http.context import Allowed, ScopedHere, context_of
from api.http.routes.entering import (
    After,
    IdInPath,
    Try,
    Version,
    add,
    by,
    keep,
    kept_here,
    known,
    own,
    page,
    password_for,
    refusing,
    try_way,
)
from api.http.routes.inputs import Limit
from api.http.scope import Scoped
from api.http.shapes.people import Password, People, Person, Tried
from api.people.keeping import deactivate, find
from api.people.parts import AreaId, Id, PersonPart
from ingest.ledger.people import people_with_passwords
from ingest.people import Person as KeptPerson
from ingest.people import Role

people = APIRouter(tags=["people"], dependencies=[Depends(Allowed(Right.PEOPLE))])

_EXAMPLE: dict[str, JsonValue] = {
    "name": "王力",
    "role": "manager",
    "areas": ["xuhui"],
    "ways": [{"via": "sms", "address": "13800001111"}],
    "duty": {"hours": ["workdays 08:00-18:00"]},
}


class NewPerson(PersonPart):
    """What is typed to log in, and all else that there is to say."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "wang.li", **_EXAMPLE}]})

    id: Id


@people.get("/people")
async def find_people(  # noqa: PLR0913, PLR0917  (each is a filter)
    scoped: ScopedHere,
    area: Annotated[AreaId | None, Query()] = None,
    role: Role | None = None,
    active: bool | None = None,
    after: After = "",
    limit: Limit = 100,
) -> People:
    """List people, all of whose areas are yours, by id."""
    kept = await kept_here(scoped)
    found = [
        person
        for person in own(kept.people.values(), by(scoped))
        if (area is None or person.answers_for(area))
        and (role is None or person.role is role)
        and (active is None or person.active is active)
    ]
    shown, rest = page(found, after, limit)
    return People(people=await _shapes(scoped, shown), next_after=rest)


@people.post("/people", status_code=201)
async def add_person(scoped: ScopedHere, wanted: NewPerson) -> Person:
    """Add somebody. They have no password until they are given one."""
    await add(scoped, wanted.id, wanted, PersonPart)
    return await _one(scoped, wanted.id)


@people.get("/people/{id}")
async def get_person(scoped: ScopedHere, id: IdInPath) -> Person:  # noqa: A002
    return await _one(scoped, id)


@people.put("/people/{id}")
async def change_person(
    scoped: ScopedHere,
    id: IdInPath,  # noqa: A002
    wanted: PersonPart,
    version: Version = "",
) -> Person:
    """Replace all that is said of somebody; ways keep what is not sent with them.

    Another role, other areas or being inactive end their logins.
    """
    await keep(scoped, id, wanted, new=False, version=version)
    return await _one(scoped, id)


@people.delete("/people/{id}")
async def deactivate_person(scoped: ScopedHere, id: IdInPath) -> Person:  # noqa: A002
    """Deactivate somebody: no login, no token, no alarm. What they did stays known."""
    whose = by(scoped)
    with refusing():
        await scoped.watch.ledger.write(lambda c: deactivate(c, id, whose))
    await known(scoped)
    return await _one(scoped, id)


@people.post("/people/{id}/password")
async def make_password(request: Request, scoped: ScopedHere, id: IdInPath) -> Password:  # noqa: A002
    """Give somebody a generated password, which they must change, and end their logins."""
    return Password(password=await password_for(context_of(request), scoped, id))


@people.post("/people/{id}/try")
async def try_person(
    request: Request,
    scoped: ScopedHere,
    id: IdInPath,  # noqa: A002
    wanted: Try,
) -> Tried:
    """Send a test message by one way, and return what the receiver answered."""
    there = (await kept_here(scoped)).people
    return Tried.of(await try_way(context_of(request), scoped, there, id, wanted.via))


async def _one(scoped: Scoped, number: str) -> Person:
    kept = await kept_here(scoped)
    with refusing():
        found = find(kept.people, number, "person", by(scoped))
    [shape] = await _shapes(scoped, [found])
    return shape


async def _shapes(scoped: Scoped, found: list[KeptPerson]) -> list[Person]:
    with_password = await scoped.watch.ledger.read(people_with_passwords)
    now = scoped.watch.now()
    return [Person.of(person, now, has_password=person.id in with_password) for person in found]
