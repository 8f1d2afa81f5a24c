"""Every route of the API and every page, asked by every role in its own and in a foreign area.

A route that is added without a line in the table fails here.
"""

import asyncio
import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import pytest
from fastapi.routing import iter_route_contexts

from api.console import events
from api.console.answering import APART
from api.console.login import COOKIE
from api.http.access import RIGHTS, Caller, Right
from api.http.hardening import HEADERS
from api.http.people_tokens import LASTS_MAX
from api.http.routes.handling import PHOTO_HEADERS
from api.http.throttle import Rate, Rates
from ingest.ledger.hazards import write_hazard
from ingest.ledger.people import write_post
from ingest.people import EVERYWHERE, Role
from ingest.registry import Name
from rules.readings import Reading
from rules.retrospect import Hazard
from rules.verdict import Evidence
from tests.checking import asks, gate
from tests.http_doubles import NOON, PAGE, PILE, SMOKE, TOKENS, Client, World, bearer, somebody
from tests.http_doubles import world as made_world

pytest_plugins = ["tests.http_fixtures"]

TABLE = """
GET    /api/v1/openapi.json                         open         same
GET    /api/v1/live                                 open         same
GET    /api/v1/ready                                open         same
GET    /health/live                                 open         same
GET    /health/ready                                open         same
GET    /api/v1/metrics                              service      same
GET    /metrics                                     service      same
GET    /api/v1/areas                                see          list
GET    /api/v1/sites                                see          list
GET    /api/v1/sites/{area}/{site}                  see          404
GET    /api/v1/devices                              see          list
GET    /api/v1/devices/{area}/{site}/{device:path}  see          404
GET    /api/v1/readings                             see          404
GET    /api/v1/readings/aggregate                   see          404
GET    /api/v1/sessions                             see          list
GET    /api/v1/alerts                               see          list
GET    /api/v1/alerts/{number}                      see          404
POST   /api/v1/alerts/{number}/acknowledge          acknowledge  404
POST   /api/v1/alerts/{number}/notes                acknowledge  404
GET    /api/v1/alerts/{number}/photos               see          404
POST   /api/v1/alerts/{number}/photos               acknowledge  404
GET    /api/v1/alerts/{number}/photos/{photo}       see          404
POST   /api/v1/alerts/{number}/take                 acknowledge  404
POST   /api/v1/alerts/{number}/hand                 acknowledge  404
GET    /api/v1/silences                             see          list
POST   /api/v1/silences                             silence      422
POST   /api/v1/silences/{number}/end                silence      404
GET    /api/v1/hazards                              see          list
GET    /api/v1/policy                               see          same
POST   /api/v1/policy/reload                        policy       same
GET    /api/v1/policy/changes                       see          same
POST   /api/v1/cut                                  cut          404
GET    /api/v1/commands                             see          list
GET    /api/v1/commands/{id}                        see          404
GET    /api/v1/latches                              see          list
POST   /api/v1/latches/{id}/clear                   clear_latch  404
POST   /api/v1/drills                               drill        422
GET    /api/v1/drills/{drill}                       see          404
GET    /api/v1/post-checks                          see          list
GET    /api/v1/post-checks/summary                  see          list
GET    /api/v1/post-checks/{number}                 see          404
POST   /api/v1/post-checks/{number}/answer          acknowledge  404
POST   /api/v1/posts/{id}/check                     drill        404
GET    /api/v1/quarantine                           service      same
GET    /api/v1/summary                              service      same
GET    /api/v1/tokens                               anybody      same
POST   /api/v1/tokens                               anybody      same
DELETE /api/v1/tokens/{number}                      anybody      same
GET    /api/v1/people                               people       list
POST   /api/v1/people                               people       422
GET    /api/v1/people/{id}                          people       404
PUT    /api/v1/people/{id}                          people       404
DELETE /api/v1/people/{id}                          people       404
POST   /api/v1/people/{id}/password                 people       404
POST   /api/v1/people/{id}/try                      people       404
GET    /api/v1/posts                                people       list
POST   /api/v1/posts                                people       422
GET    /api/v1/posts/{id}                           people       404
PUT    /api/v1/posts/{id}                           people       404
DELETE /api/v1/posts/{id}                           people       404
POST   /api/v1/posts/{id}/try                       people       404
GET    /api/v1/routes                               people       list
POST   /api/v1/routes                               people       422
GET    /api/v1/routes/explain                       people       404
GET    /api/v1/routes/{id}                          people       404
PUT    /api/v1/routes/{id}                          people       404
DELETE /api/v1/routes/{id}                          people       404
GET    /api/v1/audit                                audit        same
GET    /login                                       open         same
POST   /login                                       open         same
POST   /logout                                      anybody      same
GET    /password                                    anybody      same
POST   /password                                    anybody      same
GET    /                                            see          list
GET    /service-worker.js                           open         same
GET    /stations                                    see          list
GET    /stations/{area}/{site}                      see          404
GET    /sockets/{area}/{site}/{device:path}         see          404
GET    /charts/{area}/{site}/{device:path}          see          404
GET    /devices                                     see          list
GET    /devices/{area}/{site}/{device:path}         see          404
GET    /sessions                                    see          list
GET    /sessions.csv                                see          list
GET    /cut                                         cut          404
POST   /cut                                         cut          404
GET    /latches/{id}/clear                          clear_latch  404
POST   /latches/{id}/clear                          clear_latch  404
GET    /alerts/{number}                             see          404
GET    /alerts/{number}/chart                       see          404
POST   /alerts/{number}/acknowledge                 acknowledge  404
GET    /a/{token}                                   open         same
POST   /a/{token}                                   open         same
POST   /a/{token}/notes                             open         same
POST   /a/{token}/photos                            open         same
POST   /alerts/{number}/notes                       acknowledge  404
POST   /alerts/{number}/photos                      acknowledge  404
GET    /alerts/{number}/photos/{photo}              see          404
POST   /alerts/{number}/take                        acknowledge  404
POST   /alerts/{number}/hand                        acknowledge  404
GET    /silences                                    see          list
GET    /silences/new                                silence      404
POST   /silences                                    silence      404
GET    /silences/{number}                           see          404
POST   /silences/{number}/end                       silence      404
GET    /hazards                                     see          list
GET    /people                                      people       list
GET    /people/explain                              people       404
GET    /people/{kind}/new                           people       same
GET    /people/{kind}/{id}                          people       404
POST   /people/{kind}                               people       404
POST   /people/person/{id}/password                 people       404
POST   /people/{kind}/{id}/try                      people       404
POST   /people/{kind}/{id}/delete                   people       404
GET    /me                                          anybody      same
POST   /me/logins/end                               anybody      same
POST   /me/tokens                                   anybody      same
POST   /me/tokens/{number}/revoke                   anybody      same
GET    /checks                                      see          list
POST   /checks/begin                                drill        404
POST   /checks/{number}/answer                      acknowledge  404
GET    /a/c/{token}                                 open         same
POST   /a/c/{token}                                 open         same
GET    /quarantine                                  service      same
GET    /quarantine/{number}/payload                 service      same
GET    /policy                                      see          404
POST   /policy/reload                               policy       same
GET    /service                                     service      same
POST   /service/drills                              drill        422
GET    /audit                                       audit        same
GET    /audit/export                                audit        same
GET    /events                                      anybody      same
"""
"""Method, path, the right that it wants (anybody: a login is enough), and what somebody who has
it, but in another area, is answered: the same; a list without what is foreign; or a status."""

