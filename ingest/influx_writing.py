"""What to do with lines that InfluxDB will not take: find them, so that the others get through.

A server that cannot work now is none of this module's business: that is HistoryUnavailable,
raised by who talks to it.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import structlog

from ingest.history import HistoryUnavailable

log = structlog.get_logger()

ALONE_MAX = 100
"""Lines of one write that are looked for one by one."""

LINE_BYTES_LOGGED = 300
"""As much of a line as says whose it is: device, socket, entry, position."""

_EXPIRED = re.compile(r"(beyond|outside) (the )?retention policy", re.IGNORECASE)
_DROPPED = re.compile(r"dropped[ =](\d+)")


class Rejection(msgspec.Struct, frozen=True):
    """The server's no to a request, in its words. `partial`: but it took the other lines."""

    reason: str
    partial: bool = False

    @property
    def expired(self) -> bool:
        """All it would not take is older than it keeps: the same as taken and deleted."""
        return self.partial and _EXPIRED.search(self.reason) is not None

    @property
    def dropped(self) -> int | None:
        """How many lines it says it did not take, if it says so."""
        found = _DROPPED.search(self.reason)
        return None if found is None else int(found[1])


class Losses(msgspec.Struct):
    """What the server would not take and never will, since the service started."""

    refused: int = 0
    reason: str = ""
    """Of the last one."""
    expired: int = 0
    """Older than its retention policy keeps. Nothing is wrong with those."""


Send = Callable[[Sequence[bytes]], Rejection | None]


def write(lines: Sequence[bytes], send: Send, losses: Losses) -> None:
    """Send lines; halve what is refused until the lines that are to blame are alone.

    Those are logged and counted. Writing a line twice changes nothing, so it is no matter
    which of the others had got through. Raises HistoryUnavailable if nothing gets through:
    that is no line's fault.
    """
    parts = deque([lines])
    refused: list[tuple[bytes, str]] = []
    taken = False
    while parts:
        part = parts.popleft()
        said = send(part)
        if said is None or said.expired:
            taken = True
            losses.expired += 0 if said is None else said.dropped or len(part)
        elif len(part) == 1:
            refused.append((part[0], said.reason))
            if len(refused) == ALONE_MAX and not taken:
                raise HistoryUnavailable(f"it refuses every line: {said.reason}")
        elif len(refused) < ALONE_MAX:
            middle = len(part) // 2
            parts += [part[:middle], part[middle:]]
        else:
            _note(losses, said.reason, said.dropped if said.partial else len(part))
    for line, reason in refused:
        log.warning("influx.line_refused", reason=reason, line=_shown(line))
        _note(losses, reason, 1)


def _note(losses: Losses, reason: str, lines: int | None) -> None:
    losses.refused += lines or 1
    losses.reason = reason


def _shown(line: bytes) -> str:
    return line[:LINE_BYTES_LOGGED].decode(errors="replace")
