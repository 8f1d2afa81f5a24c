"""Every route of the API and every page, in the order in which they are looked up.

Made once: what FastAPI finds out about a route takes longer than most answers.
"""

from fastapi import APIRouter

from api.console.alert import alert
from api.console.answering import answering
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

API = "/api/v1"

ROUTES = APIRouter()

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
    ROUTES.include_router(routes, prefix=API)
ROUTES.include_router(health, prefix="/health", include_in_schema=False)
ROUTES.include_router(metrics, include_in_schema=False)
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
    ROUTES.include_router(console, include_in_schema=False)
