"""Every device: how it is, when it was last heard, and what to do about strangers."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.console import views
from api.console.login import ScopedPage, Viewing
from api.console.rendering import page
from api.http.access import Right
from api.http.live import SILENCE, condition_of
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.places import Condition
from api.http.shapes.shape import NAME_CHARS_MAX
from api.watch import Watch
from ingest.registry import Device
from rules.alerts import State
from rules.readings import Kind
from rules.schedule import Schedule
from rules.subject import DeviceState

PER_PAGE = 50
PAGES_MAX = 10_000
AT_ONCE = 500
"""Devices looked at before the engine has its turn again."""
SEARCH_CHARS_MAX = 100

devices = APIRouter()


class Health(StrEnum):
    """How a device is, the worst first."""

    ALERT = "alert"
    SILENT = "silent"
    NEVER = "never"
    """Declared, and not heard so far."""
    CLOCK = "clock"
    """Its clock is wrong; all else is well."""
    FINE = "fine"


LOOKS = {
    Health.SILENT: Condition.WARNING,
    Health.NEVER: Condition.UNKNOWN,
    Health.CLOCK: Condition.WARNING,
    Health.FINE: Condition.FINE,
}


class Which(StrEnum):
    """What the list is narrowed to; undeclared is no health, but a question of paperwork."""

    ALL = "all"
    ALERT = "alert"
    SILENT = "silent"
    NEVER = "never"
    CLOCK = "clock"
    UNDECLARED = "undeclared"
    FINE = "fine"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the list is narrowed to, and which page of it."""

    area: str | None = None
    which: Which = Which.ALL
    kind: Kind | None = None
    q: str = ""
    """A part of the id."""
    number: int = 1

    def matches(self, entry: Device) -> bool:
        return (
            (self.area is None or entry.site.startswith(f"{self.area}/"))
            and (self.kind is None or entry.kind is self.kind)
            and (not self.q or self.q.casefold() in entry.id.casefold())
        )


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One device in the list."""

    entry: Device
    health: Health
    look: Condition
    firing: tuple[str, ...]
    """The rules of what fires, the gravest first."""
    state: DeviceState

    @property
    def skew(self) -> timedelta | None:
        """By how much its clock was ahead when it was last heard; None: it shows no time."""
        if self.state.live_claim is None or self.state.heard_at is None:
            return None
        return self.state.live_claim - self.state.heard_at


class Found(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[Line]
    counts: dict[Which, int]
    total: int
    """Of those that match."""


@devices.get("/devices")
async def show(  # noqa: PLR0913, PLR0917  (each is a filter)
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    area: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
    which: Which = Which.ALL,
    kind: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=SEARCH_CHARS_MAX)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=PAGES_MAX)] = 1,
) -> Response:
    """Show a page of the devices, those first that are not well."""
    watch = scoped.watch
    asked = Asked(
        area=area or None,
        which=which,
        kind=next((each for each in Kind if each == kind), None),
        q=q.strip(),
        number=number,
    )
    found = await find(scoped, asked)
    return await asyncio.to_thread(
        page,
        request,
        "devices.html",
        here="devices",
        session=session,
        now=watch.now(),
        unwell=views.unwell(watch),
        found=found,
        areas=scoped.areas(),
        asked=asked,
        whichs=list(Which),
        kinds=list(Kind),
        pages=max(1, -(-found.total // PER_PAGE)),
        sites=watch.registry.sites,
        zone=Schedule.nightly().zone,
    )


async def find(scoped: Scoped, asked: Asked) -> Found:
    """Return a page of what matches, and how many there are of each, giving way often."""
    watch, now = scoped.watch, scoped.watch.now()
    counts: Counter[Which] = Counter()
    ranked: list[tuple[int, str, Device]] = []
    order = tuple(Health)
    for count, entry in enumerate(filter(asked.matches, scoped.devices())):
        if count % AT_ONCE == 0:
            await asyncio.sleep(0)
        health = health_of(watch, entry, now)
        mine = {Which.ALL, Which(health)}
        if not entry.declared:
            mine.add(Which.UNDECLARED)
        counts.update(mine)
        if asked.which in mine:
            ranked.append((order.index(health), entry.id, entry))
    ranked.sort(key=lambda each: each[:2])
    begin = (asked.number - 1) * PER_PAGE
    return Found(
        lines=[line_of(watch, entry, now) for _, _, entry in ranked[begin : begin + PER_PAGE]],
        counts={each: counts[each] for each in Which},
        total=len(ranked),
    )


def health_of(watch: Watch, entry: Device, now: datetime) -> Health:
    """Return how a device is, by what fires and by when it was last heard."""
    firing = {
        alert.key.rule
        for alert in watch.engine.alerts_of(entry.id)
        if alert.state is State.FIRING
    }
    state = watch.engine.device(entry.id)
    if firing - {SILENCE, "undeclared_device", "clock_wrong"}:
        return Health.ALERT
    if state is None or state.heard_at is None:
        return Health.NEVER
    policy = watch.registry.policy_of(entry.id)
    fresh_for = entry.silent_after or policy.silent_after(entry.kind)
    if SILENCE in firing or now - state.heard_at > fresh_for:
        return Health.SILENT
    return Health.CLOCK if state.clock_wrong_since is not None else Health.FINE


def line_of(watch: Watch, entry: Device, now: datetime) -> Line:
    firing = [a for a in watch.engine.alerts_of(entry.id) if a.state is State.FIRING]
    firing.sort(key=lambda alert: -alert.severity.rank)
    health = health_of(watch, entry, now)
    return Line(
        entry=entry,
        health=health,
        look=LOOKS.get(health) or condition_of(firing),
        firing=tuple(dict.fromkeys(alert.key.rule for alert in firing)),
        state=watch.engine.device(entry.id) or DeviceState(entry.id, entry.site, entry.kind),
    )
