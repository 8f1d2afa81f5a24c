import asyncio
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as paho
import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from paho.mqtt.enums import CallbackAPIVersion

from api.channels import RETRY_AFTER_MAX, Channel, Notice
from api.channels.alertmanager import Alertmanager
from api.channels.console_log import ConsoleLog
from api.channels.dingtalk import DingTalk
from api.channels.feishu import Feishu
from api.channels.gateway import Confirmation, Sms, VoiceCall
from api.channels.mqtt import MqttTopic
from api.channels.ntfy import Ntfy
from api.channels.posting import retry_after
from api.channels.smtp import Security, Smtp, SmtpServer, mail_channels
from api.channels.template import Template
from api.channels.webhook import (
    BODY_BYTES_MAX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Webhook,
    encoded,
    signature,
    verify,
)
from api.channels.wecom import WeCom
from api.settings_channels import SmtpSettings
from ingest.mqtt_connection import BrokerAddress
from rules.alerts import Transition
from tests.brokers import Mosquitto, mosquitto
from tests.processes import eventually
from tests.receivers import (
    HOST,
    HOSTILE,
    NOTICE,
    NOW,
    SECRET,
    SLOW_S,
    Receiver,
    failure,
    now,
    post_to,
    receiving,
    sent,
)

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


class HttpEnd:
    """A receiver that confirms as a provider does, and the provider's channel."""

    def __init__(self, kind: str, receiver: Receiver) -> None:
        self.kind, self.receiver = kind, receiver
        receiver.confirmation = CONFIRMATIONS.get(kind, receiver.confirmation)
        self.channel = made(kind, receiver)

    def heard(self) -> list[tuple[str, str]]:
        return [
            (post.headers["idempotency-key"], json.dumps(post.json, ensure_ascii=False))
            for post in self.receiver.posts
        ]

    def fail(self, *, permanent: bool) -> None:
        self.receiver.behaviour = "404" if permanent else "500"


CONFIRMATIONS = {
    "dingtalk": b'{"errcode":0,"errmsg":"ok"}',
    "wecom": b'{"errcode":0,"errmsg":"ok"}',
    "wecom text": b'{"errcode":0,"errmsg":"ok"}',
    "feishu": b'{"code":0,"msg":"success","data":{}}',
    "sms": b'{"result":[{"code":"OK"}]}',
    "voice": b'{"result":[{"code":"OK"}]}',
}
HTTP_CHANNELS = ["webhook", "ntfy", "alertmanager", *CONFIRMATIONS]


def made(kind: str, receiver: Receiver, within_s: float = 10.0) -> Channel:
    """Return a channel of a kind that tells `receiver`."""
    post = post_to(receiver.url, within_s)
    template = Template.of('{"to": "{number}", "what": "{text}"}', form=False)
    confirmation = Confirmation(pointer="/result/0/code", value="OK")
    phone: dict[str, Any] = {
        "post": post,
        "number": "13800000000",
        "template": template,
        "confirmation": confirmation,
        "now": now,
    }
    channels: dict[str, Callable[[], Channel]] = {
        "webhook": lambda: Webhook(post=post, secret=SECRET, now=now),
        "dingtalk": lambda: DingTalk(post=post, secret="SEC0123456789", now=now),
        "wecom": lambda: WeCom(post=post, now=now),
        "wecom text": lambda: WeCom(post=post, mobiles=("13800000000",), now=now),
        "feishu": lambda: Feishu(post=post, secret="0123456789abcdef", now=now),
        "ntfy": lambda: Ntfy(post=post, topic="alarms", now=now),
        "sms": lambda: Sms(**phone),
        "voice": lambda: VoiceCall(**phone),
        "alertmanager": lambda: Alertmanager(post=post, now=now),
    }
    return channels[kind]()


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

    def fail(self, *, permanent: bool) -> None:
        raise NotImplementedError(permanent)


class Siren:
    """Somebody who listens to a real broker, and the channel that publishes there."""

    def __init__(self, broker: Mosquitto) -> None:
        self.broker, self.said = broker, list[dict[str, str]]()
        self.channel: Channel = siren_channel(broker)
        self._arrived = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._hear
        self._client.connect(broker.host, broker.port)
        self._client.subscribe("alerts/#", 1)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _hear(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        assert not message.retain
        self.said.append({**json.loads(message.payload), "topic": message.topic})

    def heard(self) -> list[tuple[str, str]]:
        eventually("the siren hears", lambda: self.said)
        notices = [json.loads(said["notice"]) for said in self.said]
        return [(notice["idempotency_key"], notice["title"]) for notice in notices]

    def fail(self, *, permanent: bool) -> None:
        self.close()
        if permanent:
            self.broker.stop()
            self.broker.start()
            self.channel = siren_channel(self.broker, topic="forbidden/alerts")
        else:
            self.broker.stop()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def siren_channel(broker: Mosquitto, topic: str = "alerts/{area}/{site}") -> MqttTopic:
    return MqttTopic(
        broker=BrokerAddress(host=broker.host, port=broker.port),
        client_id="watch",
        topic=topic,
        secret=SECRET,
        now=now,
    )


@contextmanager
def serving(mailbox: Mailbox) -> Iterator[Mailbox]:
    mailbox.controller.start()
    try:
        yield mailbox
    finally:
        mailbox.controller.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with serving(Mailbox()) as mailbox:
        yield mailbox


@pytest.fixture
def log() -> LogReader:
    return LogReader()


@pytest.fixture
def siren(tmp_path: Path) -> Iterator[Siren]:
    allowed = tmp_path / "acl"
    allowed.write_text("topic readwrite alerts/#\n")
    with mosquitto(tmp_path, extra=f"acl_file {allowed}") as broker:
        siren = Siren(broker)
        yield siren
        siren.close()


@pytest.fixture(params=[*HTTP_CHANNELS, "mailbox", "siren"])
def remote(request: pytest.FixtureRequest) -> Counterpart:
    if request.param in HTTP_CHANNELS:
        return HttpEnd(request.param, request.getfixturevalue("receiver"))
    made: Counterpart = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=[*HTTP_CHANNELS, "mailbox", "siren", "log"])
