"""What the routes of people, posts and alarm routes have in common."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Literal, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from api.http.context import Context
from api.http.problems import FieldError, Trouble, too_much
from api.http.scope import Scoped
from api.passwords import generated
from api.people.addresses import ON_THE_WEB, check_where_it_leads
from api.people.keeping import By, Done, Entry, delete, find, give_password, put
from api.people.parts import ID_CHARS_MAX, AnyPart, RoutePart
from api.people.trying import Tried, notice_of_a_test, tried
from api.people.wrong import Conflict, NotThere, Wrong
from api.text import Texts
from ingest.desk import DeskBusy
from ingest.ledger.audit import append_audit
from ingest.ledger.people import Kept, read_kept
from ingest.people import Person, Post, Route, Via, Way

T = TypeVar("T", Person, Post, Route)

IdInPath = Annotated[str, Path(min_length=1, max_length=ID_CHARS_MAX)]
After = Annotated[
    str, Query(max_length=ID_CHARS_MAX, description="The id after which the page begins.")
]
Version = Annotated[
    str,
    Query(max_length=32, description="As it was read; another by now: 409. Empty: any."),
]


class Try(BaseModel):
    """By which of the ways that are known."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"via": "sms"}]})

    via: Via


def by(scoped: Scoped) -> By:
    watch = scoped.watch
    return By(
        caller=scoped.caller,
        now=watch.now(),
        areas=frozenset(watch.registry.areas),
        private=watch.ways.guard.allow_private,
    )


@contextmanager
def refusing() -> Iterator[None]:
    """Answer what cannot be entered: 404, 409, or 422 with each mistake."""
    try:
        yield
    except NotThere as error:
        raise Trouble(404, str(error)) from error
    except Conflict as error:
        raise Trouble(409, str(error)) from error
    except Wrong as error:
        say = Texts.of("en")
        errors = [
            FieldError(where=each.where, what=each.words(say)) for each in error.complaints
        ]
        raise Trouble(422, "The input is not right.", errors=errors) from error


async def kept_here(scoped: Scoped) -> Kept:
    """Return all that there is, foreign things included."""
    return await scoped.watch.ledger.read(read_kept)


async def keep(
    scoped: Scoped, number: str, part: AnyPart, *, new: bool, version: str = ""
) -> Entry:
    """Keep what was entered; refuse what cannot be."""
    with refusing():
        return await entered(scoped, number, part, new=new, version=version)


async def add(scoped: Scoped, number: str, wanted: AnyPart, kind: type[AnyPart]) -> None:
    """Keep something new; `wanted` has its id beside all that a `kind` has."""
    said = wanted.model_dump(exclude={"id"}, by_alias=True)
    await keep(scoped, number, kind.model_validate(said), new=True)


async def take_out(scoped: Scoped, number: str, kind: Literal["post", "route"]) -> None:
    """Delete a post or a route, and have the running service know of it."""
    whose = by(scoped)
    with refusing():
        await scoped.watch.ledger.write(lambda c: delete(c, kind, number, whose))
    await known(scoped)


async def entered(
    scoped: Scoped, number: str, part: AnyPart, *, new: bool, version: str = ""
) -> Entry:
    """Keep what was entered, and have the running service know of it.

    Raises Wrong, Conflict or NotThere.
    """
    whose = by(scoped)
    ways = () if isinstance(part, RoutePart) else part.ways
    addresses = [
        (("ways", n), Way(via=way.via, address=way.address))
        for n, way in enumerate(ways)
        if way.address and way.via in ON_THE_WEB
    ]
    if found := await check_where_it_leads(addresses, scoped.watch.ways.guard):
        raise Wrong(found)

    def write(c: Connection) -> Done:
        return put(c, number, part, whose, new=new, version=version)

    done = await scoped.watch.ledger.write(write)
    await known(scoped)
    return done.entry


async def known(scoped: Scoped) -> None:
    """Have the running service know at once; if it is busy, it will see for itself."""
    with suppress(DeskBusy):
        await scoped.watch.people.refresh()


def own(there: Iterable[T], whose: By) -> list[T]:
    return [each for each in there if whose.sees(each)]


def page(found: list[T], after: str, limit: int) -> tuple[list[T], str | None]:
    """Return a page of what is ordered by id, and after which id the next one begins."""
    rest = [each for each in found if each.id > after]
    shown = rest[:limit]
    return shown, shown[-1].id if len(rest) > limit else None


async def password_for(context: Context, scoped: Scoped, number: str) -> str:
    """Give somebody of theirs a generated password; return it, to be shown once."""
    whose = by(scoped)
    with refusing():
        find((await kept_here(scoped)).people, number, "person", whose)
    password = generated()
    hashed, at = await context.door.hashed(password), context.door.wall()

    def write(c: Connection) -> None:
        give_password(c, number, hashed, at, whose)

    with refusing():
        await scoped.watch.ledger.write(write)
    return password


async def try_way(
    context: Context, scoped: Scoped, there: Mapping[str, T], number: str, via: Via
) -> Tried:
    """Send a test message to a person or a post of theirs, and write down what came of it."""
    watch, caller = scoped.watch, scoped.caller
    with refusing():
        somebody = find(there, number, "recipient", by(scoped))
        if isinstance(somebody, Route):
            raise NotThere("recipient")
        way = next((each for each in somebody.ways if each.via is via), None)
        if way is None:
            raise Conflict("no_way")
    kind = "person" if isinstance(somebody, Person) else "post"
    recipient = f"{kind}:{number}"
    if wait_s := context.tries.wait_s(recipient):
        raise too_much(wait_s)
    now = watch.now()
    notice = notice_of_a_test(recipient, somebody.language, caller.name, "", now)
    came = await tried(watch.ways, way, recipient, notice)
    detail = f"{via}: {'told' if came.told else 'not told'}"
    deed = caller.deed("way.tried", now, about=recipient, detail=detail)
    await watch.ledger.write(lambda c: append_audit(c, deed))
    return came
