"""People, posts and routes as they are kept, and by what a change of them is noticed.

Whoever writes one raises the *edition*, in the same transaction. A running service looks at it,
so that what a command does beside the service is known within seconds.
"""

from typing import TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.ledger import tables
from ingest.people import Person, Post, Route

EDITION = "directory"
"""Under this name the edition is kept."""

T = TypeVar("T", Person, Post, Route)

_pack = msgspec.json.Encoder().encode


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """All there are, each by id."""

    people: dict[str, Person]
    posts: dict[str, Post]
    routes: dict[str, Route]
    edition: int
    """A number that is another whenever any of them is."""


def read_kept(connection: sa.Connection) -> Kept:
    edition = read_edition(connection)  # first: what changes meanwhile is noticed once more
    return Kept(
        people=_all(connection, tables.people.c.person, Person),
        posts=_all(connection, tables.posts.c.post, Post),
        routes=_all(connection, tables.routes.c.route, Route),
        edition=edition,
    )


def read_edition(connection: sa.Connection) -> int:
    kept = tables.watermarks.c
    return connection.scalar(sa.select(kept.value).where(kept.name == EDITION)) or 0


def write_person(connection: sa.Connection, person: Person) -> None:
    """Keep somebody; the password of one who is known stays as it is."""
    _put(connection, tables.people, {"id": person.id, "person": _pack(person)})


def write_post(connection: sa.Connection, post: Post) -> None:
    _put(connection, tables.posts, {"id": post.id, "post": _pack(post)})


def write_route(connection: sa.Connection, route: Route) -> None:
    _put(connection, tables.routes, {"id": route.id, "route": _pack(route)})


def delete_post(connection: sa.Connection, post: str) -> None:
    _delete(connection, tables.posts, post)


def delete_route(connection: sa.Connection, route: str) -> None:
    _delete(connection, tables.routes, route)


def people_with_passwords(connection: sa.Connection) -> frozenset[str]:
    """Return the ids of those who can log in by a password."""
    kept = tables.people.c
    return frozenset(connection.scalars(sa.select(kept.id).where(kept.password != "")))


def _all(connection: sa.Connection, column: sa.Column[bytes], kind: type[T]) -> dict[str, T]:
    decode = msgspec.json.Decoder(kind).decode
    found = [decode(packed) for packed in connection.scalars(sa.select(column))]
    return {each.id: each for each in sorted(found, key=lambda each: each.id)}


def _put(connection: sa.Connection, table: sa.Table, row: dict[str, object]) -> None:
    statement = insert(table).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    _raise_edition(connection)


def _delete(connection: sa.Connection, table: sa.Table, number: str) -> None:
    connection.execute(sa.delete(table).where(table.c.id == number))
    _raise_edition(connection)


def _raise_edition(connection: sa.Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO watermarks (name, value) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = value + 1",
        (EDITION,),
    )
