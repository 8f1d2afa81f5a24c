"""The application: the API, the console, and what surrounds both."""

import time

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from api.console.assets import Assets
from api.console.duty import duty
from api.console.events import events
from api.console.login import login
from api.console.pages import pages
from api.http.access import Access
from api.http.context import Context
from api.http.hardening import Hardened
from api.http.openapi import describe_with_problems
from api.http.problems import explain_problems
from api.http.routes.alerts import alerts
from api.http.routes.drills import drills
from api.http.routes.health import health, metrics
from api.http.routes.ledger import ledger
from api.http.routes.places import places
from api.http.routes.policy import policy
from api.http.routes.readings import readings
from api.http.routes.sessions import sessions
from api.http.routes.silences import silences
from api.http.routes.switching import switching
from api.http.sessions import Monotonic, Sessions, Throttle
from api.watch import Watch

API = "/api/v1"
DESCRIPTION = """\
Fire watch for e-bike charging stations. Log in with `Authorization: Bearer <token>`.
Moments are RFC 3339 in UTC; ranges are half-open, since <= at < until.
"""


def create_app(
    watch: Watch, access: Access, *, monotonic_s: Monotonic = time.monotonic
) -> FastAPI:
    """Return the application; run it on the loop that runs the engine.

    `monotonic_s` measures logins and their back-off, in real seconds.
    """
    app = FastAPI(
        title="chargewatch",
        version="1",
        description=DESCRIPTION,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # these pages would load their scripts from strangers
        redoc_url=None,
        middleware=[Middleware(Hardened, access=access), Middleware(GZipMiddleware)],
    )
    app.state.context = Context(
        watch=watch,
        access=access,
        sessions=Sessions(monotonic_s),
        throttle=Throttle(monotonic_s),
    )
    for routes in (
        health,
        metrics,
        places,
        readings,
        sessions,
        alerts,
        silences,
        policy,
        switching,
        drills,
        ledger,
    ):
        app.include_router(routes, prefix=API)
    app.include_router(health, prefix="/health", include_in_schema=False)
    app.include_router(metrics, include_in_schema=False)
    for console in (login, duty, pages, events):
        app.include_router(console, include_in_schema=False)
    app.mount("/static", Assets())
    explain_problems(app)
    describe_with_problems(app)
    return app
