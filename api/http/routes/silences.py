"""Silences and maintenance windows: who wants to hear nothing of what, and until when."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from api.http.access import Right
from api.http.context import Allowed, MaySilence, ScopedHere
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId, Id, Limit, NumberInPath, Word
from api.http.scope import Scoped
from api.http.shapes.shape import NAME_CHARS_MAX, WHEN
from api.http.shapes.silences import Hazard, Hazards, Silence, Silences
from api.watch import Change, Watch
from ingest.ledger import hazards as kept_hazards
from ingest.ledger import silences as kept
from ingest.ledger.audit import append_audit
from ingest.ledger.hazards import HazardFilter
from ingest.ledger.silences import TooManySilences
from rules.catalog import rules_in_force
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
    scoped: ScopedHere,
    which: Annotated[Which, Query(description="`all`: those that are over, too.")] = "open",
    limit: Limit = 100,
) -> Silences:
    """List what is in force or to come, the next to end first; or all, newest first."""
    now, own = scoped.watch.now(), scoped.caller.within
    rows = await scoped.watch.ledger.read(
        lambda c: (
            kept.newest(c, limit, own) if which == "all" else kept.not_over(c, now, own)[:limit]
        )
    )
    return Silences(silences=[Silence.of(row, now) for row in rows])


@silences.post("/silences")
async def create(scoped: ScopedHere, _caller: MaySilence, wanted: NewSilence) -> Silence:
    """Keep alerts from people for a while; they are written down all the same.

    Emergencies are told through it. So is smoke, unless it is a maintenance window that
    names the device. What still fires at its end is told then.
    """
    made = await silenced(scoped, wanted.at(scoped.watch.now()))
    return Silence.of(await scoped.silence(int(made.id)), scoped.watch.now())


@silences.post("/silences/{number}/end")
async def end(scoped: ScopedHere, _caller: MaySilence, number: NumberInPath) -> Silence:
    """End a silence now: what still fires is told at once."""
    await silence_ended(scoped, number)
    return Silence.of(await scoped.silence(number), scoped.watch.now())


@silences.get("/hazards")
async def find_hazards(  # noqa: PLR0913, PLR0917  (each is a filter)
    scoped: ScopedHere,
    rule: Word | None = None,
    site: Id | None = None,
    device: Id | None = None,
    before_id: BeforeId | None = None,
    limit: Limit = 100,
) -> Hazards:
    """List what late data showed: breaches that nobody could be warned of, newest first."""
    wanted = HazardFilter(
        rule=rule, site=site, device=device, before_id=before_id, areas=scoped.caller.within
    )
    found = await scoped.watch.ledger.read(
        lambda c: kept_hazards.find_hazards(c, wanted, min(limit, kept_hazards.LIMIT_MAX))
    )
    return Hazards(
        hazards=[Hazard.of(row, scoped.watch.registry) for row in found],
        next_before_id=found[-1].id if len(found) == limit else None,
    )


async def silenced(scoped: Scoped, wanted: Wanted) -> Wanted:
    """Keep a silence and put it in force; refuse what is not theirs, or is too much."""
    watch, caller = scoped.watch, scoped.caller
    now = watch.now()
    _check_known(scoped, wanted)

    def make(c: Connection) -> Wanted:
        made = kept.create(c, wanted, who=caller.name, now=now)
        append_audit(
            c,
            caller.deed(
                "silence.made",
                now,
                about=made.id,
                place=made.site or made.device,
                detail=made.reason,
            ),
        )
        return made

    try:
        made = await watch.ledger.write(make)
    except TooManySilences as error:
        raise Trouble(409, f"{error}.".capitalize()) from error
    await watch.desk.ask(lambda batch: watch.engine.silence(made, batch.now))
    _tell_pages(watch, made)
    return made


async def silence_ended(scoped: Scoped, number: int) -> None:
    """End a silence of theirs now, and tell the open pages."""
    watch, caller = scoped.watch, scoped.caller
    now, silence = watch.now(), (await scoped.silence(number)).silence
    place = silence.site or silence.device

    def end_it(c: Connection) -> Wanted:
        ended = kept.end(c, number, who=caller.name, now=now)
        if ended is None:
            raise Trouble(404, "There is no such silence.")
        append_audit(c, caller.deed("silence.ended", now, about=str(number), place=place))
        return ended

    ended = await watch.ledger.write(end_it)
    await watch.desk.ask(lambda batch: watch.engine.silence(ended, batch.now))
    _tell_pages(watch, ended)


def _tell_pages(watch: Watch, silence: Wanted) -> None:
    """Say that alerts of the place are told now, or are not, unlike before."""
    place = silence.site or silence.device
    watch.changes.tell(Change("/".join(place.split("/")[:2]), alerts=True))


def _check_known(scoped: Scoped, silence: Wanted) -> None:
    """Refuse what nobody knows: a silence with a slip of the pen keeps nothing quiet."""
    if silence.rule and silence.rule not in {
        rule.name for rules in rules_in_force() for rule in rules
    }:
        raise Trouble(422, "There is no such rule.")
    if silence.site and not scoped.has_site(silence.site):
        raise Trouble(422, "There is no such site.")
    if silence.device and not scoped.has_device(silence.device):
        raise Trouble(422, "There is no such device.")
