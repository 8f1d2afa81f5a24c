"""The application: the API, the console, and what surrounds both."""

import time

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from api.console.assets import Assets
from api.http.access import Access
from api.http.answers import Answers
from api.http.context import Context
from api.http.door import Door
from api.http.hardening import Gates, Hardened
from api.http.openapi import describe_with_problems
from api.http.people_tokens import PeopleTokens
from api.http.problems import explain_problems
from api.http.sessions import Sessions
from api.http.table import API, ROUTES
from api.http.throttle import Buckets, Monotonic, Rates
from api.passwords import Passwords
from api.photographs import Darkroom
from api.watch import Watch
from ingest.clock import Now, utc_now

DESCRIPTION = """\
Fire watch for e-bike charging stations. Log in with `Authorization: Bearer <token>`.
Moments are RFC 3339 in UTC; ranges are half-open, since <= at < until.
"""


def create_app(  # noqa: PLR0913  (clocks and limits are for tests to choose)
    watch: Watch,
    access: Access,
    *,
    monotonic_s: Monotonic = time.monotonic,
    wall: Now = utc_now,
    rates: Rates | None = None,
    passwords: Passwords | None = None,
) -> FastAPI:
    """Return the application; run it on the loop that runs the engine.

    `monotonic_s` measures back-off, in real seconds; `wall` is the time of people, by which
    logins and tokens end (the watch's runs faster in the demo).
    """
    rates = rates or Rates()
    tokens = PeopleTokens(watch, wall)
    access = access.with_people(tokens.holder)
    sessions_here = Sessions(watch.ledger, access, watch.directory, watch.now, wall)
    door = Door(
        watch,
        access,
        sessions_here,
        passwords=passwords or Passwords(),
        monotonic_s=monotonic_s,
        wall=wall,
    )
    app = FastAPI(
        title="chargewatch",
        version="1",
        description=DESCRIPTION,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # these pages would load their scripts from strangers
        redoc_url=None,
        routes=ROUTES.routes,
        middleware=[
            Middleware(Hardened, access=access, gates=Gates(rates, monotonic_s)),
            Middleware(GZipMiddleware),
        ],
    )
    app.state.context = Context(
        watch=watch,
        access=access,
        sessions=sessions_here,
        door=door,
        tokens=tokens,
        answers=Answers(watch, wall),
        darkroom=Darkroom(),
        callers=Buckets(rates.caller, monotonic_s),
        tries=Buckets(rates.trying, monotonic_s),
    )
    app.mount("/static", Assets())
    explain_problems(app)
    describe_with_problems(app)
    return app
