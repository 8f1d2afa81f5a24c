"""Duty-post checks as they are kept: for good, with every try to tell somebody."""

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from ingest.ledger import tables
from ingest.ledger.areas import Areas
from ingest.ledger.audit import Audited, append_audit
from ingest.post_checks import CheckState, PostCheck, Told

READ_MAX = 1_000
FIGURES_MAX = 100_000
"""Checks that a summary is made of: a thousand posts for half a year."""

_told = msgspec.msgpack.Decoder(tuple[Told, ...]).decode


class CheckFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Each part that is given narrows the list."""

    post: str | None = None
    area: str | None = None
    state: CheckState | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None
    areas: Areas = None
    """Whose business it must be; None: anybody's."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a summary needs of a check."""

    post: str
    state: CheckState
    asked_at: datetime
    answered_at: datetime | None


def begin_check(connection: sa.Connection, check: PostCheck, deed: Audited) -> PostCheck:
    """Write down that a post is asked, before anybody is told; return it with its number."""
    values = _row(check)
    del values["id"]
    added = sa.insert(tables.post_checks).values(values).returning(tables.post_checks.c.id)
    made = replace(check, id=int(connection.scalar(added) or 0))
    append_audit(connection, replace(deed, about=str(made.id)))
    return made


def change_check(
    connection: sa.Connection,
    number: int,
    change: Callable[[PostCheck], PostCheck],
    deed: Audited | None = None,
) -> PostCheck | None:
    """Change what is known of a check and return it; None: there is no such check.

    `deed` is written down only if anything has changed.
    """
    known = get_check(connection, number)
    if known is None:
        return None
    changed = change(known)
    if changed != known:
        kept = tables.post_checks.c.id
        connection.execute(
            sa.update(tables.post_checks).where(kept == number).values(_row(changed))
        )
        if deed is not None:
            append_audit(connection, deed)
    return changed


def get_check(connection: sa.Connection, number: int) -> PostCheck | None:
    wanted = sa.select(tables.post_checks).where(tables.post_checks.c.id == number)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _check(row)


def find_checks(connection: sa.Connection, wanted: CheckFilter, limit: int) -> list[PostCheck]:
    """Return checks, the newest first."""
    kept = tables.post_checks.c
    question = sa.select(tables.post_checks).where(*_conditions(wanted))
    rows = connection.execute(question.order_by(kept.id.desc()).limit(min(limit, READ_MAX)))
    return [_check(row) for row in rows]


def outcomes(connection: sa.Connection, wanted: CheckFilter) -> list[Outcome]:
    """Return what summaries are made of, the newest first."""
    kept = tables.post_checks.c
    columns = [kept[name] for name in Outcome.__struct_fields__]
    question = sa.select(*columns).where(*_conditions(wanted)).order_by(kept.id.desc())
    rows = connection.execute(question.limit(FIGURES_MAX)).mappings()
    return [Outcome(**dict(row) | {"state": CheckState(row["state"])}) for row in rows]


def last_asked(connection: sa.Connection) -> dict[str, datetime]:
    """Return when each post was asked last."""
    kept = tables.post_checks.c
    question = sa.select(kept.post, sa.func.max(kept.asked_at)).group_by(kept.post)
    return {row[0]: row[1] for row in connection.execute(question)}


def _conditions(wanted: CheckFilter) -> Iterable[sa.ColumnElement[bool]]:
    kept = tables.post_checks.c
    for column, value in (
        (kept.post, wanted.post),
        (kept.area, wanted.area),
        (kept.state, wanted.state),
    ):
        if value is not None:
            yield column == value
    if wanted.since is not None:
        yield kept.asked_at >= wanted.since
    if wanted.until is not None:
        yield kept.asked_at < wanted.until
    if wanted.before_id is not None:
        yield kept.id < wanted.before_id
    if wanted.areas is not None:
        yield kept.area.in_(sorted(wanted.areas))


def _row(check: PostCheck) -> dict[str, object]:
    values: dict[str, object] = {
        name: getattr(check, name) for name in PostCheck.__struct_fields__
    }
    return values | {"told": msgspec.msgpack.encode(check.told)}


def _check(row: sa.Row[tuple[object, ...]]) -> PostCheck:
    values = dict(row._mapping)  # noqa: SLF001  (its public name)
    values |= {"state": CheckState(values["state"]), "told": _told(values["told"])}
    return PostCheck(**values)