ANSWERS = {
    "POST /api/v1/cut": 202,
    "POST /api/v1/people": 201,
    "POST /api/v1/posts": 201,
    "DELETE /api/v1/posts/{id}": 204,
    "POST /api/v1/routes": 201,
    "DELETE /api/v1/routes/{id}": 204,
    "DELETE /api/v1/tokens/{number}": 404,  # it is somebody else's
    "POST /login": 401,  # nobody is called so
    "POST /logout": 303,
    "POST /password": 422,  # the old one is wrong
    "POST /alerts/{number}/acknowledge": 303,
    "GET /a/{token}": 404,  # this is no link
    "POST /a/{token}": 404,
    "POST /a/{token}/notes": 404,
    "POST /a/{token}/photos": 404,
    "POST /cut": 303,
    "POST /latches/{id}/clear": 303,
    "POST /policy/reload": 303,
    "POST /service/drills": 303,
    "POST /alerts/{number}/notes": 303,
    "POST /alerts/{number}/photos": 303,
    "POST /alerts/{number}/take": 303,
    "POST /alerts/{number}/hand": 303,
    "POST /silences": 303,
    "POST /silences/{number}/end": 303,
    "POST /people/{kind}": 303,
    "POST /people/person/{id}/password": 200,
    "POST /people/{kind}/{id}/try": 200,
    "POST /me/tokens": 200,
    "POST /people/{kind}/{id}/delete": 303,
    "POST /me/logins/end": 404,  # none of theirs
    "POST /me/tokens/{number}/revoke": 404,
    "POST /api/v1/posts/{id}/check": 409,  # its area burns
    "POST /checks/begin": 409,
    "POST /checks/{number}/answer": 303,
    "GET /a/c/{token}": 404,  # nobody made it
    "POST /a/c/{token}": 404,
    "GET /events": 429,  # see `no_streams`: an endless answer says nothing here
}
"""To somebody who may, where it is not 200."""
QUERIES = {
    "GET /api/v1/readings": f"?device={PILE}",
    "GET /api/v1/readings/aggregate": f"?device={PILE}&quantity=power_w",
    "GET /api/v1/sessions": "?open=true",
    "GET /api/v1/routes/explain": "?site=xuhui/renmin-lu",
    "GET /people/explain": "?site=xuhui/renmin-lu",
    "GET /people": "?which=posts",
    "GET /sockets/{area}/{site}/{device:path}": "?channel=3",
    "GET /charts/{area}/{site}/{device:path}": "?channel=3&quantity=power_w",
    "GET /sessions": "?which=open",
    "GET /sessions.csv": "?which=open",
    "GET /cut": f"?device={PILE}&channel=3",
    "GET /policy": "?place=xuhui/renmin-lu",
    "GET /silences/new": f"?device={PILE}",
}
ENDS = (NOON + timedelta(days=1)).isoformat()
PERSON = {
    "name": "安娜",
    "role": "manager",
    "areas": ["xuhui"],
    "ways": [{"via": "sms", "address": "110"}],
}
POST = {
    "name": {"zh": "岗", "en": "Desk"},
    "area": "xuhui",
    "ways": [{"via": "sms", "address": "110"}],
}
ROUTE = {"areas": ["xuhui"], "tiers": [["role:manager"]]}
ENTERED: Mapping[str, Mapping[str, object]] = {"people": PERSON, "posts": POST, "routes": ROUTE}
"""Of each there is one in xuhui."""
BODIES: Mapping[str, Mapping[str, object]] = {
    "POST /api/v1/alerts/{number}/acknowledge": {},
    "POST /api/v1/alerts/{number}/notes": {"text": "looked at"},
    "POST /api/v1/alerts/{number}/take": {},
    "POST /api/v1/alerts/{number}/hand": {"to": "person:wang"},
    "POST /api/v1/silences": {"owner": "L", "reason": "tests", "device": SMOKE, "ends": ENDS},
    "POST /api/v1/cut": {"device": PILE, "channel": 3, "reason": "smells"},
    "POST /api/v1/latches/{id}/clear": {"reason": "looked at"},
    "POST /api/v1/drills": {"site": "xuhui/renmin-lu"},
    "POST /api/v1/tokens": {"name": "wall", "rights": ["see"]},
    **{f"POST /api/v1/{kind}": {"id": "new", **body} for kind, body in ENTERED.items()},
    **{f"PUT /api/v1/{kind}/{{id}}": body for kind, body in ENTERED.items()},
    **{f"POST /api/v1/{kind}/{{id}}/try": {"via": "sms"} for kind in ("people", "posts")},
}
FORMS = {
    "POST /people/{kind}": {
        "id": "renmin-lu.posts",
        "name_zh": "岗",
        "name_en": "Desk",
        "area": "xuhui",
        "active": "true",
    },
    "POST /people/{kind}/{id}/try": {"via": "sms"},
    "POST /me/tokens": {"name": "wall", "right": "see"},
    "POST /cut": {"device": PILE, "channel": "3", "reason": "smells", "sure": "true"},
    "POST /latches/{id}/clear": {"reason": "looked at", "looked": "true"},
    "POST /checks/begin": {"post": "renmin-lu-gate"},
    "POST /login": {"name": "nobody", "password": "wrong"},
    "POST /service/drills": {"site": "xuhui/renmin-lu"},
    "POST /alerts/{number}/notes": {"text": "looked at"},
    "POST /alerts/{number}/hand": {"to": "person:wang"},
    "POST /silences": {"site": "xuhui/renmin-lu", "owner": "L", "reason": "tests"},
    "POST /password": {"old": "wrong", "new": "another phrase", "again": "another phrase"},
}
PHOTO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
"""A picture of one pixel."""
PHOTOS_SENT = {"POST /api/v1/alerts/{number}/photos", "POST /alerts/{number}/photos"}
SHUT_OFF = {
    "GET /api/v1/alerts/{number}/photos/{photo}": PHOTO_HEADERS,
    "GET /alerts/{number}/photos/{photo}": PHOTO_HEADERS,
}
LINKS = re.compile(r"\S+ /a/")
"""What has headers of its own, which allow less, if it is shown."""
ONCE = {
    "POST /api/v1/latches/{id}/clear",
    "POST /latches/{id}/clear",
    "POST /api/v1/drills",
    "POST /service/drills",
    "POST /login",
    "POST /logout",
}
"""What can be done only once, or a few times: each role has a world of its own."""
ADMINS_TOO = {"DELETE /api/v1/tokens/{number}": 200}
"""What an admin is answered instead: with the right `people`, tokens of others are theirs."""
HAZARD = Hazard(
    rule="smoke",
    device=SMOKE,
    channel=None,
    site="xuhui/renmin-lu",
    began_at=NOON,
    ended_at=NOON,
    evidence=Evidence(),
)
OWN = "renmin-lu"
"""Is in every list of somebody who answers for xuhui; but areas are named by their id."""

