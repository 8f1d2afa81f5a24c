"""The policy: which one is in force, reading it again, and what was changed about it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.http.access import Caller, Right
from api.http.context import Allowed, MayPolicy, ScopedHere, WatchHere
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId
from api.http.shapes.policy import PolicyChange, PolicyChanges, PolicyInForce
from api.policy_file import PolicyFileWrong
from api.watch import Watch
from ingest.ledger.audit import append_audit
from ingest.ledger.policy_log import SHOWN_MAX, How

policy = APIRouter(tags=["policy"], dependencies=[Depends(Allowed(Right.SEE))])


@policy.get("/policy")
async def in_force(scoped: ScopedHere) -> PolicyInForce:
    """Say which policy is in force, and what is wrong with the file, if anything is.

    What is wrong, and where, is for those who answer for all areas.
    """
    return PolicyInForce.of(scoped.policy_state())


@policy.post("/policy/reload")
async def reload(watch: WatchHere, caller: MayPolicy) -> PolicyInForce:
    """Read the policy file now. One that is wrong is refused with all its mistakes (422)."""
    try:
        await policy_reloaded(watch, caller)
    except PolicyFileWrong as error:
        raise Trouble(422, str(error)) from error
    return PolicyInForce.of(watch.policy.state)


@policy.get("/policy/changes")
async def changes(
    scoped: ScopedHere,
    before_id: BeforeId | None = None,
    limit: Annotated[int, Query(ge=1, le=SHOWN_MAX)] = 50,
) -> PolicyChanges:
    """List what was changed about the policy, by whom and when, newest first.

    Of a change, what was set for places of other areas is left out.
    """
    found = await scoped.policy_changes(before_id, limit + 1)
    page = found[:limit]
    return PolicyChanges(
        changes=[PolicyChange.of(line) for line in page],
        next_before_id=page[-1].id if len(found) > limit else None,
    )


async def policy_reloaded(watch: Watch, caller: Caller) -> None:
    """Have the file read and put in force. Raises PolicyFileWrong, and writes that down too."""
    try:
        await watch.policy.reload(caller.deed("policy.reloaded", watch.now()), How.REQUEST)
    except PolicyFileWrong:
        refused = caller.deed("policy.refused", watch.now())
        await watch.ledger.write(lambda c: append_audit(c, refused))
        raise
