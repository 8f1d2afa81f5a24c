"""Tells another system by a signed HTTP POST; and how that system checks the signature.

The body is the notice as JSON. Three headers go with it:

    Idempotency-Key           the notice's key, percent-encoded: the same for each repetition
    X-Chargewatch-Timestamp   seconds since 1970 at which this attempt was made
    X-Chargewatch-Signature   v1=hex(hmac_sha256(secret, timestamp + "." + body))

Any 2xx is a confirmation. 408, 425, 429, 5xx and no answer are worth another attempt; any
other answer, redirects too, means that the address or the receiver is wrong.
"""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
import msgspec
from msgspec.structs import replace

from api.channels import (
    ANSWER_WITHIN,
    RETRY_AFTER_MAX,
    DeliveryFailed,
    Notice,
    one_line,
)
from ingest.clock import Now

KEY_HEADER = "Idempotency-Key"
TIMESTAMP_HEADER = "X-Chargewatch-Timestamp"
SIGNATURE_HEADER = "X-Chargewatch-Signature"

TOLERANCE = timedelta(minutes=5)
"""How far the clocks of sender and receiver may differ; older signatures are replays."""

BODY_BYTES_MAX = 64 * 1024
TEXT_CHARS_SHORTENED = 2_000
ANSWER_BYTES_MAX = 1024
"""How much of an answer is read: the beginning is enough to understand what went wrong."""

TRY_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One address. Each attempt opens a connection of its own: alarms are rare."""

    name: str = "webhook"
    url: str = field(repr=False)
    """Not shown either: many receivers' addresses hold a token."""
    secret: bytes = field(repr=False)
    now: Now = field(repr=False)
    answer_within: timedelta = ANSWER_WITHIN
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    def __post_init__(self) -> None:
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{self.name}: {error}") from error
        if address.scheme not in {"http", "https"} or not address.host:
            raise ValueError(f"{self.name}: the address must begin with http(s)://host")
        if not self.secret:
            raise ValueError(f"{self.name}: a webhook needs a secret to sign with")

    async def send(self, notice: Notice) -> str:
        body = encoded(notice)
        timestamp = str(int(self.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            KEY_HEADER: quote(notice.idempotency_key, safe="@:/,=+"),
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature(self.secret, timestamp, body),
        }
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                return await self._post(body, headers)
        except TimeoutError as error:
            reason = f"no answer within {self.answer_within.total_seconds():g} s"
            raise DeliveryFailed(reason, permanent=False) from error
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            raise DeliveryFailed(reason, permanent=False) from error

    async def _post(self, body: bytes, headers: dict[str, str]) -> str:
        timeout_s = self.answer_within.total_seconds()
        async with (
            httpx.AsyncClient(verify=self.tls, timeout=timeout_s) as client,
            client.stream("POST", self.url, content=body, headers=headers) as answer,
        ):
            status = f"HTTP {answer.status_code}"
            if answer.is_success:
                return status
            said = await _beginning(answer)
            raise DeliveryFailed(
                f"{status}: {said}" if said else status,
                permanent=not (answer.is_server_error or answer.status_code in TRY_AGAIN),
                retry_after=retry_after(answer.headers.get("Retry-After"), self.now()),
            )


def encoded(notice: Notice) -> bytes:
    """Return the notice as JSON; one that is too large loses its evidence, never its alarm."""
    body = msgspec.json.encode(notice)
    if len(body) <= BODY_BYTES_MAX:
        return body
    shortened = replace(
        notice,
        title=one_line(notice.title),
        text=notice.text[:TEXT_CHARS_SHORTENED],
        evidence={},
    )
    return msgspec.json.encode(shortened)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()


def verify(
    secret: bytes,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> bool:
    """Say whether `body` was signed with `secret` and not longer than `tolerance` ago.

    For receivers: `body` is the raw bytes as they came, before any parsing. A receiver that
    must not act twice also remembers the Idempotency-Key.
    """
    given = {name.lower(): value for name, value in headers.items()}
    timestamp = given.get(TIMESTAMP_HEADER.lower(), "")
    claimed = given.get(SIGNATURE_HEADER.lower(), "")
    expected = signature(secret, timestamp, body)
    if not hmac.compare_digest(expected.encode(), claimed.encode()):
        return False
    if not (timestamp.isascii() and timestamp.isdecimal()):
        return False
    return abs(now.timestamp() - int(timestamp)) <= tolerance.total_seconds()


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """Return the pause that a receiver asks for, in seconds or until a date (RFC 9110)."""
    if header is None:
        return None
    try:
        if header.isascii() and header.isdecimal():
            asked = timedelta(seconds=int(header))
        else:
            until = parsedate_to_datetime(header)
            asked = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):  # no date, or a number from a joker
        return None
    return min(max(timedelta(0), asked), RETRY_AFTER_MAX)


async def _beginning(answer: httpx.Response) -> str:
    said = b""
    async for part in answer.aiter_raw():
        said += part
        if len(said) >= ANSWER_BYTES_MAX:
            break
    return one_line(said[:ANSWER_BYTES_MAX].decode(errors="replace"))