OF_A_NAME = {"/api/v1/routes/explain": {"PUT", "DELETE"}, "/people/explain": {"POST"}}
"""It is also how something of that name would be asked for; there can be none."""


class Line(NamedTuple):
    method: str
    path: str
    need: str
    foreign: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/api/", "/health/", "/metrics"))


LINES = [Line(*line.split()) for line in TABLE.strip().splitlines()]
PAGES_POSTED = [line for line in LINES if line.is_page and line.method == "POST"]
each_line = pytest.mark.parametrize("line", LINES, ids=[line.key for line in LINES])


class Somebody(NamedTuple):
    """One role, in one area: how they ask the API, and how the pages."""

    role: Role
    token: str
    cookie: str
    csrf: str


class Ids(NamedTuple):
    command: str
    latch: str
    drill: str


class Here(NamedTuple):
    world: World
    client: Client
    ids: Ids
    runner: asyncio.Runner

    def somebody(self, role: Role, area: str) -> Somebody:
        """Return somebody of that role who answers for an area, logged in and with a token."""
        name = f"{role}-{area.strip('*') or 'all'}"
        if name not in self.world.directory.people:
            self.runner.run(self.world.add(somebody(name, role, frozenset({area}))))
        caller = Caller.of_person(self.world.directory.people[name])
        context = self.client.app.state.context
        _, token = self.runner.run(context.tokens.make(caller, "t", caller.rights, LASTS_MAX))
        session = self.runner.run(context.sessions.begin(caller, "10.0.0.7"))
        return Somebody(role, token, session.id, session.csrf)

    def ask(
        self, line: Line, who: Somebody | None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Ask for what the line says, in xuhui."""
        ids = self.ids
        kind = line.path.split("/")[3] if line.path.startswith("/api/v1/") else ""
        if line.path.startswith("/people/"):
            kind = "people" if "/person/" in line.path else "posts"
        entered = f"{OWN}.{kind}" if kind in ENTERED else ids.command
        path = line.path.format_map(
            {
                "area": "xuhui",
                "site": "renmin-lu",
                "number": 999 if line.path.startswith("/me/") else 1,
                "id": ids.latch if kind == "latches" else entered,
                "drill": ids.drill,
                "photo": 1,
                "kind": "post",
                "token": "nothing",
                "device": _Tail("pile-1"),
            }
        )
        said = dict(headers or {})
        form: dict[str, str] = dict(FORMS.get(line.key, {}))
        if line.is_page:
            said |= PAGE
            if who is not None:
                said["Cookie"] = f"{COOKIE}={who.cookie}"
                form.setdefault("csrf", who.csrf)
        elif who is not None:
            said |= bearer(who.token)
        return self.client.request(
            line.method,
            path + QUERIES.get(line.key, ""),
            headers=said,
            json=BODIES.get(line.key),
            data=form if line.is_page and line.method == "POST" else None,
            files={"photo": PHOTO} if line.key in PHOTOS_SENT else None,
        )


class _Tail(str):
    """The rest of a path, as a route's own format asks for it."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return str(self)


@contextmanager
def a_busy_world(path: Path, runner: asyncio.Runner) -> Iterator[Here]:
    """Yield a world in which something of everything has happened in xuhui."""
    path.mkdir(exist_ok=True)
    with made_world(path) as world:
        desk = msgspec.structs.replace(
            gate(id="renmin-lu-gate", area="xuhui"), name=Name("renmin-lu", "renmin-lu")
        )
        runner.run(world.ledger.write(lambda c: write_post(c, desk)))
        world.directory.posts[desk.id] = desk
        runner.run(world.post_checks.begin("renmin-lu-gate", asks("somebody")))
        for device, reading in (
            (PILE, Reading(channel=3, power_w=1203.0)),
            (SMOKE, Reading(smoke_alarm=True)),
        ):
            runner.run(world.hear(device, reading))
        runner.run(world.wait(timedelta(seconds=31)))
        runner.run(world.ledger.write(lambda c: write_hazard(c, HAZARD, NOON)))
        runner.run(world.refuse("t", b"{", "not_json"))
        much = Rate(1e6, 1e6)
        rates = Rates(address=much, caller=much, change=much, entry=much, trying=much)
        client = Client(world.app_for(TOKENS, rates), runner)
        here = Here(world, client, Ids("", "", ""), runner)
        first = bearer(here.somebody(Role.ADMIN, EVERYWHERE).token)
        for key in ("POST /api/v1/cut", "POST /api/v1/silences"):
            made = client.post(key.split()[1], json=BODIES[key], headers=first)
            assert made.is_success, made.text
        for kind, body in ENTERED.items():
            entered = {"id": f"{OWN}.{kind}", **body}
            made = client.post(f"/api/v1/{kind}", json=entered, headers=first)
            assert made.is_success, made.text
        runner.run(world.add(somebody("wang", Role.MANAGER, frozenset({EVERYWHERE}))))
        photo = {"photo": PHOTO}
        client.post("/api/v1/alerts/1/photos", files=photo, headers=first).raise_for_status()
        [command] = client.get("/api/v1/commands", headers=first).json()["commands"]
        [latch] = client.get("/api/v1/latches", headers=first).json()["latches"]
        site = {"site": "xuhui/renmin-lu"}
        drill = client.post("/api/v1/drills", json=site, headers=first).json()
        world.at += timedelta(minutes=30)
        yield here._replace(ids=Ids(command["id"], latch["id"], drill["id"]))


@pytest.fixture
def busy(tmp_path: Path, runner: asyncio.Runner) -> Iterator[Here]:
    with a_busy_world(tmp_path / "busy", runner) as here:
        yield here


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """Yield one world for all who are refused: they leave it as it was."""
    with (
        asyncio.Runner() as runner,
        a_busy_world(tmp_path_factory.mktemp("shared"), runner) as here,
    ):
        yield here


@pytest.fixture(scope="module")
def admin(shared: Here) -> Somebody:
    return shared.somebody(Role.ADMIN, EVERYWHERE)


@pytest.fixture(autouse=True)
def no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody listen: whoever may is told that there are too many."""
    monkeypatch.setattr(events, "STREAMS_MAX_EACH", 0)


def expected(line: Line, role: Role, *, own: bool) -> int:
    """Return what somebody of a role is answered."""
    if line.need not in {"open", "anybody"} and Right(line.need) not in RIGHTS[role]:
        return 403
    if not own and line.foreign.isdecimal():
        return int(line.foreign)
    if role is Role.ADMIN and line.key in ADMINS_TOO:
        return ADMINS_TOO[line.key]
    return ANSWERS.get(line.key, 200)


def check(line: Line, here: Here, role: Role) -> None:
    for area in ("berlin", "xuhui"):
        own = area == "xuhui"
        response = here.ask(line, here.somebody(role, area))
        assert response.status_code == expected(line, role, own=own), (
            f"{role} of {area}: {response.status_code} {response.text[:500]}"
        )
        if line.foreign == "list" and response.is_success:
            word = "xuhui" if line.path.endswith("areas") else OWN
            assert (word in response.text) is own, f"{role} of {area}"


# --- the table -------------------------------------------------------------------------------


def test_every_route_has_a_line_and_every_line_a_route(here: World) -> None:
    routes = {
        f"{method} {route.path}"
        for route in iter_route_contexts(here.app.routes)
        for method in (getattr(route, "methods", None) or {"MOUNT"}) - {"HEAD"}
    }
    assert routes == {line.key for line in LINES} | {"MOUNT /static"}


@each_line
def test_each_role_is_answered_what_its_rights_and_its_area_are_worth(
    tmp_path: Path, runner: asyncio.Runner, line: Line
) -> None:
    if line.key in ONCE:
        for role in Role:
            with a_busy_world(tmp_path / role, runner) as here:
                check(line, here, role)
        return
    with a_busy_world(tmp_path / "busy", runner) as here:
        for role in Role:
            check(line, here, role)


@each_line
def test_strangers_are_answered_what_is_open_and_nothing_else(shared: Here, line: Line) -> None:
    response = shared.ask(line, None)
    if line.need == "open":
        assert response.status_code == ANSWERS.get(line.key, 200)
    elif line.is_page:
        assert response.status_code == 303
        assert response.headers["location"].startswith("/login")
    else:
        assert response.status_code == 401
        assert OWN not in response.text


@each_line
def test_somebody_with_no_area_at_all_sees_nothing_of_any(shared: Here, line: Line) -> None:
    nobody = shared.somebody(Role.MANAGER, f"nowhere-{LINES.index(line)}")
    response = shared.ask(line, nobody)
    assert response.status_code == expected(line, Role.MANAGER, own=False)
    if line.foreign == "list":
        assert OWN not in response.text


# --- forms, methods, headers, cookies --------------------------------------------------------


@pytest.mark.parametrize("line", PAGES_POSTED, ids=[line.key for line in PAGES_POSTED])
def test_no_page_takes_a_form_that_it_did_not_make(busy: Here, line: Line) -> None:
    admin, other = (busy.somebody(Role.ADMIN, area) for area in (EVERYWHERE, "xuhui"))
    for site in ("cross-site", "same-site"):
        elsewhere = busy.ask(line, admin, {"Sec-Fetch-Site": site})
        assert elsewhere.status_code == 403
    if line.need == "open":
        return
    for csrf in ("", "x" * 43, other.csrf, admin.csrf + "x"):
        assert busy.ask(line, admin._replace(csrf=csrf)).status_code == 403
    assert busy.ask(line, admin).status_code == ANSWERS[line.key]


@pytest.mark.parametrize("path", sorted({line.path for line in LINES}))
def test_a_method_that_a_path_does_not_have_is_refused(
    shared: Here, admin: Somebody, path: str
) -> None:
    known = {line.method for line in LINES if line.path == path} | OF_A_NAME.get(path, set())
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - known:
        response = shared.ask(Line(method, path, "", ""), admin)
        assert response.status_code == 405, method


@each_line
def test_every_answer_has_the_headers_that_keep_browsers_in_line(
    busy: Here, line: Line
) -> None:
    people = (busy.somebody(role, "xuhui") for role in (Role.ADMIN, Role.POLICE))
    for who in (None, *people):
        response = busy.ask(line, who)
        headers = response.headers
        own = SHUT_OFF.get(line.key, {}) if response.is_success else {}
        if LINKS.match(line.key):
            own = APART
        for name, value in ({"Cache-Control": "no-store"} | HEADERS | own).items():
            kept = {value, "no-cache"} if name == "Cache-Control" else {value}
            assert headers[name] in kept, name
        assert "server" not in headers


def test_the_cookie_is_for_us_alone_and_for_tls_alone_where_there_is_tls(busy: Here) -> None:
    who = busy.somebody(Role.POLICE, "xuhui")
    data = {"token": next(iter(TOKENS))}
    for scheme in ("http", "https"):
        url = f"{scheme}://watch"
        begun = busy.client.post(f"{url}/login", data=data, headers=PAGE)
        ended = busy.client.post(
            f"{url}/logout",
            data={"csrf": who.csrf},
            headers=PAGE | {"Cookie": f"{COOKIE}={who.cookie}"},
        )
        for said in (begun.headers["set-cookie"], ended.headers.get("set-cookie", "")):
            flags = {flag.strip().casefold() for flag in said.split(";")}
            assert not said or {"httponly", "samesite=strict", "path=/"} <= flags
            assert not said or ("secure" in flags) is (scheme == "https")


# --- the page about it -----------------------------------------------------------------------


def test_the_page_about_access_has_the_table_of_the_code() -> None:
    text = (Path(__file__).parent.parent / "docs" / "access.md").read_text(encoding="utf-8")
    [head, *rows] = re.findall(r"^\| (?:right|`[a-z_]+`) \|.*$", text, re.MULTILINE)
    roles = [Role(cell.strip()) for cell in head.split("|")[2:-2]]
    assert roles == list(Role)
    shown = {}
    for row in rows:
        right, *cells = (cell.strip() for cell in row.split("|")[1:-2])
        shown[Right(right.strip("`"))] = {
            role for role, cell in zip(roles, cells, strict=True) if cell == "yes"
        }
    assert list(shown) == list(Right)
    assert shown == {
        right: {role for role, rights in RIGHTS.items() if right in rights} for right in Right
    }
