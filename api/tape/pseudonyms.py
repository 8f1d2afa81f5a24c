"""Names that stand for others: always the same under one key, and no way back without it."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ingest.errors import ChargewatchError

KEY_BYTES_MIN = 16
KEY_BYTES_MAX = 4096
CHARS = 12
"""60 bits: a million devices share a pseudonym with a chance of one in two million."""
OWNER_ONLY = 0o600


class KeyUnusable(ChargewatchError):
    """The file holds no key, or one that can be guessed."""


class Pseudonyms:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: str, name: str) -> str:
        """Return what stands for a name: area-…, site-…, device-…"""
        said = f"{kind}\0{name}".encode(errors="surrogatepass")
        digest = hmac.digest(self._key, said, hashlib.sha256)
        return f"{kind}-{base64.b32encode(digest).decode().lower()[:CHARS]}"

    def device(self, area: str, site: str, device: str) -> tuple[str, str, str]:
        """Return area, site and device; a site of the same name elsewhere is another."""
        return (
            self.of("area", area),
            self.of("site", f"{area}/{site}"),
            self.of("device", f"{area}/{site}/{device}"),
        )


def key_of(file: Path) -> bytes:
    """Return the key of a file, which is made with one if it is not there."""
    try:
        if not file.exists():
            _made(file)
        with file.open("rb") as opened:
            key = opened.read(KEY_BYTES_MAX).strip()
    except OSError as error:
        raise KeyUnusable(f"{file}: {error.strerror}") from error
    if len(key) < KEY_BYTES_MIN:
        raise KeyUnusable(f"{file}: a key has at least {KEY_BYTES_MIN} bytes")
    return key


def _made(file: Path) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(opened, "w") as written:
        written.write(secrets.token_hex(32) + "\n")
