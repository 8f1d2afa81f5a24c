"""Routes of alarms: which go to whom, tier by tier; and who would be told of one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, ConfigDict

from api.http.access import Right
from api.http.context import Allowed, ScopedHere
from api.http.problems import Trouble
from api.http.routes.entering import (
    After,
    IdInPath,
    Version,
    add,
    by,
    keep,
    kept_here,
    own,
    page,
    refusing,
    take_out,
)
from api.http.routes.inputs import Id as IdInQuery
from api.http.routes.inputs import Limit, Word
from api.http.scope import Scoped
from api.http.shapes.people import Route, Routes
from api.http.shapes.routing import Explained, Tier
from api.people.explaining import by_tier
from api.people.keeping import find
from api.people.parts import AreaId, Id, RoutePart
from api.routing import Case, Routing
from rules.catalog import rules_in_force
from rules.verdict import Severity

alarm_routes = APIRouter(tags=["routes"], dependencies=[Depends(Allowed(Right.PEOPLE))])


class NewRoute(RoutePart):
    """A name for it, and all else that there is to say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "danger",
                    "severity": "critical",
                    "tiers": [["post:xuhui-police"], ["role:manager"]],
                }
            ]
        }
    )

    id: Id


@alarm_routes.get("/routes")
async def find_routes(
    scoped: ScopedHere,
    area: Annotated[AreaId | None, Query()] = None,
    after: After = "",
    limit: Limit = 100,
) -> Routes:
    """List the routes that are for your areas and no others, by id."""
    kept = await kept_here(scoped)
    found = [
        route
        for route in own(kept.routes.values(), by(scoped))
        if area is None or area in route.areas or "*" in route.areas
    ]
    shown, rest = page(found, after, limit)
    return Routes(routes=[Route.of(each) for each in shown], next_after=rest)


@alarm_routes.get("/routes/explain")
async def explain(
    scoped: ScopedHere,
    site: IdInQuery,
    rule: Word = "smoke",
    severity: Severity = Severity.CRITICAL,
    at: AwareDatetime | None = None,
) -> Explained:
    """Say who would be told of such an alarm, at which tier, and why others would not."""
    when = at or scoped.watch.now()
    found = explained(scoped, site, rule, severity, when)
    directory = scoped.watch.directory
    return Explained(
        site=site,
        rule=rule,
        severity=severity,
        at=when,
        routes=list(found[0].routes),
        tiers=[Tier.of(n, each, directory, "zh") for n, each in enumerate(found, start=1)],
    )


@alarm_routes.post("/routes", status_code=201)
async def add_route(scoped: ScopedHere, wanted: NewRoute) -> Route:
    await add(scoped, wanted.id, wanted, RoutePart)
    return await _one(scoped, wanted.id)


@alarm_routes.get("/routes/{id}")
async def get_route(scoped: ScopedHere, id: IdInPath) -> Route:  # noqa: A002
    return await _one(scoped, id)


@alarm_routes.put("/routes/{id}")
async def change_route(
    scoped: ScopedHere,
    id: IdInPath,  # noqa: A002
    wanted: RoutePart,
    version: Version = "",
) -> Route:
    """Replace all that is said of a route."""
    await keep(scoped, id, wanted, new=False, version=version)
    return await _one(scoped, id)


@alarm_routes.delete("/routes/{id}", status_code=204)
async def delete_route(scoped: ScopedHere, id: IdInPath) -> None:  # noqa: A002
    await take_out(scoped, id, "route")


def explained(
    scoped: Scoped, site: str, rule: str, severity: Severity, at: datetime
) -> list[Routing]:
    """Return who would be told of an alarm at a site of theirs, tier by tier."""
    watch = scoped.watch
    if rule not in {each.name for rules in rules_in_force() for each in rules}:
        raise Trouble(422, "There is no such rule.")
    area = scoped.site(site).area
    tiers = watch.registry.site_policy_of(site).escalation.tiers
    case = Case(area=area, rule=rule, severity=severity)
    return by_tier(watch.directory, case, at, watch.ways.set_up, tiers)


async def _one(scoped: Scoped, number: str) -> Route:
    kept = await kept_here(scoped)
    with refusing():
        return Route.of(find(kept.routes, number, "route", by(scoped)))