def end(request: pytest.FixtureRequest) -> Counterpart:
    if request.param in HTTP_CHANNELS:
        return HttpEnd(request.param, request.getfixturevalue("receiver"))
    made: Counterpart = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=HTTP_CHANNELS)
def web(request: pytest.FixtureRequest, receiver: Receiver) -> HttpEnd:
    return HttpEnd(request.param, receiver)


# --- what all channels promise -------------------------------------------------------------


def test_what_is_sent_arrives_once_with_its_title(end: Counterpart) -> None:
    assert end.channel.name
    receipt = sent(end.channel)
    assert receipt
    assert receipt.isprintable()
    [(_, title)] = end.heard()
    assert NOTICE.title in title


def test_a_repetition_carries_the_same_key_and_another_notice_another(end: Counterpart) -> None:
    sent(end.channel)
    sent(end.channel)
    sent(end.channel, replace(NOTICE, idempotency_key="another"))
    eventually("all three", lambda: len(end.heard()) == 3)
    [first, again, other] = [key for key, _ in end.heard()]
    assert first == again != other


def test_hostile_words_arrive_as_words(end: Counterpart) -> None:
    sent(end.channel, HOSTILE)
    assert len(end.heard()) == 1


ANSWERABLE = replace(
    NOTICE, answer_url="https://watch.example/a/YQBc3l9f0aW", text="火" * 20_000
)
FOR_MACHINES = {"alertmanager", "siren", "log", "voice"}
"""What is read by a machine or kept in a log, and an ear that cannot press a link."""


def everything_in(end: Counterpart) -> str:
    """Return all that arrived, as one text."""
    if isinstance(end, Mailbox):
        bodies = (mail.get_payload(decode=True) for mail in end.mails())
        return "".join(body.decode() for body in bodies if isinstance(body, bytes))
    if isinstance(end, HttpEnd):
        return "".join(json.dumps(post.json) for post in end.receiver.posts)
    assert isinstance(end, Siren)
    eventually("the siren hears", lambda: end.said)
    return json.dumps(end.said)


def test_a_notice_that_can_be_answered_carries_its_whole_link_to_people_and_to_no_machine(
    end: Counterpart, request: pytest.FixtureRequest
) -> None:
    with structlog.testing.capture_logs() as lines:
        sent(end.channel, ANSWERABLE)
    arrived = str(lines) if isinstance(end, LogReader) else everything_in(end)
    kind = request.node.callspec.params["end"]
    assert (ANSWERABLE.answer_url in arrived) is (kind not in FOR_MACHINES)
    assert "answer_url" not in arrived or kind in {"webhook", "siren"}


def test_what_cannot_be_answered_says_nothing_of_answering(end: Counterpart) -> None:
    with structlog.testing.capture_logs() as lines:
        sent(end.channel)
    arrived = str(lines) if isinstance(end, LogReader) else everything_in(end)
    assert "确认警报" not in arrived
    assert json.dumps("确认警报")[1:-1] not in arrived


@pytest.mark.parametrize("permanent", [True, False])
def test_a_refusal_says_whether_it_is_for_good(remote: Counterpart, *, permanent: bool) -> None:
    remote.fail(permanent=permanent)
    assert failure(remote.channel).permanent is permanent


def test_limits_are_those_of_the_provider_or_none(end: Counterpart) -> None:
    limits = end.channel.limits
    assert limits.bytes_max is None or limits.bytes_max >= 1_500
    assert limits.per_minute is None or limits.per_minute >= 12


# --- what all HTTP channels promise --------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "permanent"),
    [
        ("404", True),
        ("500", False),
        ("cut", False),
        ("flood", False),
    ],
)
def test_each_kind_of_answer_is_worth_another_attempt_or_not(
    web: HttpEnd, behaviour: str, *, permanent: bool
) -> None:
    web.receiver.behaviour = behaviour
    failed = failure(web.channel)
    assert failed.permanent is permanent
    assert failed.retry_after is None
    assert len(failed.reason) < 400
    assert len(web.receiver.posts) == 1
    assert not web.receiver.read_to_the_end


