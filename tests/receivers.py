"""The other ends of the HTTP channels, and something to tell them."""

import asyncio
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec.structs import replace

from api.channels import Channel, DeliveryFailed, Notice
from api.channels.posting import Post
from rules.alerts import Transition
from rules.verdict import Severity

HOST = "127.0.0.1"
NOW = datetime(2026, 1, 5, 8, 0, 1, tzinfo=UTC)
SECRET = b"correct horse battery staple"
SLOW_S = 1.0
TLS = ssl.create_default_context()
"""One for all: making one takes longer than most tests."""

NOTICE = Notice(
    idempotency_key="overload@桩1:2@1767600000000000:firing:webhook",
    episode="overload@桩1:2@1767600000000000",
    transition=Transition.FIRING,
    rule="overload",
    severity=Severity.CRITICAL,
    area="a1",
    site="s1",
    device="桩1",
    channel=2,
    at=NOW,
    began_at=NOW - timedelta(seconds=30),
    language="zh",
    title="桩1 插座2 过载",
    text="1,234 W，上限 1,000 W。",
    evidence={"measured": 1234.0, "limit": 1000.0, "unit": "W"},
    console_url="https://watch.example/alerts/1",
)
HOSTILE = replace(
    NOTICE,
    title="fire\r\nBcc: everybody@example.org\r\n\r\nhello\x00\x1b[2J" + "x" * 5000,
    text="</script>\r\n.\r\nMAIL FROM:<mallory@example.org>\r\n",
)


def now() -> datetime:
    return NOW


def post_to(url: str, within_s: float = 10.0) -> Post:
    return Post(url=url, tls=TLS, answer_within=timedelta(seconds=within_s))


def sent(channel: Channel, notice: Notice = NOTICE) -> str:
    return asyncio.run(channel.send(notice))


def failure(channel: Channel, notice: Notice = NOTICE) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        sent(channel, notice)
    assert raised.value.reason
    assert raised.value.reason.isprintable()
    return raised.value


class Receiver(http.server.ThreadingHTTPServer):
    """An HTTP server that keeps what it is sent, and misbehaves in a given way."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.behaviour = "200"
        self.confirmation = b"what\r\nthe \x1b[31mreceiver\xff said"
        """What is in the body where the status is given."""
        self.read_to_the_end = False
        self.released = threading.Event()
        self.answer_headers: dict[str, str] = {}
        self.posts: list[Posted] = []
        self.url = f"http://{HOST}:{self.server_port}/hook"

    def handle_error(self, *_: object) -> None:
        """Say nothing: broken connections are what is tested."""


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.posts.append(Posted(self.path, headers, body))
        match self.server.behaviour:
            case "cut":
                self.connection.shutdown(socket.SHUT_RDWR)
            case "slow":
                self.server.released.wait(SLOW_S)
            case "drip":
                self._drip()
            case "held":
                self.server.released.wait(60)
                self._answer(200, b"")
            case "never ends":
                self.send_response(200)
                self.end_headers()
                self.server.released.wait(60)
            case "flood":
                self._answer(500, b"x" * 50_000_000)
                self.server.read_to_the_end = True
            case status:
                self._answer(int(status), self.server.confirmation)

    def do_GET(self) -> None:
        self.server.posts.append(Posted("followed", {}, b"{}"))
        self._answer(200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in self.server.answer_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """Answer a byte at a time, so that no single read is ever slow."""
        self.send_response(500)
        self.end_headers()
        while not self.server.released.wait(SLOW_S / 20):
            self.wfile.write(b".")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    with Receiver() as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
