"""One HTTP POST, with an end in every direction: what the HTTP channels have in common.

Any 2xx is a confirmation, unless the channel knows its receiver to say more in the body. 408,
425, 429, 5xx and no answer are worth another attempt; any other answer, redirects too, means
that the address or the receiver is wrong.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import httpx
import msgspec

from api.channels import ANSWER_WITHIN, RETRY_AFTER_MAX, DeliveryFailed, Notice, one_line
from api.channels.guard import AddressRefused, Guard

KEY_HEADER = "Idempotency-Key"
ANSWER_BYTES_MAX = 16 * 1024
"""How much of an answer is read: the robots' are some 100 bytes."""
TOLD_BYTES = 1024
"""The beginning of an answer is enough to understand what went wrong."""
SECRET_CHARS_MIN = 8
TRY_AGAIN = frozenset({408, 425, 429})

logging.getLogger("httpx").setLevel(logging.WARNING)  # below, it writes whole addresses


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver said, or the beginning of it."""

    status: int
    retry_after: timedelta | None
    body: bytes
    words: str
    """Status and the first words of the body, without our secrets."""

    @property
    def confirms(self) -> bool:
        return httpx.codes.is_success(self.status)

    def json(self) -> dict[str, Any] | None:
        """Return the object that the body is; None if it is none, or was too large."""
        try:
            said = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return said if isinstance(said, dict) else None

    def refusal(self) -> DeliveryFailed:
        """Return what an answer that is no confirmation means, going by its status alone."""
        later = httpx.codes.is_server_error(self.status) or self.status in TRY_AGAIN
        return DeliveryFailed(self.words, permanent=not later, retry_after=self.retry_after)

    def code(self, name: str) -> int:
        """Return the receiver's own code, a number in a field of its JSON.

        Raises DeliveryFailed where there is none: then it was not our receiver who answered.
        """
        said = self.json()
        found = None if said is None else said.get(name)
        if type(found) is int and (self.confirms or found != 0):
            return found
        if not self.confirms:
            raise self.refusal()
        raise DeliveryFailed(f"the answer has no {name}: {self.words}", permanent=False)


class _Request(NamedTuple):
    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Post:
    """One address. Each attempt opens a connection of its own: alarms are rare."""

    url: str = field(repr=False)
    """Not shown either: many receivers' addresses hold a token."""
    guard: Guard | None = field(default=None, repr=False)
    """Needed if the address was chosen by anybody but the operator."""
    answer_within: timedelta = ANSWER_WITHIN
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    def __post_init__(self) -> None:
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from error
        if address.scheme not in {"http", "https"} or not address.host:
            raise ValueError("the address must begin with http(s)://host")

    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str],
        now: datetime,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return what the receiver answers, whatever that is.

        `query` is added to the address. Raises DeliveryFailed if there is no answer in time.
        """
        request = _Request(body, headers, query or {}, now)
        return await self._answered(request, wanted=ANSWER_BYTES_MAX)

    async def told(self, body: bytes, headers: Mapping[str, str], now: datetime) -> str:
        """Return the status, for receivers whose status says all that there is to say.

        What they say beside it is not waited for. Raises DeliveryFailed if it is a refusal.
        """
        answer = await self._answered(_Request(body, headers, {}, now), wanted=0)
        if not answer.confirms:
            raise answer.refusal()
        return answer.words

    async def _answered(self, request: "_Request", wanted: int) -> Answer:
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                return await self._send(request, wanted)
        except TimeoutError as error:
            raise unanswered(self.answer_within) from error
        except AddressRefused as error:
            raise DeliveryFailed(f"the address is refused: {error}", permanent=True) from error
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            raise DeliveryFailed(self._without_secrets(reason), permanent=False) from error

    async def _send(self, request: "_Request", wanted: int) -> Answer:
        """Send it, and read so many bytes of a confirmation; of a refusal, the beginning."""
        url = httpx.URL(self.url).copy_merge_params(request.query)
        sent = {"Accept-Encoding": "identity", **request.headers}
        extensions: dict[str, Any] = {}
        if self.guard is not None:
            sent["Host"] = url.netloc.decode("ascii")
            url, name = await self.guard.pinned(url)
            extensions["sni_hostname"] = name
        timeout_s = self.answer_within.total_seconds()
        async with (
            # A proxy would resolve the name again: what is guarded goes straight.
            httpx.AsyncClient(
                verify=self.tls, timeout=timeout_s, trust_env=self.guard is None
            ) as client,
            client.stream(
                "POST", url, content=request.body, headers=sent, extensions=extensions
            ) as answer,
        ):
            said = await _beginning(answer, wanted if answer.is_success else ANSWER_BYTES_MAX)
        first = one_line(said[:TOLD_BYTES].decode(errors="replace"))
        words = f"HTTP {answer.status_code}"
        return Answer(
            status=answer.status_code,
            retry_after=retry_after(answer.headers.get("Retry-After"), request.now),
            body=said,
            words=self._without_secrets(f"{words}: {first}" if first else words),
        )

    def _without_secrets(self, words: str) -> str:
        """Take the address's own parts out of what is to be shown: one of them is a token."""
        url = httpx.URL(self.url)
        parts = [*url.path.split("/"), *(value for _, value in url.params.multi_items())]
        for part in parts:
            if len(part) >= SECRET_CHARS_MIN:
                words = words.replace(part, "…").replace(unquote(part), "…")
        return words


def unanswered(within: timedelta) -> DeliveryFailed:
    reason = f"no answer within {within.total_seconds():g} s"
    return DeliveryFailed(reason, permanent=False)


def json_headers(notice: Notice) -> dict[str, str]:
    """Return the headers of a JSON body about `notice`; its key, for whoever looks at it."""
    return {"Content-Type": "application/json", KEY_HEADER: key_header(notice)}


def key_header(notice: Notice) -> str:
    return quote(notice.idempotency_key, safe="@:/,=+")


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


async def _beginning(answer: httpx.Response, bytes_max: int) -> bytes:
    said = b""
    if bytes_max:
        async for part in answer.aiter_raw():
            said += part
            if len(said) >= bytes_max:
                break
    return said[:bytes_max]
