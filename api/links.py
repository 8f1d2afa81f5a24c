"""Signed links: whoever has one may do one thing, once, without a login, until it expires.

A link carries what it is for, its subject's number, whom it was made for, and when it ends; all
of it is signed with HMAC-SHA256 under a key that never leaves this machine (api/link_keys.py).
Nothing here knows whether it was used: that is in the ledger (ingest/ledger/links.py), written
with what was done. Whether its holder may still do it is asked when it is used.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

LASTS = timedelta(hours=24)
"""A night and the next day: long enough for the slowest mail, and no key for next week."""
TOKEN_CHARS_MAX = 130
TO_BYTES_MAX = 64
"""With up to 29 a link has at most 80 characters after the host: a text message is short."""

_HEAD = struct.Struct(">cBI5s")
"""Purpose, number of the key, end in minutes since 1970, number of the subject."""
_SUBJECT_MAX = 2**40 - 1
_MAC_BYTES = 16
_LABEL = b"chargewatch link 1\0"
"""What is signed with this key is a link, and nothing else."""
_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Purpose(StrEnum):
    """What a link is good for. One for another purpose is as good as a forged one."""

    ALERT = "a"
    """Answer the notification whose row in the outbox is the subject."""
    CHECK = "c"
    """Say that a duty post is manned; the subject is the post check."""


PATHS = {Purpose.ALERT: "/a/", Purpose.CHECK: "/a/c/"}
"""Below "/a/" all requests count as guesses (api/http/hardening.py)."""


class LinkRefused(StrEnum):
    """Why a link opens nothing."""

    WRONG = "wrong"
    """Forged, damaged, for another purpose, or signed with a key that is gone."""
    EXPIRED = "expired"
    ENDED = "ended"
    """Whoever it was made for may not do it any more: found out when it is used."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was made here, and has not expired."""

    purpose: Purpose
    subject: int
    to: str
    """Whom it was made for, or what stands for them."""
    ends_at: datetime

    @property
    def id(self) -> str:
        """What the ledger notes as used: the same for all links that do the same thing."""
        return f"{self.purpose}{self.subject}:{self.to}"


class LinkKey(msgspec.Struct, frozen=True):
    number: int
    """0 to 255; goes into the link."""
    secret: bytes

    def __repr__(self) -> str:
        return f"LinkKey({self.number})"


class Links:
    """Makes and reads links. The last key signs; those before it are still read."""

    def __init__(self, keys: Sequence[LinkKey]) -> None:
        if not keys:
            raise ValueError("links need a key")
        self._keys = {key.number: key.secret for key in keys}
        self._newest = keys[-1]

    def make(self, purpose: Purpose, subject: int, to: str, ends_at: datetime) -> str:
        """Return the path of a link; its end is rounded up to a minute."""
        held = to.encode()
        if not 0 <= subject <= _SUBJECT_MAX or len(held) > TO_BYTES_MAX:
            raise ValueError(f"no link holds {subject} or {to!r}")
        minutes = -((_EPOCH - ends_at) // _MINUTE)
        head = _HEAD.pack(
            purpose.encode(), self._newest.number, minutes, subject.to_bytes(5, "big")
        )
        signed = head + held
        token = _text(signed + _mac(self._newest.secret, signed))
        return f"{PATHS[purpose]}{token}"

    def read(self, token: str, purpose: Purpose, now: datetime) -> Link | LinkRefused:
        """Return the link that a token is, or why it opens nothing."""
        signed, mac = _split(token)
        if len(signed) < _HEAD.size:
            return LinkRefused.WRONG
        what, number, minutes, subject = _HEAD.unpack_from(signed)
        key = self._keys.get(number)
        if not hmac.compare_digest(_mac(key or b"", signed), mac) or key is None:
            return LinkRefused.WRONG
        if what != purpose.encode():
            return LinkRefused.WRONG
        link = Link(
            purpose=purpose,
            subject=int.from_bytes(subject, "big"),
            to=signed[_HEAD.size :].decode(),
            ends_at=_EPOCH + minutes * _MINUTE,
        )
        return link if now < link.ends_at else LinkRefused.EXPIRED


def _mac(secret: bytes, signed: bytes) -> bytes:
    return hmac.new(secret, _LABEL + signed, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _split(token: str) -> tuple[bytes, bytes]:
    """Return what was signed and the signature; both empty if it is no token of ours.

    There is one way to write a token: base64 has bits to spare at its end.
    """
    if len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return b"", b""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b"", b""
    if _text(raw) != token:
        return b"", b""
    return raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
