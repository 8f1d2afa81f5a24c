"""The keys that links are signed with: one line each in a file only we can read.

The first start makes one. `./chargewatch renew-links` makes a new one; the one before it is
kept, so that the links of the last day still open, and whatever is older is gone. Twice in a
row, and no link that is about opens anything.
"""

import os
import secrets
from pathlib import Path

from api.links import LinkKey
from ingest.errors import ChargewatchError

FILE_NAME = "link_keys"
KEY_BYTES = 32
KEPT = 2
NUMBERS = 256


class LinkKeysWrong(ChargewatchError):
    """The file of keys is readable by others, or not what it should be."""


def link_keys(data_dir: Path) -> tuple[LinkKey, ...]:
    """Return the keys, the newest last; makes the first one."""
    return read_keys(data_dir) or renew_key(data_dir)


def read_keys(data_dir: Path) -> tuple[LinkKey, ...]:
    """Return the keys there are; a file that others may read is refused."""
    path = data_dir / FILE_NAME
    if not path.exists():
        return ()
    if path.stat().st_mode & 0o077:
        raise LinkKeysWrong(f"{path} may be read by others: chmod 600 {path}")
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    try:
        keys = tuple(LinkKey(int(number), bytes.fromhex(secret)) for number, secret in lines)
    except ValueError:
        keys = ()
    well = all(0 <= key.number < NUMBERS and len(key.secret) == KEY_BYTES for key in keys)
    if not keys or not well:
        raise LinkKeysWrong(f"{path}: each line is NUMBER KEY, 0 to 255 and 64 hex digits")
    return keys


def renew_key(data_dir: Path) -> tuple[LinkKey, ...]:
    """Make a new key, keep the one before it, and return both, the new one last."""
    known = read_keys(data_dir)
    number = (known[-1].number + 1) % NUMBERS if known else 0
    keys = (*known[-(KEPT - 1) :], LinkKey(number, secrets.token_bytes(KEY_BYTES)))
    data_dir.mkdir(parents=True, exist_ok=True)
    fresh = data_dir / f"{FILE_NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{key.number} {key.secret.hex()}\n" for key in keys)
    fresh.replace(data_dir / FILE_NAME)  # at once, or not at all
    return keys
