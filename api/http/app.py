"""The application: the API, the console, and what surrounds both."""

import time

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from api.console.alert import alert
from api.console.answering import answering
from api.console.assets import Assets
from api.console.audit import audit as audit_pages
from api.console.check_link import check_link
from api.console.checks import checks
from api.console.device import device
from api.console.devices import devices
from api.console.duty import duty
from api.console.events import events
from api.console.handling import handled
from api.console.hazards import hazards
from api.console.login import login
from api.console.me import me
from api.console.password import password
from api.console.people import people as people_pages
from api.console.people_editing import editing
from api.console.policy import policy as policy_page
from api.console.quarantine import quarantine
from api.console.service import service as service_page
from api.console.sessions import sessions as session_pages
from api.console.silences import silences as silence_pages
from api.console.station import station
from api.console.stations import stations
from api.console.switching import switching as switching_pages
from api.http.access import Access
from api.http.answers import Answers
from api.http.context import Context
from api.http.door import Door
from api.http.hardening import Gates, Hardened
from api.http.openapi import describe_with_problems
from api.http.people_tokens import PeopleTokens
from api.http.problems import explain_problems
from api.http.routes.alarm_routes import alarm_routes
from api.http.routes.alerts import alerts
from api.http.routes.audit import audit
from api.http.routes.drills import drills
from api.http.routes.handling import handling_routes
from api.http.routes.health import health, metrics
from api.http.routes.ledger import ledger
from api.http.routes.people import people
from api.http.routes.places import places
from api.http.routes.policy import policy
from api.http.routes.post_checks import post_checks
from api.http.routes.posts import posts
from api.http.routes.readings import readings
from api.http.routes.sessions import sessions
from api.http.routes.silences import silences
from api.http.routes.switching import switching
from api.http.routes.tokens import tokens as token_routes
from api.http.sessions import Sessions
from api.http.throttle import Buckets, Monotonic, Rates
from api.passwords import Passwords
from api.photographs import Darkroom
from api.watch import Watch
from ingest.clock import Now, utc_now

API = "/api/v1"
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
    for routes in (
        health,
        metrics,
        places,
        readings,
        sessions,
        alerts,
        handling_routes,
        silences,
        policy,
        switching,
        drills,
        post_checks,
        ledger,
        token_routes,
        people,
        posts,
        alarm_routes,
        audit,
    ):
        app.include_router(routes, prefix=API)
    app.include_router(health, prefix="/health", include_in_schema=False)
    app.include_router(metrics, include_in_schema=False)
    for console in (
        login,
        password,
        duty,
        alert,
        stations,
        station,
        switching_pages,
        devices,
        device,
        session_pages,
        handled,
        answering,
        silence_pages,
        hazards,
        quarantine,
        audit_pages,
        policy_page,
        service_page,
        people_pages,
        editing,
        me,
        checks,
        check_link,
        events,
    ):
        app.include_router(console, include_in_schema=False)
    app.mount("/static", Assets())
    explain_problems(app)
    describe_with_problems(app)
    return app
