import asyncio
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any, Protocol

import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.channels import RETRY_AFTER_MAX, Channel, DeliveryFailed, Notice
from api.channels.console_log import ConsoleLog
from api.channels.smtp import Security, Smtp, SmtpServer, mail_channels
from api.channels.webhook import (
    BODY_BYTES_MAX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Webhook,
    encoded,
    retry_after,
    signature,
    verify,
)
from api.settings import SmtpSettings
from rules.alerts import Transition
from rules.verdict import Severity

HOST = "127.0.0.1"
NOW = datetime(2026, 1, 5, 8, 0, 1, tzinfo=UTC)
SECRET = b"correct horse battery staple"
SLOW_S = 1.0

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


def sent(channel: Channel, notice: Notice = NOTICE) -> str:
    return asyncio.run(channel.send(notice))


def failure(channel: Channel, notice: Notice = NOTICE) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        sent(channel, notice)
    assert raised.value.reason
    assert raised.value.reason.isprintable()
    return raised.value


# --- counterparts: a real server for each channel ------------------------------------------


class Counterpart(Protocol):
    """The other end of a channel."""

    channel: Channel

    def heard(self) -> list[tuple[str, str]]:
        """Return key and title of everything that arrived."""
        ...

    def fail(self, *, permanent: bool) -> None:
        """Refuse what comes from now on."""
        ...


class Receiver(http.server.ThreadingHTTPServer):
    """An HTTP server that keeps what it is sent, and misbehaves in a given way."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.behaviour = "200"
        self.read_to_the_end = False
        self.answer_headers: dict[str, str] = {}
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://{HOST}:{self.server_port}/hook"
        self.channel: Channel = Webhook(url=self.url, secret=SECRET, now=now)

    def heard(self) -> list[tuple[str, str]]:
        return [
            (headers["idempotency-key"], json.loads(body)["title"])
            for headers, body in self.posts
        ]

    def fail(self, *, permanent: bool) -> None:
        self.behaviour = "404" if permanent else "500"

    def handle_error(self, *_: object) -> None:
        """Say nothing: broken connections are what is tested."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.posts.append((headers, body))
        match self.server.behaviour:
            case "cut":
                self.connection.shutdown(socket.SHUT_RDWR)
            case "slow":
                time.sleep(SLOW_S)
            case "drip":
                self._drip()
            case "flood":
                self._answer(500, b"x" * 50_000_000)
                self.server.read_to_the_end = True
            case status:
                self._answer(int(status), b"what\r\nthe \x1b[31mreceiver\xff said")

    def do_GET(self) -> None:
        self.server.posts.append(({"idempotency-key": "followed"}, b'{"title": ""}'))
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
        for _ in range(20):
            self.wfile.write(b".")
            time.sleep(SLOW_S / 20)

    def log_message(self, *_: object) -> None:
        pass


class Mailbox:
    """An SMTP server that keeps what it is sent, or answers as it is told to."""

    def __init__(self, security: Security = Security.NONE, **settings: Any) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        self.envelopes: list[Envelope] = []
        self.answer = ""
        self.at_recipient = ""
        self.each_step_s = 0.0
        self.controller = Controller(self, hostname=HOST, port=port, **settings)
        self.server = SmtpServer(
            host=HOST, port=port, security=security, sender="watch@example.org"
        )
        self.channel: Channel = Smtp(server=self.server, recipient="fire@example.org", now=now)

    def mails(self) -> list[Message]:
        return [message_from_bytes(each.original_content or b"") for each in self.envelopes]

    def heard(self) -> list[tuple[str, str]]:
        return [
            (mail["Message-ID"], str(make_header(decode_header(mail["Subject"]))))
            for mail in self.mails()
        ]

    def fail(self, *, permanent: bool) -> None:
        self.answer = "554 no" if permanent else "451 later"

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's interface)
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        await asyncio.sleep(self.each_step_s)
        envelope.rcpt_tos.append(address)
        return self.at_recipient or "250 OK"

    async def handle_DATA(  # noqa: N802  (aiosmtpd's interface)
        self, _server: Any, _session: Session, envelope: Envelope
    ) -> str:
        await asyncio.sleep(self.each_step_s)
        if self.answer:
            return self.answer
        self.envelopes.append(envelope)
        return "250 queued as 1"


class LogReader:
    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.channel: Channel = ConsoleLog(told=self.notices.append)

    def heard(self) -> list[tuple[str, str]]:
        return [(notice.idempotency_key, notice.title) for notice in self.notices]


@contextmanager
def serving(mailbox: Mailbox) -> Iterator[Mailbox]:
    mailbox.controller.start()
    try:
        yield mailbox
    finally:
        mailbox.controller.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with serving(Mailbox()) as mailbox:
        yield mailbox


