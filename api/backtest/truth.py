"""The truth of a recording: what really happened, and what is to be said of it.

A file of JSON lines, an incident in each. It comes from the simulator, or from people who
were there.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from api.backtest.episodes import Episode
from api.backtest.traps import TRAP, excuses
from ingest.errors import ChargewatchError

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class TruthUnreadable(ChargewatchError):
    """The file of truth cannot be used: half a truth would be scored as a whole one."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that really happened at a socket, a device or a site."""

    kind: str = msgspec.field(name="class")
    """What sort of thing, e.g. "overload" or "thermal_runaway"."""
    begins: Moment
    ends: Moment | None = None
    """While it lasts, what is said of its subject is about it; None: it never ended."""
    site: str | None = None
    device: str | None = None
    channel: int | None = None
    severity: str = ""
    """"trap" of what is no danger: it excuses only what it can be mistaken for."""
    onset: Moment | None = None
    """When the danger itself began; None: with the incident."""
    earliest: Moment | None = None
    """When it could first be known; delays count from here. None: at its onset."""
    latest: Moment | None = None
    """What fires later has missed it; None: any time until it ends will do."""
    expected_rules: tuple[str, ...]
    """Each of them ought to fire. Empty: a trap, of which nothing need be said."""
    must_not_rules: tuple[str, ...] = ()
    """None of them may fire. Those in neither list may."""
    figures: dict[str, float] = {}
    """What was physically so, e.g. "alone_w"; it is shown, and not scored."""

    def __post_init__(self) -> None:
        if self.ends is not None and self.ends < self.begins:
            raise ValueError("it ends before it begins")
        if self.device is None and (self.site is None or self.channel is not None):
            raise ValueError("whose? there is neither a site nor a device")

    @property
    def place(self) -> str:
        """The site, "area/site"."""
        return self.site or "/".join((self.device or "").split("/")[:2])

    @property
    def knowable_at(self) -> datetime:
        return self.earliest or self.onset or self.begins

    @property
    def over_at(self) -> datetime | None:
        """Return until when an alarm may still be about it; None: for ever."""
        return max(self.ends, self.latest or self.ends) if self.ends else None

    def concerns(self, episode: Episode) -> bool:
        """Say whether they speak of the same thing, or of a part of it, at one time."""
        if episode.site != self.place or (self.over_at and episode.fired_at > self.over_at):
            return False
        if episode.resolved_at is not None and episode.resolved_at < self.begins:
            return False
        return self.is_of(episode)

    def is_of(self, episode: Episode) -> bool:
        """Say whether both are of the same subject, or one is of a part of the other's."""
        return _meet(episode.device, self.device) and _meet(episode.channel, self.channel)

    def is_same(self, episode: Episode) -> bool:
        """Say whether both are of one subject, and not of a part of it."""
        return episode.site == self.place and (episode.device, episode.channel) == (
            self.device,
            self.channel,
        )

    def bears_out(self, rule: str) -> bool:
        """Say whether an alarm of this rule about its subject is true: it is what happened."""
        named = rule == self.kind and rule not in self.must_not_rules
        return named or rule in self.expected_rules

    def accounts_for(self, rule: str) -> bool:
        """Say whether it may be why this rule spoke of its subject, rightly or not."""
        if rule in self.must_not_rules:
            return False
        return self.severity != TRAP or excuses(self.kind, rule)

    def lasts_at(self, moment: datetime) -> bool:
        """Say whether it was going on, or an alarm might still have been about it."""
        return self.begins <= moment and (self.over_at is None or moment <= self.over_at)

    def is_found_by(self, episode: Episode) -> bool:
        """Say whether this is the alarm that was expected, and in time."""
        told_at = episode.told_at
        if told_at is None or told_at < self.begins:
            return False
        late = self.latest is not None and told_at > self.latest
        return not late and self.concerns(episode) and episode.rule in self.expected_rules


def read_truth(path: Path) -> tuple[Incident, ...]:
    """Return the incidents of a file; raises TruthUnreadable with the line and the reason."""
    try:
        with path.open("rb") as file:
            return tuple(_incidents(path, file))
    except OSError as error:
        raise TruthUnreadable(f"{path}: {error.strerror}") from error


def _incidents(path: Path, lines: Iterator[bytes]) -> Iterator[Incident]:
    decoder = msgspec.json.Decoder(Incident)
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TruthUnreadable(f"{path}, line {number}: {error}") from error


def _meet(one: str | int | None, other: str | int | None) -> bool:
    return one is None or other is None or one == other
