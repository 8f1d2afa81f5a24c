"""`./chargewatch drill`: orders a drill of the running service, and follows it on its way.

It needs the tokens file beside the ledger, so only somebody on this machine who may read that
can do it; over the network it is the API with a token that may write.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

import httpx
import msgspec

from api.addresses import own_address
from api.drills import Station
from api.http.shapes.drills import Drill
from api.settings import Settings
from api.text import Texts
from api.tokens import read_tokens
from ingest.errors import ChargewatchError
from ingest.ledger.outbox import OutboxState
from rules.alerts import Transition

POLL_S = 0.1
ANSWERS_WITHIN_S = 15.0


class DrillNotBegun(ChargewatchError):
    """The service is not there, or does not want to."""


class Outcome(NamedTuple):
    drill: Drill
    lines: list[str]
    """What happened, a station on each line."""
    ok: bool


def rehearse(settings: Settings, site: str, wait_s: float, say: Texts) -> Outcome:
    """Order a drill and wait until it is complete, or `wait_s` are over.

    Raises DrillNotBegun, or TokensFileWrong.
    """
    token = next((t for t in read_tokens(settings.data_dir) if t.scope == "write"), None)
    if token is None:
        raise DrillNotBegun(say("drill.no_token", folder=str(settings.data_dir)))
    with httpx.Client(
        base_url=f"{own_address(settings.http)}/api/v1",
        headers={"Authorization": f"Bearer {token.secret}"},
        timeout=ANSWERS_WITHIN_S,
        trust_env=False,
    ) as service:
        drill = _drill(service.post, "/drills", say, {"site": site})
        until = time.monotonic() + wait_s
        while drill.stuck_at and not drill.failure and time.monotonic() < until:
            time.sleep(POLL_S)
            drill = _drill(service.get, f"/drills/{drill.id}", say)
    return Outcome(drill, list(shown(drill, say)), drill.stuck_at is None)


def shown(drill: Drill, say: Texts) -> Iterator[str]:
    """Yield the stations that were reached, each with its delay, and where it got stuck."""
    before = drill.began_at
    for station in (Station.PUBLISHED, Station.HEARD, Station.DECIDED, Station.COMMITTED):
        at = getattr(drill, f"{station}_at")
        if at is not None:
            yield say("drill.reached", station=say(f"drill.{station}"), delay=_ms(at, before))
            before = max(at, before)
    for each in drill.deliveries:
        if each.transition != Transition.FIRING:
            continue
        if each.state == OutboxState.TOLD and each.told_at is not None:
            told = say("drill.told", channel=each.channel)
            yield say("drill.reached", station=told, delay=_ms(each.told_at, before))
        else:
            yield say("drill.not_told", channel=each.channel, reason=each.receipt or each.state)
    if drill.over_at is not None:
        yield say("drill.reached", station=say("drill.over"), delay=_ms(drill.over_at, before))
    if drill.stuck_at is not None:
        stuck = say(f"drill.stuck.{drill.stuck_at}")
        yield say("drill.stuck", where=stuck) + (f" ({drill.failure})" if drill.failure else "")
    else:
        yield say("drill.complete")


def _ms(at: datetime, before: datetime) -> str:
    return f"{max(0.0, (at - before).total_seconds()) * 1000:.0f} ms"


def _drill(
    ask: Callable[..., httpx.Response], path: str, say: Texts, body: object = None
) -> Drill:
    try:
        answer = ask(path) if body is None else ask(path, json=body)
    except httpx.HTTPError as error:
        raise DrillNotBegun(say("drill.no_service", reason=type(error).__name__)) from error
    if not answer.is_success:
        try:
            detail = str(msgspec.json.decode(answer.content)["detail"])
        except (msgspec.DecodeError, KeyError, TypeError):
            detail = ""
        raise DrillNotBegun(say("drill.refused", status=answer.status_code, reason=detail))
    return Drill.model_validate_json(answer.content)