@pytest.fixture(params=["receiver", "mailbox"])
def remote(request: pytest.FixtureRequest) -> Counterpart:
    made: Counterpart = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=["receiver", "mailbox", "log"])
def heard_and_channel(
    request: pytest.FixtureRequest,
) -> tuple[Callable[[], list[tuple[str, str]]], Channel]:
    if request.param == "log":
        reader = LogReader()
        return reader.heard, reader.channel
    made: Counterpart = request.getfixturevalue(request.param)
    return made.heard, made.channel


# --- what all channels promise -------------------------------------------------------------

Ends = tuple[Callable[[], list[tuple[str, str]]], Channel]


def test_what_is_sent_arrives_once_with_its_title(heard_and_channel: Ends) -> None:
    heard, channel = heard_and_channel
    assert channel.name
    receipt = sent(channel)
    assert receipt
    assert receipt.isprintable()
    [(_, title)] = heard()
    assert title == NOTICE.title


def test_a_repetition_carries_the_same_key_and_another_notice_another(
    heard_and_channel: Ends,
) -> None:
    heard, channel = heard_and_channel
    sent(channel)
    sent(channel)
    sent(channel, replace(NOTICE, idempotency_key="another"))
    [first, again, other] = [key for key, _ in heard()]
    assert first == again != other


def test_hostile_words_arrive_as_words(heard_and_channel: Ends) -> None:
    heard, channel = heard_and_channel
    sent(channel, HOSTILE)
    assert len(heard()) == 1


@pytest.mark.parametrize("permanent", [True, False])
def test_a_refusal_says_whether_it_is_for_good(remote: Counterpart, *, permanent: bool) -> None:
    remote.fail(permanent=permanent)
    assert failure(remote.channel).permanent is permanent


# --- log -----------------------------------------------------------------------------------


def test_the_log_has_a_line_that_names_rule_and_device() -> None:
    with structlog.testing.capture_logs() as lines:
        assert sent(ConsoleLog()) == "logged"
    [line] = lines
    assert line["event"] == "alert.told"
    assert (line["rule"], line["device"], line["channel"]) == ("overload", "桩1", 2)


# --- webhook -------------------------------------------------------------------------------


def test_a_post_is_the_notice_as_json_signed_for_the_moment_of_sending(
    receiver: Receiver,
) -> None:
    sent(receiver.channel)
    [(headers, body)] = receiver.posts
    assert json.loads(body)["evidence"] == NOTICE.evidence
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"].startswith("overload@%E6%A1%A91:2@")
    assert headers["x-chargewatch-timestamp"] == str(int(NOW.timestamp()))
    assert verify(SECRET, headers, body, NOW)


@pytest.mark.parametrize(
    ("behaviour", "permanent"),
    [
        ("400", True),
        ("401", True),
        ("404", True),
        ("410", True),
        ("408", False),
        ("425", False),
        ("429", False),
        ("500", False),
        ("503", False),
        ("cut", False),
    ],
)
def test_each_kind_of_answer_is_worth_another_attempt_or_not(
    receiver: Receiver, behaviour: str, *, permanent: bool
) -> None:
    receiver.behaviour = behaviour
    failed = failure(receiver.channel)
    assert failed.permanent is permanent
    assert failed.retry_after is None
    assert len(failed.reason) < 300
    assert len(receiver.posts) == 1


def test_only_the_beginning_of_a_long_answer_is_read(receiver: Receiver) -> None:
    receiver.behaviour = "flood"
    failed = failure(receiver.channel)
    assert failed.reason.startswith("HTTP 500: xxx")
    assert not receiver.read_to_the_end


@pytest.mark.parametrize("behaviour", ["slow", "drip"])
def test_a_slow_receiver_is_given_up_in_time(receiver: Receiver, behaviour: str) -> None:
    receiver.behaviour = behaviour
    channel = Webhook(
        url=receiver.url, secret=SECRET, now=now, answer_within=timedelta(seconds=0.2)
    )
    started_s = time.perf_counter()
    failed = failure(channel)
    assert time.perf_counter() - started_s < SLOW_S
    assert not failed.permanent


