"""Silences and maintenance windows: who wants to hear nothing of what, and until when."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.http.access import Right
from api.http.context import Allowed, MaySilence, WatchHere
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId, Id, Limit, NumberInPath, Word
from api.http.shapes.shape import NAME_CHARS_MAX, WHEN
from api.http.shapes.silences import Hazard, Hazards, Silence, Silences
from api.watch import Change, Watch
from ingest.ledger import hazards as kept_hazards
from ingest.ledger import silences as kept
from ingest.ledger.hazards import HazardFilter
from ingest.ledger.silences import TooManySilences
from rules.catalog import rules_in_force
from rules.readings import DeviceId
from rules.silences import TEXT_CHARS_MAX, SilenceKind
from rules.silences import Silence as Wanted

Which = Literal["open", "all"]

silences = APIRouter(tags=["silences"], dependencies=[Depends(Allowed(Right.SEE))])


class NewSilence(BaseModel):
    """A site or a device, at most 30 days, and who answers for it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "silence",
                    "owner": "Wang Li, 138 0000 0000",
                    "reason": "the meter of socket 3 is replaced on Friday",
                    "device": "xuhui/renmin-lu/pile-1",
                    "channel": 3,
                    "rule": "overload",
                    "ends": WHEN,
                }
            ]
        },
    )

    kind: SilenceKind = SilenceKind.SILENCE
    owner: str = Field(min_length=1, max_length=TEXT_CHARS_MAX)
    reason: str = Field(min_length=1, max_length=TEXT_CHARS_MAX)
    site: str = Field("", max_length=NAME_CHARS_MAX)
    device: str = Field("", max_length=NAME_CHARS_MAX)
    channel: int | None = Field(None, ge=1, le=256)
    rule: str = Field("", max_length=64)
    starts: AwareDatetime | None = None
    ends: AwareDatetime

    def at(self, now: datetime) -> Wanted:
        """Return what is wanted, or refuse it with the reason."""
        if self.ends <= now:
            raise Trouble(422, "ends must lie ahead.")
        starts = now if self.starts is None else max(self.starts, now)
        values = self.model_dump(exclude={"starts"})
        try:
            return Wanted(id="", starts=starts, **values)
        except ValueError as error:
            raise Trouble(422, f"{error}.".capitalize()) from error


@silences.get("/silences")
async def find(
    watch: WatchHere,
    which: Annotated[Which, Query(description="`all`: those that are over, too.")] = "open",
    limit: Limit = 100,
) -> Silences:
    """List what is in force or to come, the next to end first; or all, newest first."""
    now = watch.now()
    rows = await watch.ledger.read(
        lambda c: kept.newest(c, limit) if which == "all" else kept.not_over(c, now)[:limit]
    )
    return Silences(silences=[Silence.of(row, now) for row in rows])


@silences.post("/silences")
async def create(watch: WatchHere, caller: MaySilence, wanted: NewSilence) -> Silence:
    """Keep alerts from people for a while; they are written down all the same.

    Emergencies are told through it. So is smoke, unless it is a maintenance window that
    names the device. What still fires at its end is told then.
    """
    now = watch.now()
    silence = wanted.at(now)
    _known(watch, silence)
    try:
        made = await watch.ledger.write(
            lambda c: kept.create(c, silence, who=caller.name, now=now)
        )
    except TooManySilences as error:
        raise Trouble(409, f"{error}.".capitalize()) from error
    await watch.desk.ask(lambda batch: watch.engine.silence(made, batch.now))
    return await _shown(watch, int(made.id))


@silences.post("/silences/{number}/end")
async def end(watch: WatchHere, caller: MaySilence, number: NumberInPath) -> Silence:
    """End a silence now: what still fires is told at once."""
    now = watch.now()
    ended = await watch.ledger.write(lambda c: kept.end(c, number, who=caller.name, now=now))
    if ended is None:
        raise Trouble(404, "There is no such silence.")
    await watch.desk.ask(lambda batch: watch.engine.silence(ended, batch.now))
    site = ended.site or "/".join(ended.device.split("/")[:2])
    watch.changes.tell(Change(site, alerts=True))
    return await _shown(watch, number)


@silences.get("/hazards")
async def find_hazards(  # noqa: PLR0913, PLR0917  (each is a filter)
    watch: WatchHere,
    rule: Word | None = None,
    site: Id | None = None,
    device: Id | None = None,
    before_id: BeforeId | None = None,
    limit: Limit = 100,
) -> Hazards:
    """List what late data showed: breaches that nobody could be warned of, newest first."""
    wanted = HazardFilter(rule=rule, site=site, device=device, before_id=before_id)
    found = await watch.ledger.read(
        lambda c: kept_hazards.find_hazards(c, wanted, min(limit, kept_hazards.LIMIT_MAX))
    )
    return Hazards(
        hazards=[Hazard.of(row, watch.registry) for row in found],
        next_before_id=found[-1].id if len(found) == limit else None,
    )


def _known(watch: Watch, silence: Wanted) -> None:
    """Refuse what nobody knows: a silence with a slip of the pen keeps nothing quiet."""
    if silence.rule and silence.rule not in {
        rule.name for rules in rules_in_force() for rule in rules
    }:
        raise Trouble(422, "There is no such rule.")
    if silence.site and silence.site not in watch.registry.sites:
        raise Trouble(422, "There is no such site.")
    if silence.device and DeviceId(silence.device) not in watch.registry.devices:
        raise Trouble(422, "There is no such device.")


async def _shown(watch: Watch, number: int) -> Silence:
    row = await watch.ledger.read(lambda c: kept.get(c, number))
    if row is None:
        raise Trouble(404, "There is no such silence.")
    return Silence.of(row, watch.now())
