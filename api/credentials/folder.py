"""The broker's folder: what Mosquitto reads to know its devices, changed whole or not at all.

One command at a time: a lock is held from reading to writing. Files are replaced, never
written over, in an order in which a crash in between leaves too few rights and never too many:
first the passwords, then the rights, then our own book.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.credentials import book as books
from api.credentials import passwords
from api.credentials.book import Book
from api.credentials.logins import CredentialsWrong
from api.credentials.passwords import PasswordFileWrong
from api.credentials.rights import access_file

PASSWORDS, ACCESS, LOGINS, LOCK = "passwd", "acl", "logins.json", ".lock"
FILE_BYTES_MAX = 64 * 1024 * 1024


class FolderUnusable(CredentialsWrong):
    """The broker's folder cannot be read, written or locked; the message says why."""


class BrokerFolder:
    """The folder, while we alone may change it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Book:
        """Return who has a login; nobody, if none was ever given."""
        book, hashes = self.path / LOGINS, self.path / PASSWORDS
        try:
            known = passwords.parsed(_text(hashes).decode()) if hashes.exists() else {}
            return books.decoded(_text(book), known) if book.exists() else Book({}, known)
        except (OSError, UnicodeDecodeError) as error:
            raise FolderUnusable(f"{self.path}: {error}") from error
        except PasswordFileWrong as error:
            raise FolderUnusable(f"{hashes}: {error}") from error

    def write(self, book: Book) -> None:
        """Put a book in force, for the broker's next reading."""
        self.put(PASSWORDS, passwords.written(book.hashes).encode())
        self.put(ACCESS, access_file(book.logins.values()).encode())
        self.put(LOGINS, books.encoded(book))

    def put(self, name: str, content: bytes) -> None:
        """Replace a file, readable by the folder's group if the folder hands its group on."""
        replace(self.path / name, content, readable_by_group=_shared(self.path))


@contextmanager
def opened(path: Path, *, make: bool = False) -> Iterator[BrokerFolder]:
    """Lock the folder and yield it; with `make` it is made if it is not there.

    Raises FolderUnusable if another command holds it.
    """
    try:
        if make:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not path.is_dir():
            raise FolderUnusable(
                f"{path}: no such folder; begin with ./chargewatch devices init"
            )
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode=0o600)
    except OSError as error:
        raise FolderUnusable(f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderUnusable(f"{path}: another command is changing it; try again") from None
        yield BrokerFolder(path)
    finally:
        os.close(lock)


def share(path: Path, group: int) -> None:
    """Let a group, the broker's, read what is in the folder and what will be put into it."""
    try:
        if path.stat().st_gid == group and _shared(path):
            return
        os.chown(path, -1, group)
        path.chmod(0o2750)  # new files inherit the group
        for file in path.iterdir():
            if not file.name.startswith("."):
                os.chown(file, -1, group)
                file.chmod(0o640)
    except OSError as error:
        raise FolderUnusable(
            f"{path}: {error.strerror}: only a member of the group, or root, can give it away"
        ) from error


def replace(path: Path, content: bytes, *, readable_by_group: bool = False) -> None:
    """Write a file at once or not at all, for its owner only, or for its group as well."""
    fresh = path.with_name(f".{path.name}.new")
    mode = 0o640 if readable_by_group else 0o600
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError as error:
        raise FolderUnusable(f"{path}: {error.strerror}") from error


def _shared(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_ISGID)


def _text(path: Path) -> bytes:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise FolderUnusable(f"{path}: larger than {FILE_BYTES_MAX >> 20} MiB")
    return path.read_bytes()
