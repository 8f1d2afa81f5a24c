"""Writes a tape: plain or packed, in one file or in several, within limits."""

import gzip
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec

from api.tape.taken import Taken, taken_line
from ingest.errors import ChargewatchError

PACKED = ".gz"
LEVEL = 6
"""Of packing: what gzip itself does."""
OWNER_ONLY = 0o600
"""Raw messages say who charges when."""


class TapeUnwritable(ChargewatchError):
    """There is no room, or the file is there already."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When to begin another file. None: never."""

    file_bytes: int | None = None
    """Before packing."""
    file_lasts: timedelta | None = None


class Tape:
    """Takes messages. What `flush` has returned for is in the kernel's hands, or beyond."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        """With limits, `path` names the first file, and the others are numbered after it."""
        self._path, self._limits = path, limits or Limits()
        self.files: list[Path] = []
        self.messages = self.bytes = 0
        self._file: BinaryIO | None = None
        self._packer: gzip.GzipFile | None = None
        self._file_bytes = 0
        self._file_began: datetime | None = None

    def take(self, taken: Taken) -> None:
        """Write a message; raises TapeUnwritable, and then it is not on the tape."""
        line = taken_line(taken)
        try:
            file = self._for(len(line), taken.received_at)
            file.write(line)
        except OSError as error:
            raise TapeUnwritable(f"{self._named()}: {error.strerror}") from error
        self.messages += 1
        self.bytes += len(line)
        self._file_bytes += len(line)

    def flush(self) -> None:
        """Hand everything over to the kernel, so that it outlives this process."""
        try:
            if self._packer is not None:
                self._packer.flush()
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise TapeUnwritable(f"{self._named()}: {error.strerror}") from error

    def close(self) -> None:
        try:
            if self._packer is not None:
                self._packer.close()
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise TapeUnwritable(f"{self._named()}: {error.strerror}") from error
        finally:
            self._file = self._packer = None

    def _for(self, more_bytes: int, at: datetime) -> BinaryIO | gzip.GzipFile:
        """Return the file to write to, which is another one if this is full or over."""
        limits, began = self._limits, self._file_began
        full = (
            limits.file_bytes is not None
            and self._file_bytes > 0
            and self._file_bytes + more_bytes > limits.file_bytes
        )
        over = (
            limits.file_lasts is not None
            and began is not None
            and at - began >= limits.file_lasts
        )
        if self._file is None or full or over:
            self.close()
            self._open()
            self._file_bytes, self._file_began = 0, at
        return self._packer or self._opened()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise RuntimeError("no file is open")
        return self._file

    def _open(self) -> None:
        path = self._named(len(self.files) + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._file = os.fdopen(os.open(path, flags, OWNER_ONLY), "wb")
        if path.suffix == PACKED:
            self._packer = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=LEVEL)
        self.files.append(path)

    def _named(self, number: int = 1) -> Path:
        """Return the name of the n-th file: evening.jsonl.gz, evening-2.jsonl.gz, …"""
        if number == 1:
            return self._path
        stem, dot, rest = self._path.name.partition(".")
        return self._path.with_name(f"{stem}-{number}{dot}{rest}")
