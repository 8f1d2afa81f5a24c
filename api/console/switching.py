"""Switching a socket off, and clearing its latch: each is asked once more on a page of its own.

That page names the socket and what follows, wants a reason and a tick, and works without
scripts. What is ordered, and by whom, is the API's business.
"""

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console.control import Control, control_of
from api.console.links import socket_path
from api.console.login import NEXT_CHARS_MAX, Posting, ScopedPage, Viewing, own_path
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.problems import Trouble
from api.http.routes.inputs import Channel, Id, NameInPath
from api.http.routes.switching import (
    REASON_CHARS_MAX,
    Clearing,
    CutOrder,
    latch_cleared,
    ordered,
)
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from api.text import Texts
from api.text.explaining import place_name, zone_of
from api.watch import Change
from rules.latch import Latch

switching = APIRouter()

Back = Annotated[str, Query(max_length=NEXT_CHARS_MAX)]
ReasonField = Annotated[str, Form(max_length=REASON_CHARS_MAX)]
BackField = Annotated[str, Form(max_length=NEXT_CHARS_MAX)]
Ticked = Annotated[bool, Form()]


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has filled in so far."""

    back: str = ""
    reason: str = ""
    ticked: bool = False
    posted: bool = False

    @property
    def complete(self) -> bool:
        return self.ticked and bool(self.reason.strip())


@switching.get("/cut")
async def ask_cut(  # noqa: PLR0913, PLR0917  (what is asked for, and where one goes back to)
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.CUT))],
    scoped: ScopedPage,
    device: Id,
    channel: Channel | None = None,
    back: Back = "",
    reason: Annotated[str, Query(max_length=REASON_CHARS_MAX)] = "",
) -> Response:
    """Ask whether this socket is really to be switched off."""
    form = Filled(back=back, reason=reason)
    return await _cut_page(request, session, scoped, (device, channel), form)


@switching.post("/cut")
async def cut(  # noqa: PLR0913, PLR0917  (a form has this many fields)
    request: Request,
    session: Annotated[Session, Depends(Posting(Right.CUT))],
    scoped: ScopedPage,
    device: Annotated[str, Form(min_length=1, max_length=NAME_CHARS_MAX)],
    channel: Annotated[int | None, Form(ge=1, le=256)] = None,
    reason: ReasonField = "",
    back: BackField = "",
    sure: Ticked = False,  # noqa: FBT002
) -> Response:
    """Order a socket to be switched off; what becomes of it is on the page one came from."""
    scoped.device(device)
    form = Filled(back=back, reason=reason, ticked=sure, posted=True)
    if not form.complete:
        return await _cut_page(request, session, scoped, (device, channel), form)
    command = await ordered(scoped, CutOrder(device=device, channel=channel, reason=reason))
    _tell(scoped, command.device)
    return RedirectResponse(own_path(back or socket_path(device, channel)), 303)


@switching.get("/latches/{id}/clear")
async def ask_clear(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.CLEAR_LATCH))],
    scoped: ScopedPage,
    id: NameInPath,  # noqa: A002
    back: Back = "",
) -> Response:
    """Ask whether somebody has looked at the socket."""
    form = Filled(back=back)
    return await _clear_page(request, session, scoped, await scoped.latch(id), form)


@switching.post("/latches/{id}/clear")
async def clear(  # noqa: PLR0913, PLR0917
    request: Request,
    session: Annotated[Session, Depends(Posting(Right.CLEAR_LATCH))],
    scoped: ScopedPage,
    id: NameInPath,  # noqa: A002
    reason: ReasonField = "",
    back: BackField = "",
    looked: Ticked = False,  # noqa: FBT002
) -> Response:
    """Clear a latch: the socket is switched on again."""
    latch = await scoped.latch(id)
    form = Filled(back=back, reason=reason, ticked=looked, posted=True)
    if not form.complete:
        return await _clear_page(request, session, scoped, latch, form)
    cleared = await latch_cleared(scoped, id, Clearing(reason=reason))
    _tell(scoped, cleared.device)
    return RedirectResponse(own_path(back or socket_path(latch.device, latch.channel)), 303)


async def _cut_page(
    request: Request,
    session: Session,
    scoped: Scoped,
    socket: tuple[str, int | None],
    form: Filled,
) -> Response:
    device, channel = socket
    control = await control_of(scoped, scoped.device(device), channel)
    if control.socket is None:
        raise Trouble(404, "There is no such socket.")
    return await _asked_again(request, session, scoped, control, form)


async def _clear_page(
    request: Request, session: Session, scoped: Scoped, latch: Latch, form: Filled
) -> Response:
    control = await control_of(scoped, scoped.device(latch.device), latch.channel)
    return await _asked_again(request, session, scoped, control, form, latch)


async def _asked_again(  # noqa: PLR0913, PLR0917  (both pages need as much)
    request: Request,
    session: Session,
    scoped: Scoped,
    control: Control,
    form: Filled,
    latch: Latch | None = None,
) -> Response:
    watch, say = scoped.watch, Texts.of(language_of(request))
    site = watch.registry.devices[control.device].site
    return await asyncio.to_thread(
        page,
        request,
        "cut.html" if latch is None else "clear.html",
        status=422 if form.posted else 200,
        session=session,
        now=watch.now(),
        where=place_name(watch.registry, say, site, control.device, control.channel),
        zone=zone_of(watch.registry, site),
        control=control,
        latch=latch,
        form=form,
        back=own_path(form.back or socket_path(control.device, control.channel)),
        reason_chars_max=REASON_CHARS_MAX,
    )


def _tell(scoped: Scoped, device: str) -> None:
    """Tell the open pages of the socket's station."""
    scoped.watch.changes.tell(Change("/".join(device.split("/")[:2]), alerts=False))
