"""Providers of notifications that keep their own count, and have their bad moments.

Each keeps what it *took*: a message that it has read to the end and has not refused. Whether
whoever sent it lived to see the answer is another matter.
"""

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from api.channels.posting import KEY_HEADER
from api.ports import free_port
from tests.brokers import HOST

Mood = Literal["well", "slow", "busy", "broken", "deaf", "cut"]
"""`deaf` holds the connection and never answers; `cut` closes it without a word."""
SLOW_S = 1.0
DEAF_S = 11.0
"""Longer than a message is waited for."""
MINUTE_S = 60.0
MAIL_DOMAIN = "example.org"
DIGEST = "digest:"
"""How the keys of digests begin. They are answered slowly, to be caught on their way."""
TOO_FAST = {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
DONE = {"errcode": 0, "errmsg": "ok"}


def always_well() -> Mood:
    return "well"


def moods(chance: random.Random) -> Callable[[], Mood]:
    """Return a provider's temper: most of the time it is well."""
    bad: tuple[Mood, ...] = ("slow", "slow", "busy", "broken", "deaf", "cut")

    def mood() -> Mood:
        return chance.choice(bad) if chance.random() < 0.3 else "well"

    return mood


@dataclass(frozen=True)
class Taken:
    """One message that a provider took."""

    life: int
    """In which life of the service."""
    at_s: float
    key: str
    title: str


@dataclass
class Record:
    """What all providers took, in the order in which they did."""

    life: int = 0
    taken: list[Taken] = field(default_factory=list)
    mood: Callable[[], Mood] = always_well
    digest_came: threading.Event = field(default_factory=threading.Event)
    """Set when a digest arrives, before it is answered."""
    closing: threading.Event = field(default_factory=threading.Event)

    def take(self, key: str, title: str) -> None:
        self.taken.append(Taken(self.life, time.monotonic(), key, title))

    def wait(self, seconds: float) -> None:
        self.closing.wait(seconds)


class Web:
    """An HTTP server that takes what a robot or a webhook is sent."""

    def __init__(self, record: Record, *, per_minute: int | None = None) -> None:
        """With `per_minute` it is a DingTalk robot, which refuses what is beyond."""
        self.record, self._per_minute = record, per_minute
        self.asked: list[float] = []
        """When it was asked, whatever it answered."""
        self.bodies: list[Mapping[str, Any]] = []
        """What it was sent, taken or not."""
        self.refused = 0
        """How often it was asked beyond its limit."""
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with suppress(OSError):  # the sender may just have been killed
                    length = int(self.headers["Content-Length"])
                    body = self.rfile.read(length)
                    if len(body) < length:
                        return  # it was killed in the middle of a sentence
                    provider.serve(dict(self.headers.items()), json.loads(body), self.answer)

            def answer(self, status: int, said: Mapping[str, object]) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: what counts is kept."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}/robot/send?access_token=0123456789ab"

    def serve(
        self,
        headers: Mapping[str, str],
        body: Mapping[str, Any],
        answer: Callable[[int, Mapping[str, object]], None],
    ) -> None:
        self.bodies.append(body)
        key = unquote(headers[KEY_HEADER])
        if key.startswith(DIGEST):
            self.record.digest_came.set()
        if self._too_fast():
            answer(200, TOO_FAST)
            return
        match self.record.mood():
            case "busy":
                answer(429, {})
            case "broken":
                answer(500, {})
            case "deaf":
                self.record.wait(DEAF_S)
            case "cut":
                pass
            case mood:
                self.record.take(key, str(body.get("title") or body["markdown"]["title"]))
                if mood == "slow" or key.startswith(DIGEST):
                    self.record.wait(SLOW_S)
                answer(200, DONE)

    def _too_fast(self) -> bool:
        now = time.monotonic()
        with self._lock:
            self.asked.append(now)
            while self._recent and self._recent[0] <= now - MINUTE_S:
                self._recent.popleft()
            self._recent.append(now)
            too_fast = self._per_minute is not None and len(self._recent) > self._per_minute
            self.refused += too_fast
            return too_fast

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class MailServer:
    """A mail server; its messages' keys are digests of ours."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.mails: list[bytes] = []
        self.port = free_port()
        self._controller = Controller(self, hostname=HOST, port=self.port)
        self._controller.start()

    async def handle_DATA(  # noqa: N802  (aiosmtpd's interface)
        self, _server: Any, _session: Session, envelope: Envelope
    ) -> str:
        match self.record.mood():
            case "busy" | "cut":
                return "451 later"
            case "broken" | "deaf":
                return "421 going down"
            case _:
                self.mails.append(envelope.original_content or b"")
                mail = message_from_bytes(self.mails[-1])
                self.record.take(mail["Message-ID"], mail["Subject"])
                return "250 queued"

    def close(self) -> None:
        self._controller.stop()


@dataclass(frozen=True)
class Providers:
    """All the providers of one service, and what it must know of them."""

    record: Record
    robot: Web
    hook: Web
    mail: MailServer
    mailboxes: tuple[str, ...] = ("desk@example.org", "chief@example.org")

    @property
    def settings(self) -> dict[str, str]:
        return {
            "DINGTALK__URL": self.robot.url,
            "DINGTALK__SECRET": "SEC0123456789abcdef0123456789abcdef",
            "SMTP__HOST": HOST,
            "SMTP__PORT": str(self.mail.port),
            "SMTP__SECURITY": "none",
            "SMTP__SENDER": f"watch@{MAIL_DOMAIN}",
            "SMTP__RECIPIENTS": json.dumps(self.mailboxes),
            "WEBHOOK__URL": self.hook.url,
            "WEBHOOK__SECRET": "0123456789abcdef0123456789abcdef",
        }

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the names of the channels behind which somebody reads."""
        return ("dingtalk", "webhook", *(f"mail to {each}" for each in self.mailboxes))


@contextmanager
def providers(*, robot_per_minute: int = 20) -> Iterator[Providers]:
    """Yield a DingTalk robot, a webhook's receiver and a mail server, all of them well."""
    record = Record()
    made: list[Web | MailServer] = []
    try:
        robot, hook = Web(record, per_minute=robot_per_minute), Web(record)
        made += [robot, hook]
        mail = MailServer(record)
        made.append(mail)
        yield Providers(record, robot, hook, mail)
    finally:
        record.closing.set()
        for each in made:
            each.close()


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Yield a mail server that is well."""
    made = MailServer(Record())
    try:
        yield made
    finally:
        made.close()
