"""Drills: an alarm that is none, and goes the whole way of one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from api.drills import DrillTooSoon, Progress
from api.http.access import Right
from api.http.context import Allowed, MayDrill, WatchHere
from api.http.problems import Trouble
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
async def begin(watch: WatchHere, caller: MayDrill, wanted: NewDrill) -> Drill:
    """Raise an alarm that is marked as a drill everywhere, and ends by itself."""
    if wanted.site and wanted.site not in watch.registry.sites:
        raise Trouble(422, "There is no such site.")
    try:
        progress = await watch.drills.begin(wanted.site or DRILL_SITE, caller.name)
    except DrillTooSoon as error:
        raise Trouble(
            429,
            f"{error}.".capitalize(),
            headers={"Retry-After": str(error.again_in.seconds + 1)},
        ) from error
    return await _shown(watch, progress)


@drills.get("/drills/{drill}")
async def one(
    watch: WatchHere, drill: Annotated[str, Path(min_length=1, max_length=64)]
) -> Drill:
    """Say how far a drill came. Only the last one is remembered, and no restart survived."""
    progress = watch.drills.last
    if progress is None or progress.id != drill:
        raise Trouble(404, "There is no such drill, or a later one.")
    return await _shown(watch, progress)


async def _shown(watch: Watch, progress: Progress) -> Drill:
    told = await watch.ledger.read(lambda c: queries.deliveries_of(c, progress.episode))
    return Drill.of(progress, told)