@pytest.mark.parametrize("status", ["302", "308"])
def test_a_redirect_is_not_followed_and_is_for_good(web: HttpEnd, status: str) -> None:
    web.receiver.behaviour = status
    web.receiver.answer_headers["Location"] = web.receiver.url
    assert failure(web.channel).permanent
    assert len(web.receiver.posts) == 1


@pytest.mark.parametrize("behaviour", ["slow", "drip"])
def test_a_slow_receiver_is_given_up_in_time(web: HttpEnd, behaviour: str) -> None:
    web.receiver.behaviour = behaviour
    failed = failure(made(web.kind, web.receiver, within_s=0.2))
    assert not failed.permanent
    assert failed.reason == "no answer within 0.2 s"


def test_a_pause_that_is_asked_for_is_passed_on(web: HttpEnd) -> None:
    web.receiver.behaviour = "429"
    web.receiver.answer_headers["Retry-After"] = "120"
    assert failure(web.channel).retry_after == timedelta(minutes=2)


def test_a_token_in_the_address_is_not_shown(web: HttpEnd) -> None:
    web.receiver.behaviour = "404"
    web.receiver.confirmation = b"no such page: /hook/0123456789abcdef?token=fedcba9876543210"
    web.receiver.url += "/0123456789abcdef?token=fedcba9876543210"
    channel = made(web.kind, web.receiver)
    for shown in (failure(channel).reason, repr(channel)):
        assert "0123456789" not in shown
        assert "fedcba9876" not in shown


def test_nothing_is_written_to_the_log_of_the_http_client(
    web: HttpEnd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sent(web.channel)
    assert "127.0.0.1" not in caplog.text


@pytest.mark.parametrize("said", [b"", b"<html>log in</html>", b"[]", b"{}"])
def test_who_does_not_speak_the_providers_json_has_not_confirmed(
    web: HttpEnd, said: bytes
) -> None:
    web.receiver.confirmation = said
    if web.kind in {"webhook", "alertmanager", "ntfy"}:
        sent(web.channel)
    else:
        assert not failure(web.channel).permanent


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
    sent(made("webhook", receiver))
    [(_, headers, body)] = receiver.posts
    assert json.loads(body)["evidence"] == NOTICE.evidence
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"].startswith("overload@%E6%A1%A91:2@")
    assert headers["x-chargewatch-timestamp"] == str(int(NOW.timestamp()))
    assert verify(SECRET, headers, body, NOW)


def test_nobody_listening_is_worth_another_attempt() -> None:
    with socket.socket() as unheard:
        unheard.bind((HOST, 0))
        url = f"http://{HOST}:{unheard.getsockname()[1]}/"
        assert not failure(Webhook(post=post_to(url), secret=SECRET, now=now)).permanent


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
    failed = failure(made("webhook", receiver))
    assert (failed.permanent, failed.retry_after) == (False, pause)


@given(st.text() | st.integers().map(str) | st.from_regex(r"[0-9]{1,5000}", fullmatch=True))
def test_any_retry_after_is_a_pause_of_at_most_an_hour_or_none(header: str) -> None:
    pause = retry_after(header, NOW)
    assert pause is None or timedelta(0) <= pause <= RETRY_AFTER_MAX


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        ("400", True),
        ("401", True),
        ("410", True),
        ("408", False),
        ("425", False),
        ("429", False),
        ("503", False),
    ],
)
def test_each_status_is_worth_another_attempt_or_not(
    receiver: Receiver, status: str, *, permanent: bool
) -> None:
    receiver.behaviour = status
    assert failure(made("webhook", receiver)).permanent is permanent


@pytest.mark.parametrize("kind", ["webhook", "ntfy", "alertmanager"])
def test_who_confirms_by_the_status_alone_is_not_listened_to_any_longer(
    receiver: Receiver, kind: str
) -> None:
    receiver.behaviour = "never ends"
    assert sent(made(kind, receiver)) == "HTTP 200"


def test_a_notice_that_is_too_large_loses_its_evidence_but_is_sent(receiver: Receiver) -> None:
    large = replace(
        NOTICE, text="火" * BODY_BYTES_MAX, evidence={"detail": "x" * BODY_BYTES_MAX}
    )
    assert len(encoded(large)) <= BODY_BYTES_MAX
    sent(made("webhook", receiver), large)
    [(_, _, body)] = receiver.posts
    assert json.loads(body)["evidence"] == {}
    assert json.loads(body)["text"].startswith("火火")


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "http://", "http://a\x00b/", ""])
def test_an_address_that_is_no_web_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Webhook(post=post_to(url), secret=SECRET, now=now)


def test_a_webhook_without_a_secret_is_refused_and_shows_neither_secret_nor_address() -> None:
    with pytest.raises(ValueError, match="secret"):
        Webhook(post=post_to("https://host/x"), secret=b"", now=now)
    shown = repr(Webhook(post=post_to("https://host/token-123"), secret=SECRET, now=now))
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
