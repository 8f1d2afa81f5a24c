"""Whether the service lives, whether it is ready, and its figures."""

from fastapi import APIRouter, Depends, Response

from api.http.access import Right
from api.http.context import Allowed, WatchHere
from api.http.shapes.service import Live, PartHealth, Ready

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"

health = APIRouter(tags=["health"])
metrics = APIRouter(tags=["health"], dependencies=[Depends(Allowed(Right.SERVICE))])


@health.get("/live")
async def live() -> Live:
    """Say that the process answers. Needs no token."""
    return Live()


@health.get("/ready", responses={503: {"model": Ready, "description": "Not ready"}})
async def ready(watch: WatchHere, response: Response) -> Ready:
    """Say whether every vital part is well, and which part is not. Needs no token."""
    parts = watch.health()
    is_ready = all(part.ok for part in parts if part.vital)
    response.status_code = 200 if is_ready else 503
    return Ready(ready=is_ready, parts=[PartHealth.of(part) for part in parts])


@metrics.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": "chargewatch_messages_total 7.0"}}}},
)
async def figures(watch: WatchHere) -> Response:
    """Return the figures of the process, as Prometheus reads them."""
    return Response(watch.metrics(), media_type=EXPOSITION)
