"""Backup and restore: everything that cannot be made again, in one file.

The ledger is copied by SQLite itself while the service goes on: what is in the copy is one
moment, with every transaction whole. The history is not in it: it is large, it shows only
the past, and no alarm waits for it.
"""

import hashlib
import os
import sqlite3
import tempfile
import zipfile
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from api.credentials.folder import ACCESS, PASSWORDS, opened
from api.credentials.folder import LOGINS as BOOK
from api.credentials.server_certificate import AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY
from api.credentials.setting_up import SECRET_OF
from api.link_keys import FILE_NAME
from api.settings import Settings
from ingest.errors import ChargewatchError

MANIFEST, LEDGER, TOKENS = "manifest.json", "ledger.sqlite", "tokens"
LINK_KEYS = FILE_NAME
SITES, POLICY = "sites.toml", "policy.toml"
BROKER, BROKER_AUTHORITY, SECRETS = "broker", "broker-ca", "secrets"
LOGINS = (
    *(f"{BROKER}/{name}" for name in (PASSWORDS, ACCESS, BOOK)),
    *(f"{BROKER}/{name}" for name in (AUTHORITY, CERTIFICATE, KEY)),
    f"{BROKER_AUTHORITY}/{AUTHORITY_KEY}",
    *(f"{SECRETS}/{name}" for name in SECRET_OF.values()),
)
"""The devices' logins, and what proves to them that the broker is theirs."""
KNOWN = (LEDGER, TOKENS, LINK_KEYS, SITES, POLICY, *LOGINS)
"""What a backup may hold; nothing else is ever unpacked."""
FORMAT = 1
MANIFEST_BYTES_MAX = 64 * 1024


class BackupFailed(ChargewatchError):
    """A backup could not be made or read; the message says why."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup."""

    format: int
    made_at: datetime
    """UTC."""
    sha256: dict[str, str]
    """By file."""


def backup(settings: Settings, target: Path, now: datetime) -> Manifest:
    """Write a backup to `target`, readable by its owner only; at once, or not at all.

    Raises BackupFailed if there is no ledger, or the target exists or cannot be written.
    """
    ledger = settings.data_dir / LEDGER
    if not ledger.exists():
        raise BackupFailed(f"{ledger}: there is no ledger to back up")
    if target.exists():
        raise BackupFailed(f"{target} exists already; a backup overwrites nothing")
    try:
        with (
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder_name,
            _logins_at_rest(settings.data_dir / BROKER),
        ):
            folder = Path(folder_name)
            copied = folder / LEDGER
            _copy_ledger(ledger, copied)
            files = {LEDGER: copied} | _others(settings)
            manifest = Manifest(
                format=FORMAT,
                made_at=now,
                sha256={name: _digest(path) for name, path in files.items()},
            )
            packed = folder / "packed"
            with (
                _private(packed) as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            ):
                archive.writestr(MANIFEST, msgspec.json.encode(manifest))
                for name, path in files.items():
                    archive.write(path, name)
            packed.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"{target}: {error}") from error
    return manifest


def restore(source: Path, data_dir: Path) -> Manifest:
    """Unpack a backup into `data_dir`, which must hold no ledger yet.

    Everything is checked before anything is put in place. Raises BackupFailed.
    """
    for name in KNOWN:
        if (data_dir / name).exists():
            raise BackupFailed(f"{data_dir / name} exists already; restore overwrites nothing")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(source) as archive,
            tempfile.TemporaryDirectory(dir=data_dir, prefix=".restore-") as folder_name,
        ):
            manifest = _manifest(archive, source)
            folder = Path(folder_name)
            for name, digest in manifest.sha256.items():
                (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
                with archive.open(name) as packed, _private(folder / name) as file:
                    while part := packed.read(1 << 20):
                        file.write(part)
                if _digest(folder / name) != digest:
                    raise BackupFailed(f"{source}: {name} is damaged")
            for name in manifest.sha256:
                (data_dir / name).parent.mkdir(mode=0o700, exist_ok=True)
                (folder / name).replace(data_dir / name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BackupFailed(f"{source}: {error}") from error
    return manifest


def _logins_at_rest(folder: Path) -> AbstractContextManager[object]:
    """Let nobody change the logins for as long as the block lasts, if there are any."""
    return opened(folder) if folder.exists() else nullcontext()


def _copy_ledger(source: Path, target: Path) -> None:
    _private(target).close()
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise BackupFailed(f"{source} is damaged: see PRAGMA integrity_check")


def _others(settings: Settings) -> dict[str, Path]:
    wanted = {
        TOKENS: settings.data_dir / TOKENS,
        LINK_KEYS: settings.data_dir / LINK_KEYS,
        SITES: settings.sites_file,
        POLICY: settings.policy_file,
        **{name: settings.data_dir / name for name in LOGINS},
    }
    return {name: path for name, path in wanted.items() if path is not None and path.exists()}


def _manifest(archive: zipfile.ZipFile, source: Path) -> Manifest:
    if archive.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
        raise BackupFailed(f"{source} is no backup of chargewatch: its manifest is too large")
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupFailed(f"{source} is no backup of chargewatch: {error}") from error
    if manifest.format != FORMAT:
        raise BackupFailed(f"{source} is from a newer chargewatch")
    if LEDGER not in manifest.sha256 or not set(manifest.sha256) <= set(KNOWN):
        raise BackupFailed(f"{source}: it may hold {', '.join(KNOWN)}, and no other files")
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _private(path: Path) -> BinaryIO:
    """Open a new file for writing that nobody else may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600), "wb")
