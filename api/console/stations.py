"""All stations: as a list, those first that need somebody, or drawn where they lie."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.console import views
from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.console.schematic import Plan, Spot, plan_of
from api.http.access import Right
from api.http.routes.inputs import Id
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.places import Condition, Site
from api.text import Texts
from rules.schedule import Schedule

LABEL_WIDTH_MAX = 16
"""Of a name in the drawing: an ideograph is as wide as two letters."""
IDEOGRAPHS_FROM = 0x2E80

stations = APIRouter()


class View(StrEnum):
    LIST = "list"
    MAP = "map"


class Drawn(msgspec.Struct, frozen=True):
    """One station in the drawing of its area."""

    station: Site
    x: float
    y: float
    label: str
    """Its name as far as there is room; empty: there is none."""


class AreaMap(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    plan: Plan
    drawn: list[Drawn]
    counts: dict[Condition, int]
    needing: list[Site]
    """Named below the drawing, if it has no room for names."""
    nowhere: list[Site]
    """Nobody said where these are."""


@stations.get("/stations")
async def show(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    area: Id | None = None,
    view: View = View.LIST,
) -> Response:
    """Show every station, the worst first."""
    watch, say = scoped.watch, Texts.of(language_of(request))
    found = await views.stations(scoped, area)
    return await asyncio.to_thread(
        page,
        request,
        "stations.html",
        here="stations",
        session=session,
        live=True,
        now=watch.now(),
        unwell=views.unwell(watch),
        stations=found,
        maps=area_maps(scoped, found.stations, say) if view is View.MAP else [],
        areas=scoped.areas(),
        area=area,
        view=view,
        zone=Schedule.nightly().zone,
    )


def area_maps(scoped: Scoped, found: Sequence[Site], say: Texts) -> list[AreaMap]:
    """Return a drawing of each area, by its name."""
    sites, areas = scoped.watch.registry.sites, scoped.watch.registry.areas
    by_area: dict[str, list[Site]] = {}
    for station in found:
        by_area.setdefault(station.area, []).append(station)
    maps: list[AreaMap] = []
    for area, own in by_area.items():
        placed = {
            each.id: place for each in own if (place := sites[each.id].location) is not None
        }
        plan = plan_of([Spot(id_, p.latitude, p.longitude) for id_, p in placed.items()])
        known = {each.id: each for each in own}
        needing = [each for each in own if each.condition is not Condition.FINE]
        maps.append(
            AreaMap(
                id=area,
                name=say.name(areas[area].name),
                plan=plan,
                drawn=[
                    Drawn(
                        known[cell.id],
                        cell.x,
                        cell.y,
                        label_of(say.name(sites[cell.id].name)) if plan.named else "",
                    )
                    for cell in plan.cells
                ],
                counts=_counted(own),
                needing=[] if plan.named else needing,
                nowhere=[each for each in own if each.id not in placed],
            )
        )
    return sorted(maps, key=lambda each: each.name)


def _counted(found: Iterable[Site]) -> dict[Condition, int]:
    counts = Counter(each.condition for each in found)
    return {condition: counts[condition] for condition in Condition if counts[condition]}


def label_of(name: str) -> str:
    """Return the name of a station, cut off where it would run into its neighbour."""
    width, kept = 0, ""
    for char in name:
        width += 2 if ord(char) >= IDEOGRAPHS_FROM else 1
        if width > LABEL_WIDTH_MAX:
            return f"{kept.rstrip()}…"
        kept += char
    return kept
