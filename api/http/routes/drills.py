"""Drills: an alarm that is none, and goes the whole way of one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from api.drills import DrillTooSoon, Progress
from api.http.access import Right
from api.http.context import Allowed, MayDrill, ScopedHere
from api.http.problems import Trouble
from api.http.scope import Scoped
from api.http.shapes.drills import Drill
from api.http.shapes.shape import NAME_CHARS_MAX
from api.watch import Watch
from ingest.ledger import queries
from rules.places import DRILL_SITE

drills = APIRouter(tags=["drills"], dependencies=[Depends(Allowed(Right.SEE))])


class NewDrill(BaseModel):
    """`site` is whose people are to hear of it; empty: it is at no real site."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"site": "xuhui/renmin-lu"}]}
    )

    site: str = Field("", max_length=NAME_CHARS_MAX)


@drills.post("/drills")
async def begin(scoped: ScopedHere, _caller: MayDrill, wanted: NewDrill) -> Drill:
    """Raise an alarm that is marked as a drill everywhere, and ends by itself."""
    progress = await drill_begun(scoped, wanted.site)
    return await _shown(scoped.watch, progress)


@drills.get("/drills/{drill}")
async def one(
    scoped: ScopedHere, drill: Annotated[str, Path(min_length=1, max_length=64)]
) -> Drill:
    """Say how far a drill came. Only the last one is remembered, and no restart survived."""
    progress = scoped.watch.drills.last
    if progress is None or progress.id != drill or not scoped.caller.sees(progress.site):
        raise Trouble(404, "There is no such drill, or a later one.")
    return await _shown(scoped.watch, progress)


async def drill_begun(scoped: Scoped, wanted: str) -> Progress:
    """Order a drill at a site of theirs, or, with an empty one, at no real site."""
    watch, caller, site = scoped.watch, scoped.caller, wanted or DRILL_SITE
    if not (scoped.has_site(site) or (caller.is_everywhere and site == DRILL_SITE)):
        raise Trouble(422, "There is no such site." if wanted else "At which site?")
    try:
        return await watch.drills.begin(site, caller.deed("drill.begun", watch.now()))
    except DrillTooSoon as error:
        raise Trouble(
            429,
            f"{error}.".capitalize(),
            words="problem.drill_soon",
            headers={"Retry-After": str(error.again_in.seconds + 1)},
        ) from error


async def _shown(watch: Watch, progress: Progress) -> Drill:
    told = await watch.ledger.read(lambda c: queries.deliveries_of(c, progress.episode))
    return Drill.of(progress, told)
