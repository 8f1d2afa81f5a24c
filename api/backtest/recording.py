"""Reads a recording, line by line: a month of messages takes no more memory than one."""

import gzip
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ingest.errors import ChargewatchError
from ingest.lines import recorded_message
from ingest.wire import PAYLOAD_BYTES_MAX, Message, Rejected

LINE_BYTES_MAX = 8 * PAYLOAD_BYTES_MAX
"""The longest payload there is, with each byte written as an escape, fits in."""
BUFFER_BYTES = 1 << 18
"""Read at a time; twice as fast as with the usual 8 KiB."""
SHOWN_MAX = 10
"""Bad lines that are told one by one; all are counted."""
STANDARD_INPUT = Path("-")

Read = Callable[[bytes], Message | Rejected]


class RecordingUnreadable(ChargewatchError):
    """There is no such file, or nothing in it is a recording."""


class Recording:
    """Yields the messages of one file; knows how far it has read, and what it could not."""

    def __init__(self, path: Path, read: Read = recorded_message) -> None:
        """`read` understands one line; a tape's has more to say of a message."""
        self.path = path
        self._read = read
        self.lines = 0
        self.bad_lines = 0
        self.bad_shown: list[str] = []
        """What is wrong with the first bad lines, each with its number."""
        self._raw: BinaryIO = io.BytesIO()
        self._size = 0

    def messages(self) -> Iterator[Message]:
        """Yield every message that can be read; raises RecordingUnreadable if none can."""
        found = False
        try:
            with self._opened() as file:
                for raw in self._lines(file):
                    message = self._read(raw)
                    if isinstance(message, Message):
                        found = True
                        yield message
                    else:
                        self._note(str(message))
        except (OSError, EOFError) as error:
            raise RecordingUnreadable(f"{self.path}: {_reason(error)}") from error
        if not found:
            why = f": {self.bad_shown[0]}" if self.bad_shown else ", not even a bad one"
            raise RecordingUnreadable(f"{self.path}: there is no message in it{why}")

    def share_read(self) -> float | None:
        """Return how much of the file has been read, 0 to 1; None: nobody knows."""
        if not self._size or self._raw.closed:
            return None
        return min(1.0, self._raw.tell() / self._size)

    def _opened(self) -> BinaryIO:
        if self.path == STANDARD_INPUT:
            return sys.stdin.buffer
        self._raw = self.path.open("rb", buffering=BUFFER_BYTES)
        self._size = self.path.stat().st_size
        if self.path.suffix == ".gz":
            return io.BufferedReader(_Unpacked(fileobj=self._raw))
        return self._raw

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the lines that say something and are not endless."""
        while raw := file.readline(LINE_BYTES_MAX):
            self.lines += 1
            if len(raw) == LINE_BYTES_MAX and not raw.endswith(b"\n"):
                self._note(f"longer than {LINE_BYTES_MAX} bytes")
                while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                    pass
            elif not raw.isspace():
                yield raw

    def _note(self, reason: str) -> None:
        self.bad_lines += 1
        if len(self.bad_shown) < SHOWN_MAX:
            self.bad_shown.append(f"line {self.lines}: {reason}")


class _Unpacked(gzip.GzipFile):
    """What is packed in a file. Closing it closes the file too."""

    def __init__(self, fileobj: BinaryIO) -> None:
        super().__init__(fileobj=fileobj)
        self._packed = fileobj

    def close(self) -> None:
        super().close()
        self._packed.close()


def _reason(error: OSError | EOFError) -> str:
    return getattr(error, "strerror", None) or str(error)
