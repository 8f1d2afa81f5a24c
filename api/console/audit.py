"""The log of deeds: who did what, in words, and whether the log is as it was written."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from api.console.local_time import TYPED_CHARS_MAX, Misread, moment_typed
from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from api.text import Texts
from ingest.ledger.audit import AuditFilter, AuditLine, audit_lines
from ingest.ledger.chain import newest_of, verify_audit
from rules.schedule import Schedule

DEEDS_PER_PAGE = 50
CHECKED_MAX = 2_000
"""Lines whose digests are counted for each look: some 50 ms, in another thread."""
EXPORTED_MAX = 100_000
EXPORTED_AT_ONCE = 1_000
PAGES_OF: Mapping[str, str] = {"alert": "/alerts/", "silence": "/silences/"}
"""Where what a deed was about has a page, by the first word of the deed."""

audit = APIRouter()

MayAudit = Annotated[Session, Depends(Viewing(Right.AUDIT))]
Word = Annotated[str, Query(max_length=64)]
Time = Annotated[str, Query(max_length=TYPED_CHARS_MAX)]


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What the filter holds, as text; empty: everything."""

    who: str = ""
    what: str = ""
    area: str = ""
    since: str = ""
    until: str = ""

    @property
    def query(self) -> dict[str, str]:
        """Return what narrows the list, for an address."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of the last lines' digests."""

    checked: int
    broken_at: int | None
    newest: int
    digest: str


async def typed_filter(
    who: Word = "",
    what: Word = "",
    area: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
    since: Time = "",
    until: Time = "",
) -> Typed:
    return Typed(who=who.strip(), what=what, area=area, since=since, until=until)


Filter = Annotated[Typed, Depends(typed_filter)]


@audit.get("/audit")
async def show(
    request: Request,
    session: MayAudit,
    scoped: ScopedPage,
    typed: Filter,
    before_id: BeforeId | None = None,
) -> Response:
    """Show what was done, newest first, and whether the end of the log is whole."""
    say, zone = Texts.of(language_of(request)), Schedule.nightly().zone
    wanted, wrong = wanted_of(typed, zone)
    wanted = msgspec.structs.replace(wanted, before_id=before_id)

    def ask(c: Connection) -> tuple[list[AuditLine], ChainState]:
        return deeds_of(c, scoped, wanted, DEEDS_PER_PAGE + 1), chain_state(c)

    found, chain = await scoped.watch.ledger.read(ask)
    shown = [] if wrong else found[:DEEDS_PER_PAGE]
    more = urlencode(typed.query | {"before_id": str(shown[-1].id)}) if shown else ""
    return await asyncio.to_thread(
        page,
        request,
        "audit.html",
        status=422 if wrong else 200,
        here="audit",
        session=session,
        now=scoped.watch.now(),
        typed=typed,
        wrong=wrong,
        deeds=[(line, _page_about(line)) for line in shown],
        older=f"/audit?{more}" if len(found) > DEEDS_PER_PAGE else None,
        export=f"/audit/export?{urlencode(typed.query)}",
        whats=_whats(say),
        areas=(areas := [(area.id, say.name(area.name)) for area in scoped.areas()]),
        area_names=dict(areas),
        chain=chain,
        zone=zone,
    )


@audit.get("/audit/export")
async def export(_session: MayAudit, scoped: ScopedPage, typed: Filter) -> Response:
    """Return the same as a file: a JSON object for each line, at most 100,000, newest first."""
    wanted, wrong = wanted_of(typed, Schedule.nightly().zone)
    if wrong:
        raise Trouble(422, "since and until: a date and a time, in that order.")
    return StreamingResponse(
        exported(scoped, wanted),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'},
    )


async def exported(scoped: Scoped, wanted: AuditFilter) -> AsyncIterator[bytes]:
    """Yield the lines, some at a time: nobody's memory holds the whole log."""
    encode, left = msgspec.json.Encoder().encode, EXPORTED_MAX
    while left > 0:
        asked, limit = wanted, min(left, EXPORTED_AT_ONCE)
        found = await scoped.watch.ledger.read(
            lambda c, asked=asked, limit=limit: deeds_of(c, scoped, asked, limit)  # type: ignore[misc]
        )
        if not found:
            return
        yield b"".join(encode(line) + b"\n" for line in found)
        left -= len(found)
        wanted = msgspec.structs.replace(wanted, before_id=found[-1].id)


def deeds_of(c: Connection, scoped: Scoped, wanted: AuditFilter, limit: int) -> list[AuditLine]:
    """Return deeds in the areas of whoever asks, and those of no area."""
    return audit_lines(c, limit=limit, wanted=wanted, areas=scoped.caller.within)


def chain_state(c: Connection) -> ChainState:
    """Check the last lines of the log; `./chargewatch audit verify` checks all of it."""
    verified = verify_audit(c, CHECKED_MAX)
    newest, digest = newest_of(c, verified.log)
    return ChainState(
        checked=verified.lines, broken_at=verified.broken_at, newest=newest, digest=digest
    )


def wanted_of(typed: Typed, zone: ZoneInfo) -> tuple[AuditFilter, dict[str, str]]:
    """Return the filter that was typed, and what is wrong with it: keys, by field."""
    wrong: dict[str, str] = {}
    moments = {}
    for name in ("since", "until"):
        text = getattr(typed, name)
        moment = moment_typed(text, zone) if text else None
        if isinstance(moment, Misread):
            wrong[name] = f"ui.time.{moment}"
            moment = None
        moments[name] = moment
    since, until = moments["since"], moments["until"]
    if since is not None and until is not None and since >= until:
        wrong["until"] = "ui.audit.wrong.until"
    wanted = AuditFilter(
        who=typed.who or None,
        what=typed.what or None,
        area=typed.area or None,
        since=since,
        until=until,
    )
    return wanted, wrong


def _whats(say: Texts) -> list[tuple[str, str]]:
    """Return every deed that has words, with them."""
    return [
        (key.removeprefix("audit."), words)
        for key, words in say.messages.items()
        if key.startswith("audit.")
    ]


def _page_about(line: AuditLine) -> str:
    """Return the address of what a deed was about; empty: it has no page."""
    base = PAGES_OF.get(line.what.partition(".")[0], "")
    return f"{base}{line.about}" if base and line.about.isdecimal() else ""
