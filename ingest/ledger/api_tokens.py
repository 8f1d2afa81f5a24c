"""Tokens that people made for programs of theirs: kept by their digest alone."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables

EACH_MAX = 50
"""Tokens of one person that are good."""


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    """What it is for."""
    person: str
    rights: tuple[str, ...]
    made_at: datetime
    ends_at: datetime
    revoked_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.ends_at


def write_token(connection: sa.Connection, digest: bytes, token: ApiToken) -> ApiToken | None:
    """Keep a new token and return it with its number; None: they have too many."""
    kept = tables.api_tokens.c
    good = sa.select(sa.func.count()).where(
        kept.person == token.person, kept.revoked_at.is_(None), kept.ends_at > token.made_at
    )
    if (connection.scalar(good) or 0) >= EACH_MAX:
        return None
    values = msgspec.structs.asdict(token) | {
        "digest": digest,
        "rights": " ".join(token.rights),
    }
    del values["id"]
    number = connection.scalar(sa.insert(tables.api_tokens).values(values).returning(kept.id))
    return msgspec.structs.replace(token, id=int(number or 0))


def find_token(connection: sa.Connection, digest: bytes) -> ApiToken | None:
    wanted = sa.select(tables.api_tokens).where(tables.api_tokens.c.digest == digest)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _token(row)


def get_token(connection: sa.Connection, number: int) -> ApiToken | None:
    wanted = sa.select(tables.api_tokens).where(tables.api_tokens.c.id == number)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _token(row)


def tokens_of(connection: sa.Connection, people: Iterable[str] | None) -> list[ApiToken]:
    """Return the tokens of these people, good or not, the newest first; None: everybody's."""
    kept = tables.api_tokens.c
    question = sa.select(tables.api_tokens).order_by(kept.id.desc()).limit(1_000)
    if people is not None:
        question = question.where(kept.person.in_(list(people)))
    return [_token(row) for row in connection.execute(question)]


def revoke_token(connection: sa.Connection, number: int, at: datetime) -> None:
    """Revoke a token; one that is revoked already stays as it is."""
    kept = tables.api_tokens.c
    connection.execute(
        sa.update(tables.api_tokens)
        .where(kept.id == number, kept.revoked_at.is_(None))
        .values(revoked_at=at)
    )


def _token(row: sa.Row[tuple[object, ...]]) -> ApiToken:
    values = {name: row._mapping[name] for name in ApiToken.__struct_fields__}  # noqa: SLF001
    return ApiToken(**values | {"rights": tuple(str(values["rights"]).split())})
