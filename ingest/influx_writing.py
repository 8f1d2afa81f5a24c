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

SPLITS_MAX = 1_000
"""So many parts of a write are halved; then the server's own count of what it did not take
has to do, if it gives one."""

SYSTEM_LINES = 100
"""If it takes nothing of a write and refuses so many lines, it is no line's fault."""

LINE_BYTES_LOGGED = 300
"""As much of a line as says whose it is: device, socket, entry, position."""

_PARTIAL = r"(?:[\w ]+: )?partial write: "
_EXPIRED = re.compile(
    _PARTIAL + r"(?:points beyond|dropped (\d+) points outside) retention policy"
)
_DROPPED = re.compile(r" dropped=(\d+)$")
"""Beginnings and ends only: in between a server may repeat what a device said."""


class Rejection(msgspec.Struct, frozen=True):
    """The server's no to a request, in its words."""

    reason: str

    @property
    def partial(self) -> bool:
        """But it took the other lines."""
        return re.match(_PARTIAL, self.reason) is not None

    @property
    def expired(self) -> bool:
        """All it would not take is older than it keeps: the same as taken and deleted."""
        return _EXPIRED.match(self.reason) is not None

    @property
    def dropped(self) -> int | None:
        """How many lines it says it did not take, if it took the others and says so."""
        counted = _EXPIRED.match(self.reason)
        if counted is None or counted[1] is None:
            counted = _DROPPED.search(self.reason)
        return int(counted[1]) if counted is not None and self.partial else None


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
    which of the others had got through. Raises HistoryUnavailable, and counts nothing, if so
    many are refused and none is taken that something else must be wrong.
    """
    parts = deque([lines])
    refused: list[tuple[int, str, bytes]] = []
    expired = splits = 0
    taken = False
    while parts:
        part = parts.popleft()
        said = send(part)
        if said is None or said.expired:
            taken = True
            expired += 0 if said is None else said.dropped or len(part)
            continue
        dropped = said.dropped
        taken |= dropped is not None and dropped < len(part)
        if len(part) == 1 or (dropped is not None and splits >= SPLITS_MAX):
            refused.append((dropped or 1, said.reason, part[0]))
        else:
            splits += 1
            middle = len(part) // 2
            parts += [part[:middle], part[middle:]]
    if not taken and len(refused) >= SYSTEM_LINES:
        raise HistoryUnavailable(f"it refuses every line: {refused[0][1]}")
    losses.expired += expired
    for count, reason, line in refused:
        losses.refused += count
        losses.reason = reason
        log.warning("influx.refused", lines=count, reason=reason, line=_shown(line))


def _shown(line: bytes) -> str:
    return line[:LINE_BYTES_LOGGED].decode(errors="replace")
