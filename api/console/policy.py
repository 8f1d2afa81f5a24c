"""Which limits are in force where, who set them, and what was changed about that."""

import asyncio
from contextlib import suppress
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console import views
from api.console.limits_shown import (
    RuleLimits,
    layer_name,
    limit_name,
    limits_in_words,
    table_name,
    value_in_words,
)
from api.console.login import Posting, ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId
from api.http.routes.policy import policy_reloaded
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from api.policy_file import PolicyFileWrong
from api.policy_shape import tables, unit_of
from api.rules_shown import with_silent_after
from api.text import Texts, device_label
from ingest.ledger.policy_log import PolicyLine
from ingest.registry import Device, Site
from rules.policies import Changed
from rules.schedule import Schedule

CHANGES_PER_PAGE = 10
CHANGES_SHOWN_MAX = 30
"""Values of one change; the others are counted."""
DEVICES_MAX = 1_000

policy = APIRouter()

Asked = Annotated[str, Query(max_length=NAME_CHARS_MAX)]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose limits are shown: of everything, an area, a site or a device."""

    area: str = ""
    site: Site | None = None
    device: Device | None = None

    @property
    def id(self) -> str:
        return self.site.id if self.site else self.area


class ChangeWords(msgspec.Struct, frozen=True, kw_only=True):
    where: str
    rule: str
    name: str
    before: str
    after: str


class ChangeCard(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the policy, in words."""

    line: PolicyLine
    values: list[ChangeWords]

    @property
    def more(self) -> int:
        return len(self.line.changes) - len(self.values)


@policy.get("/policy")
async def show(  # noqa: PLR0913, PLR0917  (place, device and page are asked for)
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    place: Asked = "",
    device: Asked = "",
    before_id: BeforeId | None = None,
) -> Response:
    """Show the limits of a place, the state of the file, and the last changes."""
    watch, say = scoped.watch, Texts.of(language_of(request))
    where = place_of(scoped, place, device)
    found = await scoped.policy_changes(before_id, CHANGES_PER_PAGE + 1)
    shown = found[:CHANGES_PER_PAGE]
    return await asyncio.to_thread(
        page,
        request,
        "policy.html",
        here="policy",
        session=session,
        now=watch.now(),
        unwell=views.unwell(watch),
        state=scoped.policy_state(),
        where=where,
        places=_places(scoped, say),
        devices=_devices(scoped, where, say),
        rules=limits_at(scoped, where, say),
        changes=[_change(line, say) for line in shown],
        older=shown[-1].id if len(found) > CHANGES_PER_PAGE else None,
        zone=(where.site.schedule if where.site else Schedule.nightly()).zone,
    )


@policy.post("/policy/reload")
async def reload(
    session: Annotated[Session, Depends(Posting(Right.POLICY))], scoped: ScopedPage
) -> Response:
    """Have the file read now; the page says what is wrong with it, if anything is."""
    with suppress(PolicyFileWrong):  # the page shows it
        await policy_reloaded(scoped.watch, session.caller)
    return RedirectResponse("/policy", 303)


def place_of(scoped: Scoped, place: str, device: str) -> Place:
    """Return the place that was asked for; a foreign one is not there."""
    if "/" in place:
        site = scoped.site(place)
        found = scoped.device(device) if device else None
        if found is not None and found.site != site.id:
            found = None  # another site was chosen since
        return Place(area=site.area, site=site, device=found)
    if place and place not in {area.id for area in scoped.areas()}:
        raise Trouble(404, "There is no such area.")
    return Place(area=place)


def limits_at(scoped: Scoped, where: Place, say: Texts) -> list[RuleLimits]:
    """Return what is in force there, in the reader's words."""
    device = where.device
    policies = scoped.watch.registry.policies
    limits = policies.explain(where.id, None if device is None else device.id)
    if device is not None and device.silent_after is not None:
        limits = with_silent_after(limits, device.kind, device.silent_after)
    return limits_in_words(limits, say)


def _places(scoped: Scoped, say: Texts) -> list[tuple[str, str]]:
    """Return what may be chosen: everywhere, and each area with its sites."""
    found = [("", say("ui.policy.everywhere"))]
    sites = sorted(scoped.sites(), key=lambda site: site.id)
    for area in scoped.areas():
        found.append((area.id, say.name(area.name)))
        found += [(s.id, f"— {say.name(s.name)}") for s in sites if s.area == area.id]
    return found


def _devices(scoped: Scoped, where: Place, say: Texts) -> list[tuple[str, str]]:
    if where.site is None:
        return []
    own = sorted(each.id for each in scoped.devices() if each.site == where.site.id)
    labels = [(device, device_label(device)) for device in own[:DEVICES_MAX]]
    return [("", say("ui.policy.whole_site")), *labels]


def _change(line: PolicyLine, say: Texts) -> ChangeCard:
    values = [_words(each, say) for each in line.changes[:CHANGES_SHOWN_MAX]]
    return ChangeCard(line=line, values=values)


def _words(change: Changed, say: Texts) -> ChangeWords:
    """Return one value's change; a limit of another version is shown as it was written."""
    known = change.table in tables() and change.key in tables()[change.table].__struct_fields__
    unit = unit_of(change.table, change.key) if known else ""
    return ChangeWords(
        where=layer_name(change.layer, say),
        rule=table_name(change.table, say),
        name=limit_name(change.table, change.key, say),
        before=value_in_words(change.before, unit, say),
        after=value_in_words(change.after, unit, say),
    )
