"""Passwords of people: which are refused, and how they are kept.

Kept is an Argon2id hash with the second recommended parameters of RFC 9106 (64 MiB, three
passes, four lanes). When the parameters change, a hash is made anew at the next login.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from ingest.errors import ChargewatchError

CHARS_MIN = 10
CHARS_MAX = 200
DIFFERENT_MIN = 5
BESIDE_THE_NAME_MIN = 6
"""Characters that are left when the name is taken out."""
DIGITS_ALONE_MAX = 11
"""A date, or a telephone number."""
AT_ONCE = 2
"""Hashes made at the same time: each takes 64 MiB, and what the engine has no use for."""
WAITING_MAX = 20
GENERATED = "abcdefghjkmnpqrstuvwxyz23456789"
"""Nothing that is taken for something else when it is read out."""
GROUPS, GROUP_CHARS = 4, 5

_COMMON = """
1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc q1w2e3r4t5 qwertyuiop qwerty12345 qwerty123456
asdfghjkl1 asdfghjkl123 zxcvbnm123 zaq12wsxcde3 a123456789 aa123456789 123456789a
1234567890a abc123456789 123456789abc qq123456789 woaini1314 woaini520 woaini5201314
woaini123456 aini1314520 password12 password123 password1234 passw0rd123 p@ssw0rd123
admin12345 admin123456 adminadmin administrator letmein123 welcome123 changeme123
iloveyou123 iloveyou1314 chargewatch chargewatch1 chargewatch123 test123456 root123456
"""
COMMON = frozenset(_COMMON.split())
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "01234567890123456789")

T = TypeVar("T")


class Weakness(StrEnum):
    """Why a password is refused."""

    SHORT = "short"
    LONG = "long"
    NAME = "name"
    COMMON = "common"


class HashingBusy(ChargewatchError):
    """Too many want a password to be looked at."""


def weakness(password: str, names: Iterable[str]) -> Weakness | None:
    """Return what is wrong with a new password of somebody who is called `names`."""
    said = _plain(password)
    if len(said) < CHARS_MIN:
        return Weakness.SHORT
    if len(said) > CHARS_MAX:
        return Weakness.LONG
    folded = said.casefold()
    for name in filter(None, map(str.casefold, names)):
        if name in folded and len(folded.replace(name, "")) < BESIDE_THE_NAME_MIN:
            return Weakness.NAME
    only_digits = folded.isdecimal() and len(folded) <= DIGITS_ALONE_MAX
    in_a_row = any(folded in row or folded in row[::-1] for row in _ROWS)
    if folded in COMMON or only_digits or in_a_row or len(set(folded)) < DIFFERENT_MIN:
        return Weakness.COMMON
    return None


def generated() -> str:
    """Return a first password: 99 bits, in groups that can be read out."""
    return "-".join(
        "".join(secrets.choice(GENERATED) for _ in range(GROUP_CHARS)) for _ in range(GROUPS)
    )


class Passwords:
    """Makes and checks hashes, beside the loop and few at a time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobodys = ""

    def made(self, password: str) -> str:
        """Return the hash of a password; takes a tenth of a second."""
        return self._hasher.hash(_plain(password))

    async def hashed(self, password: str) -> str:
        """Return the hash of a password. Raises HashingBusy."""
        return await self._beside(lambda: self.made(password))

    async def fits(self, kept: str, password: str) -> bool:
        """Say whether it is the password; where none is kept, that takes as long.

        Raises HashingBusy.
        """
        return await self._beside(lambda: self._check(kept, password))

    def is_old(self, kept: str) -> bool:
        """Say whether a hash was made with other parameters."""
        return self._hasher.check_needs_rehash(kept)

    def _check(self, kept: str, password: str) -> bool:
        if not kept and not self._nobodys:
            self._nobodys = self.made(secrets.token_urlsafe())
        try:
            fits = self._hasher.verify(kept or self._nobodys, _plain(password))
        except (VerificationError, InvalidHashError):
            return False
        return fits and bool(kept)

    async def _beside(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise HashingBusy("too many passwords are being looked at")
        self._waiting += 1
        try:
            async with self._places:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _plain(password: str) -> str:
    """Return what was meant, in whatever width an input method has typed it."""
    return unicodedata.normalize("NFKC", password)
