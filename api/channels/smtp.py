"""Tells by e-mail: one message to one person through one SMTP server."""

import asyncio
import hashlib
import re
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from typing import ClassVar

import aiosmtplib

from api.channels import (
    ANSWER_WITHIN,
    UNLIMITED,
    DeliveryFailed,
    Limits,
    Notice,
    one_line,
)
from api.channels.wording import addresses_of
from api.settings_channels import SmtpSettings
from ingest.clock import Now

PERMANENT_FROM = 500
"""SMTP's 4xx means later, 5xx means never (RFC 5321, 4.2.1)."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
"""RFC 5321 without quoted names and bare IP addresses, which nobody's mailbox has."""


class Security(StrEnum):
    """How the connection to the server is kept private."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
    """For a server on this machine only."""


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """Where mail is handed in, by whom, and from which address."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str
    sender_name: str = "chargewatch"
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """One recipient. Repetitions carry the same Message-ID, so that mail programs join them."""

    server: SmtpServer
    recipient: str
    now: Now = field(repr=False)
    limits: ClassVar[Limits] = UNLIMITED
    answer_within: timedelta = ANSWER_WITHIN

    def __post_init__(self) -> None:
        for address in (self.server.sender, self.recipient):
            if ADDRESS.fullmatch(address) is None:
                raise ValueError(f"{address!r} is no e-mail address")

    @property
    def name(self) -> str:
        return f"mail to {self.recipient}"

    async def send(self, notice: Notice) -> str:
        server = self.server
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                _, answer = await aiosmtplib.send(
                    self._message(notice),
                    sender=server.sender,
                    recipients=[self.recipient],
                    hostname=server.host,
                    port=server.port,
                    username=server.username,
                    password=server.password,
                    use_tls=server.security is Security.TLS,
                    start_tls=server.security is Security.STARTTLS,
                    tls_context=server.tls,
                    timeout=self.answer_within.total_seconds(),
                )
        except TimeoutError as error:
            reason = f"no answer within {self.answer_within.total_seconds():g} s"
            raise DeliveryFailed(reason, permanent=False) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _failed(error) from error
        return one_line(answer)

    def _message(self, notice: Notice) -> EmailMessage:
        domain = self.server.sender.rpartition("@")[2]
        message = EmailMessage(SMTP)
        message["From"] = Address(self.server.sender_name, addr_spec=self.server.sender)
        message["To"] = Address(addr_spec=self.recipient)
        message["Subject"] = one_line(notice.title)
        message["Date"] = format_datetime(self.now())
        message["Message-ID"] = _id(notice.idempotency_key, domain)
        message["References"] = _id(notice.episode, domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies, please
        # Base64 passes every server on the way, whatever the text.
        message.set_content(f"{notice.text}\n\n{addresses_of(notice)}\n", cte="base64")
        return message


def mail_channels(settings: SmtpSettings, now: Now) -> list[Smtp]:
    """Return a channel for each recipient: what one refuses is not repeated to the others."""
    server = server_of(settings)
    if server is None:
        return []
    return [
        Smtp(server=server, recipient=recipient, now=now)
        for recipient in dict.fromkeys(settings.recipients)
    ]


def server_of(settings: SmtpSettings) -> SmtpServer | None:
    """Return the mail server of the settings; None if there is none."""
    if settings.host is None:
        return None
    password = settings.password
    return SmtpServer(
        host=settings.host,
        port=settings.port,
        security=Security(settings.security),
        username=settings.username,
        password=None if password is None else password.get_secret_value(),
        sender=settings.sender,
    )


def _id(name: str, domain: str) -> str:
    return f"<{hashlib.sha256(name.encode()).hexdigest()[:32]}@{domain}>"


def _failed(error: aiosmtplib.SMTPException | OSError) -> DeliveryFailed:
    """Tell a server that says never from one that says later, or says nothing."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reason = f"SMTP {error.code}: {one_line(error.message)}"
        return DeliveryFailed(reason, permanent=error.code >= PERMANENT_FROM)
    reason = f"{type(error).__name__}: {one_line(str(error))}"
    # What is no network error is a server without the STARTTLS or login that is set.
    return DeliveryFailed(reason, permanent=not isinstance(error, OSError))