def test_nobody_listening_is_worth_another_attempt() -> None:
    with socket.socket() as unheard:
        unheard.bind((HOST, 0))
        url = f"http://{HOST}:{unheard.getsockname()[1]}/"
        assert not failure(Webhook(url=url, secret=SECRET, now=now)).permanent


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_a_redirect_is_not_followed_and_is_for_good(receiver: Receiver, status: str) -> None:
    receiver.behaviour = status
    receiver.answer_headers["Location"] = receiver.url
    assert failure(receiver.channel).permanent
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("120", timedelta(minutes=2)),
        ("Mon, 05 Jan 2026 08:01:01 GMT", timedelta(minutes=1)),
        ("Mon, 05 Jan 2026 08:01:01 -0000", timedelta(minutes=1)),
        ("Mon, 05 Jan 2026 07:00:00 GMT", timedelta(0)),
        ("86400", RETRY_AFTER_MAX),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX),
        ("soon", None),
        ("-5", None),
    ],
)
def test_the_pause_that_a_receiver_asks_for_is_passed_on_within_an_hour(
    receiver: Receiver, header: str, pause: timedelta | None
) -> None:
    receiver.behaviour = "429"
    receiver.answer_headers["Retry-After"] = header
    failed = failure(receiver.channel)
    assert (failed.permanent, failed.retry_after) == (False, pause)


@given(st.text() | st.integers().map(str) | st.from_regex(r"[0-9]{1,5000}", fullmatch=True))
def test_any_retry_after_is_a_pause_of_at_most_an_hour_or_none(header: str) -> None:
    pause = retry_after(header, NOW)
    assert pause is None or timedelta(0) <= pause <= RETRY_AFTER_MAX


def test_a_notice_that_is_too_large_loses_its_evidence_but_is_sent(receiver: Receiver) -> None:
    large = replace(
        NOTICE, text="火" * BODY_BYTES_MAX, evidence={"detail": "x" * BODY_BYTES_MAX}
    )
    assert len(encoded(large)) <= BODY_BYTES_MAX
    sent(receiver.channel, large)
    [(_, body)] = receiver.posts
    assert json.loads(body)["evidence"] == {}
    assert json.loads(body)["text"].startswith("火火")


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "http://", "http://a\x00b/", ""])
def test_an_address_that_is_no_web_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="webhook"):
        Webhook(url=url, secret=SECRET, now=now)


def test_a_webhook_without_a_secret_is_refused_and_shows_neither_secret_nor_address() -> None:
    with pytest.raises(ValueError, match="secret"):
        Webhook(url="https://host/x", secret=b"", now=now)
    shown = repr(Webhook(url="https://host/token-123", secret=SECRET, now=now))
    assert "token-123" not in shown
    assert "horse" not in shown


def signed(body: bytes = b"{}", at: datetime = NOW) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    return {
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: signature(SECRET, timestamp, body),
    }


def test_a_signature_holds_for_its_body_secret_and_time_only() -> None:
    headers = signed()
    assert verify(SECRET, headers, b"{}", NOW)
    assert not verify(SECRET, headers, b"{ }", NOW)
    assert not verify(b"another secret", headers, b"{}", NOW)
    later = str(int(NOW.timestamp()) + 1)
    assert not verify(SECRET, headers | {TIMESTAMP_HEADER: later}, b"{}", NOW)


@pytest.mark.parametrize(
    ("off", "accepted"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_a_signature_is_good_for_five_minutes_either_way(off: int, *, accepted: bool) -> None:
    assert verify(SECRET, signed(), b"{}", NOW + timedelta(seconds=off)) is accepted


@pytest.mark.parametrize("missing", [TIMESTAMP_HEADER, SIGNATURE_HEADER])
def test_a_post_without_a_header_is_not_from_us(missing: str) -> None:
    headers = {name: value for name, value in signed().items() if name != missing}
    assert not verify(SECRET, headers, b"{}", NOW)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "²"])
def test_a_signed_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    headers = {
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: signature(SECRET, timestamp, b"{}"),
    }
    assert not verify(SECRET, headers, b"{}", NOW)


@given(st.dictionaries(st.sampled_from([TIMESTAMP_HEADER, SIGNATURE_HEADER]), st.text()))
def test_no_headers_whatever_make_the_verifier_stumble(headers: dict[str, str]) -> None:
    assert not verify(SECRET, headers, b"{}", NOW)


# --- mail ----------------------------------------------------------------------------------


def test_a_mail_is_dated_addressed_and_readable(mailbox: Mailbox) -> None:
    assert "queued" in sent(mailbox.channel)
    [mail] = mailbox.mails()
    assert mail["From"] == "chargewatch <watch@example.org>"
    assert mail["To"] == "fire@example.org"
    assert mail["Date"] == "Mon, 05 Jan 2026 08:00:01 +0000"
    assert mail["Message-ID"].endswith("@example.org>")
    assert mail["Auto-Submitted"] == "auto-generated"
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().split() == [*NOTICE.text.split(), NOTICE.console_url]
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["fire@example.org"]]


def test_alarm_and_recovery_of_an_episode_are_one_conversation(mailbox: Mailbox) -> None:
    sent(mailbox.channel)
    sent(mailbox.channel, replace(NOTICE, transition=Transition.RESOLVED, idempotency_key="2"))
    [alarm, recovery] = mailbox.mails()
    assert alarm["References"] == recovery["References"]
    assert alarm["Message-ID"] != recovery["Message-ID"]


