"""Who may see and who may act: named tokens, of which only digests are kept."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

import msgspec

from ingest.errors import ChargewatchError

TOKEN_CHARS_MIN = 16
"""Tokens are guessed at, not remembered: 16 random characters are beyond guessing."""
TOKEN_CHARS_MAX = 200


Scope = Literal["read", "write"]


class TokensUnusable(ChargewatchError):
    """The tokens that were configured are no protection."""


class TokenGrant(msgspec.Struct, frozen=True):
    """What a token lets its holder do. `name` goes into the logs of alerts."""

    name: str
    scope: Scope
    """`write` may also read."""

    @property
    def may_write(self) -> bool:
        return self.scope == "write"


class Access:
    """Knows the tokens by their SHA-256 alone."""

    def __init__(self, digests: Mapping[bytes, TokenGrant]) -> None:
        self._digests = tuple(digests.items())

    @classmethod
    def of(cls, tokens: Mapping[str, TokenGrant]) -> "Access":
        """Take up tokens, each with what it grants; the tokens themselves are not kept."""
        for token, grant in tokens.items():
            if not TOKEN_CHARS_MIN <= len(token) <= TOKEN_CHARS_MAX:
                wanted = f"{TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters"
                raise TokensUnusable(f"the token of {grant.name!r} is not {wanted} long")
        return cls({_digest(token): grant for token, grant in tokens.items()})

    @property
    def empty(self) -> bool:
        """True if nobody at all can log in."""
        return not self._digests

    def grant(self, token: str) -> TokenGrant | None:
        """Return whose token it is, in a time that does not tell how near a guess came."""
        digest, found = _digest(token), None
        for known, grant in self._digests:
            if hmac.compare_digest(known, digest):
                found = grant
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
