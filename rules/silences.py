"""Silences and maintenance windows: what people do not want to hear of, for a while.

A silence keeps alerts from people, never from the ledger: they fire, are written down as
withheld, and are told at its end if they still fire. It ends nothing, so it can cause no
recovery. An emergency is told through every silence, and smoke through all but a maintenance
window that names its device: somebody stands there then, with a hot-air gun.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from rules.alerts import Alert
from rules.verdict import Severity

LONGEST = timedelta(days=30)
"""Ours: long enough for any repair, and whoever needs more says so again."""
TEXT_CHARS_MAX = 500
ALWAYS_HEARD = frozenset({"smoke", "fire"})
"""Rules that only a maintenance window of the very device keeps quiet."""


class SilenceKind(StrEnum):
    SILENCE = "silence"
    """It is known, and nobody wants to hear it again."""
    MAINTENANCE = "maintenance"
    """Somebody works there."""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Half-open: starts <= t < ends. Raises ValueError for what may not be.

    It names a site or a device: one without a place would switch the watch off.
    """

    id: str
    kind: SilenceKind = SilenceKind.SILENCE
    owner: str
    """Who answers for it, and whom to ask."""
    reason: str
    starts: datetime
    ends: datetime
    site: str = ""
    device: str = ""
    channel: int | None = None
    rule: str = ""
    """Empty: every rule."""

    def __post_init__(self) -> None:
        for name in ("owner", "reason"):
            if not 0 < len(getattr(self, name).strip()) <= TEXT_CHARS_MAX:
                raise ValueError(f"{name} must be said, in at most {TEXT_CHARS_MAX} characters")
        if not self.starts < self.ends <= self.starts + LONGEST:
            raise ValueError(f"ends must be after starts, by at most {LONGEST.days} days")
        if bool(self.site) is bool(self.device):
            raise ValueError("name either a site or a device")
        if self.channel is not None and not self.device:
            raise ValueError("a channel is one of a device: name the device")

    def covers(self, alert: Alert) -> bool:
        """Say whether an alert is meant, while this is in force."""
        key = alert.key
        if alert.severity is Severity.EMERGENCY or (self.rule and self.rule != key.rule):
            return False
        named = bool(self.device) and self.device == key.device
        if key.rule in ALWAYS_HEARD:
            return named and self.kind is SilenceKind.MAINTENANCE
        if self.channel is not None and self.channel != key.channel:
            return False
        return named or (bool(self.site) and self.site == alert.site)


class Silences:
    """Those that are in force or will be; forgets each at its end."""

    def __init__(self) -> None:
        self._known: dict[str, Silence] = {}
        self._by_place: dict[str, dict[str, Silence]] = {}
        self._boundaries: list[tuple[datetime, str]] = []

    def __iter__(self) -> Iterator[Silence]:
        return iter(tuple(self._known.values()))

    def put(self, silence: Silence, now: datetime) -> None:
        """Add one, or replace the one of the same id (to end it early, for one).

        What of it lies in the past happens now: no boundary is ever before `now`.
        """
        self._drop(silence.id)
        self._known[silence.id] = silence
        place = silence.device or silence.site
        self._by_place.setdefault(place, {})[silence.id] = silence
        for boundary in (silence.starts, silence.ends):
            heapq.heappush(self._boundaries, (max(boundary, now), silence.id))

    def over(self, alert: Alert, now: datetime) -> str:
        """Return the id of a silence that keeps an alert from people now; empty: none."""
        if not self._by_place:
            return ""
        for place in (alert.key.device, alert.site):
            for silence in self._by_place.get(place or "", {}).values():
                if silence.starts <= now < silence.ends and silence.covers(alert):
                    return silence.id
        return ""

    def next_boundary(self) -> datetime | None:
        """Return the first moment at which one begins or ends."""
        return self._boundaries[0][0] if self._boundaries else None

    def turn(self, alerts: Iterable[Alert], now: datetime) -> list[Alert]:
        """Pass all boundaries up to `now`; return which of `alerts` they may concern."""
        turned: dict[str, Silence] = {}
        while self._boundaries and self._boundaries[0][0] <= now:
            _, number = heapq.heappop(self._boundaries)
            silence = self._known.get(number)
            if silence is None:
                continue
            turned[number] = silence
            if silence.ends <= now:
                self._drop(number)
        if not turned:
            return []
        return [a for a in alerts if any(each.covers(a) for each in turned.values())]

    def _drop(self, number: str) -> None:
        silence = self._known.pop(number, None)
        if silence is None:
            return
        place = silence.device or silence.site
        self._by_place[place].pop(number)
        if not self._by_place[place]:
            del self._by_place[place]
