"""Passwords and their hashes, as Mosquitto 2 keeps them: `user:$7$iterations$salt$hash`.

The hash is PBKDF2 with HMAC-SHA-512. Mosquitto computes it again for each client that is
connected whenever it reads its files again, one after the other, and hears nobody meanwhile.
So it stays at Mosquitto's own 101 iterations: our passwords have 138 bits of chance, which no
number of iterations would make any safer.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from ingest.errors import ChargewatchError

ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without 0 O 1 l I o: people type these into devices."""
PASSWORD_CHARS = 24
ITERATIONS = 101
ITERATIONS_MAX = 10_000
"""A hash from elsewhere that takes longer would hold up the broker for all others."""
SALT_BYTES = 12
"""Mosquitto 2.0 takes no other length."""
HASH_BYTES = 64

PasswordHash = str
_hash = re.compile(
    r"\$7\$([1-9][0-9]{0,6})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})", re.ASCII
)


class PasswordFileWrong(ChargewatchError):
    """The password file is not what Mosquitto or we would write."""


def fresh_password() -> str:
    """Return a password that nobody has ever had."""
    return "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_CHARS))


def hashed(password: str) -> PasswordHash:
    """Return a hash of a password, with a salt of its own."""
    return _hashed(password, secrets.token_bytes(SALT_BYTES), ITERATIONS)


def fits(password: str, known: PasswordHash) -> bool:
    """Say whether a hash is that of a password."""
    iterations, salt, _ = _parts(known)
    return hmac.compare_digest(_hashed(password, salt, iterations), known)


def checked_hash(text: str) -> PasswordHash:
    """Return a hash that was made elsewhere; raises PasswordFileWrong if it is none."""
    _parts(text)
    return text


def parsed(text: str) -> dict[str, PasswordHash]:
    """Read a password file; raises PasswordFileWrong with the line."""
    found: dict[str, PasswordHash] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        username, colon, known = line.partition(":")
        if not colon or not username:
            raise PasswordFileWrong(f"line {number}: not username:hash")
        if username in found:
            raise PasswordFileWrong(f"line {number}: {username!r} is there twice")
        try:
            found[username] = checked_hash(known.strip())
        except PasswordFileWrong as error:
            raise PasswordFileWrong(f"line {number}: {error}") from None
    return found


def written(hashes: Mapping[str, PasswordHash]) -> str:
    """Return the text of a password file."""
    return "".join(f"{username}:{hashes[username]}\n" for username in sorted(hashes))


def _parts(known: PasswordHash) -> tuple[int, bytes, bytes]:
    match = _hash.fullmatch(known)
    try:
        if match is not None:
            salt, digest = (
                base64.b64decode(each, validate=True) for each in match.groups()[1:]
            )
            iterations = int(match[1])
            if (
                len(salt) == SALT_BYTES
                and len(digest) == HASH_BYTES
                and iterations <= ITERATIONS_MAX
            ):
                return iterations, salt, digest
    except ValueError:  # not base64 after all
        pass
    raise PasswordFileWrong(
        "not a password hash of Mosquitto 2 ($7$…, of mosquitto_passwd -H sha512-pbkdf2),"
        f" with at most {ITERATIONS_MAX} iterations"
    )


def _hashed(password: str, salt: bytes, iterations: int) -> PasswordHash:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    salt_text, digest_text = (base64.b64encode(each).decode() for each in (salt, digest))
    return f"$7${iterations}${salt_text}${digest_text}"
