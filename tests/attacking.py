"""A real service to be attacked: process, broker, providers, people of two areas."""

import json
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa

from api.console.login import COOKIE
from api.http.access import RIGHTS, TOKEN_PREFIX, digest_of
from api.passwords import Passwords
from api.tokens import add_token
from ingest.clock import utc_now
from ingest.ledger import tables
from ingest.ledger.api_tokens import ApiToken, write_token
from ingest.ledger.store import open_ledger
from ingest.people import EVERYWHERE, Person, Role
from tests.brokers import HOST, Mosquitto, mosquitto
from tests.processes import ServiceProcess, eventually, publish, service
from tests.providers import Providers, providers

PASSWORD = "correct horse battery"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
PAGE = {"Accept": "text/html"}
URL = "http://watch.example"
"""How people reach the console, by the settings; links in messages begin so."""
SITES = """
[areas.xuhui]
name = { zh = "徐汇区", en = "Xuhui" }
[areas.pudong]
name = { zh = "浦东", en = "Pudong" }
[sites."xuhui/renmin-lu"]
name = { zh = "人民路", en = "Renmin Road" }
[sites."pudong/secret-yard"]
name = { zh = "秘院", en = "Secret yard" }
"""
PEOPLE = {
    "li": (Role.POLICE, "xuhui"),
    "mao": (Role.POLICE, "pudong"),
    "chen": (Role.MANAGER, "xuhui"),
    "zhou": (Role.ADMIN, "xuhui"),
    "wang": (Role.ADMIN, EVERYWHERE),
    "gone": (Role.ADMIN, EVERYWHERE),
}
GONE = "gone"
"""Is not active any more."""
ACTIVE = [name for name in PEOPLE if name != GONE]


@dataclass
class Visitor:
    """Somebody's browser: it keeps its cookie, and asks what it is told to."""

    name: str
    client: httpx.Client
    csrf: str = ""

    @property
    def cookie(self) -> str:
        return str(self.client.cookies[COOKIE])

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.client.get(path, **{"headers": PAGE, **how})

    def post(self, path: str, data: Mapping[str, Any], **how: Any) -> httpx.Response:
        return self.client.post(path, data=dict(data), **{"headers": PAGE, **how})


@dataclass
class Target:
    """What is attacked, and those who are allowed in."""

    watch: ServiceProcess
    broker: Mosquitto
    town: Providers
    token: str
    """An operator's, that may write."""
    tokens: Mapping[str, str]
    """Of people, each with all the rights that they have."""
    visitors: dict[str, Visitor] = field(default_factory=dict)
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.watch.port}"

    @property
    def stranger(self) -> httpx.Client:
        return self.browser()

    def browser(self) -> httpx.Client:
        """Return a browser that nobody has used before."""
        made = httpx.Client(base_url=self.url, timeout=20, trust_env=False, verify=False)
        return self.opened.enter_context(closing(made))

    def visitor(self, name: str) -> Visitor:
        """Return somebody who is logged in."""
        if name not in self.visitors:
            client = self.browser()
            given = {"name": name, "password": PASSWORD}
            begun = client.post("/login", data=given, headers=PAGE)
            assert begun.status_code == 303, begun.text
            found = CSRF.search(client.get("/", headers=PAGE).text)
            assert found
            self.visitors[name] = Visitor(name, client, found[1])
        return self.visitors[name]

    def api(self, token: str) -> httpx.Client:
        client = self.browser()
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def asked(self, api: httpx.Client, path: str, **params: str) -> httpx.Response:
        """Ask as often as it takes: whoever asks too fast is told how long to wait."""
        while (answer := api.get(path, params=params)).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer

    def raw(self, request: bytes, *, wait_s: float = 10.0) -> bytes:
        """Send bytes as they are; return all that comes back until the end."""
        said = b""
        with socket.create_connection((HOST, self.watch.port), timeout=wait_s) as line:
            line.sendall(request)
            while part := line.recv(65_536):
                said += part
        return said

    def is_well(self) -> None:
        """See that it answers, promptly, and that nothing broke inside."""
        began = time.monotonic()
        assert self.stranger.get("/health/live").status_code == 200
        assert time.monotonic() - began < 5
        assert self.watch.runs
        assert "request.failed" not in "".join(self.watch.log)
        assert "Traceback" not in "".join(self.watch.log)

    def alert(self, device: str) -> dict[str, Any]:
        """Return the alert of a device, as the operator sees it."""
        [found] = self.watch.alerts(device=device)
        return found


def smoke(device: str) -> tuple[str, str]:
    said = {"boot": "b1", "seq": 1, "event": "smoke"}
    return f"chargewatch/v1/{device}/event", json.dumps(said)


OWN, FOREIGN = "xuhui/renmin-lu/smoke-1", "pudong/secret-yard/smoke-1"
PILE = "xuhui/renmin-lu/pile-1"


@contextmanager
def under_attack(folder: Path) -> Iterator[Target]:
    """Yield a service in which there is smoke in both areas."""
    sites = folder / "sites.toml"
    sites.write_text(SITES, encoding="utf-8")
    with mosquitto(folder) as broker, providers() as town:
        settings = town.settings | {"HTTP__URL": URL}
        with service(folder, broker, sites=sites, settings=settings) as watch:
            watch.data.mkdir()
            token = add_token(watch.data, "admin", "write").secret
            tokens = _people(watch.data / "ledger.sqlite")
            watch.begin()
            target = Target(watch, broker, town, token, tokens)
            telemetry = '{"readings": [{"channel": 1, "power_w": 120}]}'
            said = [smoke(OWN), smoke(FOREIGN), (f"chargewatch/v1/{PILE}/telemetry", telemetry)]
            publish(broker, said)
            eventually("both alarms are there", lambda: len(watch.alerts()) >= 2)
            with target.opened:
                yield target


def _people(path: Path) -> dict[str, str]:
    """Write down all people, with the same password, and a token for each."""
    ledger, hashed, now = open_ledger(path), Passwords().made(PASSWORD), utc_now()
    tokens = {name: TOKEN_PREFIX + secrets.token_urlsafe(32) for name in PEOPLE}
    with ledger.engine.begin() as connection:
        for name, (role, area) in PEOPLE.items():
            person = Person(
                id=name,
                name=name,
                role=role,
                areas=frozenset({area}),
                active=name != GONE,
                added_at=now,
            )
            row = {
                "id": name,
                "person": msgspec.json.encode(person),
                "password": hashed,
                "must_change": False,
            }
            connection.execute(sa.insert(tables.people).values(row))
            token = ApiToken(
                id=0,
                name="all",
                person=name,
                rights=tuple(sorted(RIGHTS[role])),
                made_at=now,
                ends_at=now + timedelta(days=1),
                revoked_at=None,
            )
            assert write_token(connection, digest_of(tokens[name]), token)
    ledger.close()
    return tokens
