"""Tells another system by a signed HTTP POST; and how that system checks the signature.

The body is the notice as JSON. Three headers go with it:

    Idempotency-Key           the notice's key, percent-encoded: the same for each repetition
    X-Chargewatch-Timestamp   seconds since 1970 at which this attempt was made
    X-Chargewatch-Signature   v1=hex(hmac_sha256(secret, timestamp + "." + body))

Any 2xx is a confirmation.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from api.channels import Limits, Notice, one_line
from api.channels.posting import Post, json_headers
from ingest.clock import Now

TIMESTAMP_HEADER = "X-Chargewatch-Timestamp"
SIGNATURE_HEADER = "X-Chargewatch-Signature"

TOLERANCE = timedelta(minutes=5)
"""How far the clocks of sender and receiver may differ; older signatures are replays."""

BODY_BYTES_MAX = 64 * 1024
TEXT_CHARS_SHORTENED = 2_000


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One address of somebody's own software."""

    name: str = "webhook"
    limits: ClassVar[Limits] = Limits(bytes_max=BODY_BYTES_MAX)
    post: Post
    secret: bytes = field(repr=False)
    now: Now = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError(f"{self.name}: a webhook needs a secret to sign with")

    async def send(self, notice: Notice) -> str:
        now, body = self.now(), encoded(notice)
        timestamp = str(int(now.timestamp()))
        headers = json_headers(notice) | {
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature(self.secret, timestamp, body),
        }
        return await self.post.told(body, headers, now)


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
