"""Writing people, posts and routes: everything is checked in the transaction that writes it.

So two administrators, or a command beside the service, can never undo each other's checks. What
is not a caller's own is not there for them.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from api.http.access import Caller
from api.people.checking import Known, person_of, post_of, route_of
from api.people.parts import AnyPart, PersonPart, PostPart
from api.people.wrong import Conflict, NotThere
from ingest.ledger import tables
from ingest.ledger.audit import append_audit
from ingest.ledger.logins import end_all_logins, write_secret
from ingest.ledger.people import (
    Kept,
    delete_post,
    delete_route,
    read_kept,
    write_person,
    write_post,
    write_route,
)
from ingest.people import EVERYWHERE, Person, Post, Role, Route
from rules.catalog import rules_in_force

Entry = Person | Post | Route
T = TypeVar("T", Person, Post, Route)
ANY_VERSION = ""
NAMES_SHOWN = 5


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who enters something, and what there is besides what is kept."""

    caller: Caller
    now: datetime
    areas: frozenset[str] = frozenset()
    """Known by a file, or heard of, and not in the ledger yet."""
    private: bool = False

    def sees(self, entry: Entry) -> bool:
        """Say whether all of it is theirs: then it is there for them."""
        areas = frozenset((entry.area,)) if isinstance(entry, Post) else entry.areas
        return self.caller.is_everywhere or (bool(areas) and areas <= self.caller.areas)

    def known(self, c: sa.Connection, kept: Kept) -> Known:
        there = self.areas.union(c.scalars(sa.select(tables.areas.c.id)))
        caller = self.caller
        return Known(
            kept=kept,
            areas=there if caller.is_everywhere else there & caller.areas,
            everywhere=caller.is_everywhere,
            rules=frozenset(rule.name for rules in rules_in_force() for rule in rules),
            private=self.private,
        )


class Done(msgspec.Struct, frozen=True):
    """What is kept now of what was entered, and whether that is news."""

    entry: Entry
    was: Entry | None
    """None: it was not there before."""

    @property
    def changed(self) -> bool:
        return self.entry != self.was


def version_of(entry: Entry) -> str:
    """Return what tells this state of an entry from any other, and gives no secret away."""
    return hashlib.sha256(msgspec.json.encode(entry, order="sorted")).hexdigest()[:16]


def put(  # noqa: PLR0913  (what there is to say about an entry)
    c: sa.Connection,
    number: str,
    part: AnyPart,
    by: By,
    *,
    new: bool | None = None,
    version: str = ANY_VERSION,
) -> Done:
    """Keep what was entered under an id. Raises Wrong, NotThere or Conflict.

    `new` says whether it must not be there yet, or must; None: either. With a `version` it
    must be as it was when that was read; else the last to write wins.
    """
    kept = read_kept(c)
    known = by.known(c, kept)
    was, entry = _meant(number, part, known, by, new, version)
    if entry != was:
        _write(c, entry, kept)
        _note(c, by, "made" if was is None else "changed", entry, _what_changed(was, entry))
    return Done(entry, was)


def _meant(  # noqa: PLR0913, PLR0917  (as `put`)
    number: str, part: AnyPart, known: Known, by: By, new: bool | None, version: str
) -> tuple[Entry | None, Entry]:
    """Return what there was, and what there is to be."""
    kept = known.kept
    if isinstance(part, PersonPart):
        person = _before(kept.people, number, "person", by, new, version)
        return person, person_of(number, part, known, by.now)
    if isinstance(part, PostPart):
        post = _before(kept.posts, number, "post", by, new, version)
        return post, post_of(number, part, known)
    route = _before(kept.routes, number, "route", by, new, version)
    return route, route_of(number, part, known)


def deactivate(c: sa.Connection, number: str, by: By) -> Person:
    """Take a person's rights, logins and alarms away; what they did stays known."""
    kept = read_kept(c)
    person = find(kept.people, number, "person", by)
    gone = msgspec.structs.replace(person, active=False)
    if gone != person:
        _write(c, gone, kept)
        _note(c, by, "changed", gone, "active")
    return gone


def delete(c: sa.Connection, kind: str, number: str, by: By) -> None:
    """Delete a post or a route. A post that a route names stays. Raises Conflict."""
    kept = read_kept(c)
    if kind == "route":
        route = find(kept.routes, number, "route", by)
        delete_route(c, number)
        _note(c, by, "deleted", route, "")
        return
    post = find(kept.posts, number, "post", by)
    naming = [
        route.id
        for route in kept.routes.values()
        if any(f"post:{number}" in tier for tier in route.tiers)
    ]
    if naming:
        raise Conflict("post_in_route", names=", ".join(naming[:NAMES_SHOWN]))
    delete_post(c, number)
    _note(c, by, "deleted", post, "")


def give_password(c: sa.Connection, number: str, hashed: str, at: datetime, by: By) -> None:
    """Give somebody a password that they must change, and end their logins."""
    person = find(read_kept(c).people, number, "person", by)
    if not person.active:
        raise Conflict("not_active")
    write_secret(c, number, hashed, at, must_change=True)
    append_audit(c, by.caller.deed("password.reset", by.now, about=number))


def find(there: Mapping[str, T], number: str, kind: str, by: By) -> T:
    """Return what is there for a caller. Raises NotThere."""
    found = there.get(number)
    if found is None or not by.sees(found):
        raise NotThere(kind)
    return found


def _before(  # noqa: PLR0913, PLR0917  (as many things may stand against it)
    there: Mapping[str, T],
    number: str,
    kind: str,
    by: By,
    new: bool | None,
    version: str,
) -> T | None:
    was = there.get(number)
    if new and was is not None:
        raise Conflict("id_taken")
    if was is None:
        if new is False:
            raise NotThere(kind)
        return None
    if not by.sees(was):
        raise NotThere(kind)
    if version not in {ANY_VERSION, version_of(was)}:
        raise Conflict("changed_meanwhile")
    return was


def _write(c: sa.Connection, entry: Entry, kept: Kept) -> None:
    match entry:
        case Person():
            _check_an_admin_stays(entry, kept)
            write_person(c, entry)
            if not entry.active:
                end_all_logins(c, entry.id)
        case Post():
            write_post(c, entry)
        case Route():
            write_route(c, entry)


def _check_an_admin_stays(person: Person, kept: Kept) -> None:
    """Refuse to take the last one away who may do everything everywhere."""
    before = [each.id for each in kept.people.values() if _may_all(each)]
    if before == [person.id] and not _may_all(person):
        raise Conflict("last_admin")


def _may_all(person: Person) -> bool:
    return person.active and person.role is Role.ADMIN and EVERYWHERE in person.areas


def _note(c: sa.Connection, by: By, what: str, entry: Entry, detail: str) -> None:
    kind = type(entry).__name__.lower()
    place = _place(entry)
    deed = f"{kind}.{what}"
    append_audit(c, by.caller.deed(deed, by.now, about=entry.id, place=place, detail=detail))


def _place(entry: Entry) -> str:
    """Return the area whose business it is; empty: that of several."""
    areas = {entry.area} if isinstance(entry, Post) else entry.areas
    [area] = areas if len(areas) == 1 else [""]
    return "" if area == EVERYWHERE else area


def _what_changed(was: Entry | None, entry: Entry) -> str:
    """Return the names of what is other than before, without what they hold."""
    if was is None:
        return ""
    names = entry.__struct_fields__
    return " ".join(name for name in names if getattr(was, name) != getattr(entry, name))