def test_a_hostile_title_adds_no_header_and_no_recipient(mailbox: Mailbox) -> None:
    sent(mailbox.channel, HOSTILE)
    [mail] = mailbox.mails()
    assert mail["Bcc"] is None
    assert len(mail.get_all("Subject", [])) == 1
    [(_, title)] = mailbox.heard()
    assert title.startswith("fire Bcc: everybody@example.org hello")
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["fire@example.org"]]


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [("550 no such user", True), ("450 greylisted", False), ("452 mailbox full", False)],
)
def test_a_refused_recipient_is_for_good_or_not_by_its_code(
    mailbox: Mailbox, answer: str, *, permanent: bool
) -> None:
    mailbox.at_recipient = answer
    failed = failure(mailbox.channel)
    assert failed.permanent is permanent
    assert answer.split(" ", 1)[1] in failed.reason


@pytest.mark.parametrize("each_step_s", [SLOW_S, 0.15])
def test_a_slow_mail_server_is_given_up_in_time(mailbox: Mailbox, each_step_s: float) -> None:
    mailbox.each_step_s = each_step_s
    channel = Smtp(
        server=mailbox.server,
        recipient="fire@example.org",
        now=now,
        answer_within=timedelta(seconds=0.2),
    )
    started_s = time.perf_counter()
    assert not failure(channel).permanent
    assert time.perf_counter() - started_s < SLOW_S


def test_a_mail_server_that_is_away_is_worth_another_attempt() -> None:
    with socket.socket() as unheard:
        unheard.bind((HOST, 0))
        port = unheard.getsockname()[1]
        server = SmtpServer(host=HOST, port=port, sender="watch@example.org")
        channel = Smtp(server=server, recipient="fire@example.org", now=now)
        assert not failure(channel).permanent


def test_mail_is_never_sent_unprotected_where_protection_is_asked_for() -> None:
    with serving(Mailbox(Security.STARTTLS)) as mailbox:
        assert failure(mailbox.channel).permanent
        assert mailbox.envelopes == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=mail", "-addext", f"subjectAltName=IP:{HOST}"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("trusted", [True, False])
def test_mail_goes_over_starttls_to_a_server_whose_certificate_is_trusted(
    certificate: tuple[Path, Path], *, trusted: bool
) -> None:
    cert, key = certificate
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(cert, key)
    with serving(Mailbox(tls_context=own, require_starttls=True)) as mailbox:
        server = SmtpServer(
            host=HOST,
            port=mailbox.server.port,
            security=Security.STARTTLS,
            sender="watch@example.org",
            tls=ssl.create_default_context(cafile=str(cert) if trusted else None),
        )
        channel = Smtp(server=server, recipient="fire@example.org", now=now)
        if trusted:
            sent(channel)
        else:
            assert "certificate" in failure(channel).reason.lower()
        assert len(mailbox.envelopes) == trusted


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize(("password", "let_in"), [("open sesame", True), ("guess", False)])
def test_mail_is_handed_in_with_a_login(password: str, *, let_in: bool) -> None:
    def checked(*parts: Any) -> AuthResult:
        given_login = parts[-1]
        assert isinstance(given_login, LoginPassword)
        known = LoginPassword(b"watch", b"open sesame")
        return AuthResult(success=given_login == known, handled=False)

    mailbox = Mailbox(authenticator=checked, auth_required=True, auth_require_tls=False)
    with serving(mailbox):
        [channel] = mail_channels(
            SmtpSettings.model_validate(
                {
                    "host": HOST,
                    "port": mailbox.server.port,
                    "security": "none",
                    "username": "watch",
                    "password": password,
                    "recipients": ["fire@example.org"],
                }
            ),
            now,
        )
        if let_in:
            sent(channel)
        else:
            assert failure(channel).permanent
            assert password not in failure(channel).reason


def test_each_recipient_has_a_channel_of_its_own_and_none_without_a_server() -> None:
    people = ("a@example.org", "b@example.org")
    channels = mail_channels(SmtpSettings(host=HOST, recipients=people), now)
    assert [channel.name for channel in channels] == [f"mail to {who}" for who in people]
    assert mail_channels(SmtpSettings(recipients=people), now) == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a@b\r\nBcc: c@d",
        "a@b, c@d",
        "<a@b>",
        "消防@example.org",
        "a@",
        "@b",
        "a..b@c",
    ],
)
def test_what_is_no_address_is_refused_at_the_start(address: str) -> None:
    server = SmtpServer(host=HOST, port=25, sender="watch@example.org")
    with pytest.raises(ValueError, match="no e-mail address"):
        Smtp(server=server, recipient=address, now=now)
