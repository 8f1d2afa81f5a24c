"""Alarms as they are given to the scorer: in a file of JSON lines, or by a service's API.

Either way they become episodes, as the backtest has them, so that there is one scorer.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from api.backtest.episodes import Episode
from api.backtest.result import Result
from ingest.errors import ChargewatchError
from rules.alerts import GroupKind

LINE_BYTES_MAX = 64 * 1024
ALERTS_MAX = 1_000_000
FORM = 1
"""The version of the file's form, in its first line."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Unset = msgspec.UnsetType


class AlertsUnreadable(ChargewatchError):
    """The alarms cannot be used: half of them would be scored as all."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was watched: the first line of a file of alarms."""

    form: int = msgspec.field(default=FORM, name="alerts")
    begins: Moment | None = msgspec.field(default=None, name="from")
    ends: Moment | None = msgspec.field(default=None, name="to")
    sites: int | None = None


class Alarms(msgspec.Struct, frozen=True, kw_only=True):
    """All alarms of a time, in the order in which they fired."""

    watched: Watched
    episodes: list[Episode]


class _Evidence(msgspec.Struct, frozen=True, kw_only=True):
    measured: float | None = None
    limit: float | None = None
    unit: str = ""


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm: a line of a file, or an alert of the API. Whatever else it says is left."""

    rule: str
    fired_at: Moment | None
    severity: str = ""
    site: str = ""
    device: str | None = None
    channel: int | None = None
    scope: str = ""
    told_at: Moment | Unset | None = msgspec.UNSET
    withheld: str = ""
    resolved_at: Moment | None = None
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    evidence: _Evidence = _Evidence()
    notifications: int | None = None
    drill: bool = False

    def episode(self) -> Episode | None:
        """Return it as the scorer has it; None: it never fired, or was a drill."""
        if self.fired_at is None or self.drill:
            return None
        told_at = self.told_at
        if isinstance(told_at, Unset):
            told_at = None if self.withheld else self.fired_at
        shown = self.evidence
        return Episode(
            rule=self.rule,
            severity=self.severity,
            site=self.site or self._site(),
            device=self.device or None,
            channel=self.channel,
            scope=self.scope,
            fired_at=self.fired_at,
            told_at=told_at,
            withheld=self.withheld,
            resolved_at=self.resolved_at,
            measured=shown.measured if self.measured is None else self.measured,
            limit=shown.limit if self.limit is None else self.limit,
            unit=self.unit or shown.unit,
            notifications=self.notifications,
        )

    def _site(self) -> str:
        kind, _, name = self.scope.partition(":")
        if kind == GroupKind.SITE:
            return name
        return "/".join((self.device or "").split("/")[:2])


def read_alarms(path: Path) -> Alarms:
    """Return the alarms of a file; raises AlertsUnreadable with the line and the reason."""
    try:
        with path.open("rb") as file:
            return _alarms(path, file)
    except OSError as error:
        raise AlertsUnreadable(f"{path}: {error.strerror}") from error


def write_alarms(path: Path, alarms: Alarms) -> None:
    """Write a file that `read_alarms` reads back."""
    encode = msgspec.json.encode
    try:
        with path.open("wb") as file:
            file.write(encode(alarms.watched) + b"\n")
            file.writelines(encode(each) + b"\n" for each in alarms.episodes)
    except OSError as error:
        raise AlertsUnreadable(f"{path}: {error.strerror}") from error


def of_backtest(result: Result) -> Alarms:
    """Return what would have fired, under the policy that was tried if there was one."""
    outcome = result.proposed or result.in_force
    watched = Watched(begins=result.begins, ends=result.ends, sites=result.sites)
    return Alarms(watched=watched, episodes=outcome.episodes)


def in_order(lines: Iterable[AlertLine]) -> list[Episode]:
    """Return the alarms that count, in the order in which they fired."""
    found = [episode for line in lines if (episode := line.episode()) is not None]
    return sorted(found, key=lambda each: (each.fired_at, each.rule, each.subject))


def within(
    episodes: Sequence[Episode], begins: datetime | None, ends: datetime | None
) -> list[Episode]:
    """Return those that fired in [begins, ends]."""
    return [
        each
        for each in episodes
        if (begins is None or each.fired_at >= begins)
        and (ends is None or each.fired_at <= ends)
    ]


def _alarms(path: Path, file: BinaryIO) -> Alarms:
    lines, watched = [], Watched()
    decoder = msgspec.json.Decoder(AlertLine)
    for number, raw in _numbered(path, file):
        try:
            if number == 1 and b'"alerts"' in raw and b'"rule"' not in raw:
                watched = msgspec.json.decode(raw, type=Watched)
                if watched.form != FORM:
                    raise AlertsUnreadable(f"{path}: alerts of form {watched.form}, not {FORM}")
            else:
                lines.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AlertsUnreadable(f"{path}, line {number}: {error}") from error
        if len(lines) > ALERTS_MAX:
            raise AlertsUnreadable(f"{path}: more than {ALERTS_MAX} alerts")
    return Alarms(watched=watched, episodes=in_order(lines))


def _numbered(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while raw := file.readline(LINE_BYTES_MAX):
        number += 1
        if len(raw) == LINE_BYTES_MAX and not raw.endswith(b"\n"):
            raise AlertsUnreadable(f"{path}, line {number}: longer than {LINE_BYTES_MAX} bytes")
        if not raw.isspace():
            yield number, raw
