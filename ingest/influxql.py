"""InfluxQL: statements with values in their places, and answers read.

InfluxDB 1 lets values be bound, but 2 does not document it; so values are put in here, quoted
and escaped, the same for all versions. Statements and identifiers are constants of the code.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ingest.history import HistoryUnavailable
from ingest.influx_lines import MARK, NS_IN_US, invisible, visible
from ingest.moments import to_us

Param = str | int | float | datetime

TIME_NS_MIN, TIME_NS_MAX = -(2**63) + 2, 2**63 - 2
"""What InfluxDB knows of time: 1677 to 2262."""

_PLACEHOLDER = re.compile(r"\$(\w+)")
_MARK = MARK.encode()
_MISSING = re.compile(r"(database|retention policy|bucket)( \S+)? not found\b")


class StatementRefused(HistoryUnavailable):
    """The server does not know, or does not allow, what a statement asks for."""


class Series(msgspec.Struct, frozen=True, gc=False):
    """One series of an answer: rows of what `columns` names, moments in nanoseconds."""

    name: str = ""
    tags: dict[str, str] = {}
    columns: list[str] = []
    values: list[list[Any]] = []
    partial: bool = False
    """There is more of it."""

    def is_one_with(self, other: "Series") -> bool:
        return (self.name, self.tags, self.columns) == (other.name, other.tags, other.columns)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every row by column, the tags of the series included."""
        for values in self.values:
            yield self.tags | dict(zip(self.columns, values, strict=True))


class _Result(msgspec.Struct, frozen=True):
    series: list[Series] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


def bind(statement: str, params: Mapping[str, Param]) -> str:
    """Put each value where its `$name` stands; a moment becomes whole nanoseconds.

    Raises KeyError for a name without a value: the statement is wrong, not the value.
    """
    return _PLACEHOLDER.sub(lambda found: literal(params[found[1]]), statement)


def literal(value: Param) -> str:
    """Return a value as InfluxQL writes it; a text can be nothing but that text."""
    match value:
        case str():
            return "'" + visible(value).replace("'", "\\'") + "'"
        case datetime():
            return str(min(max(to_us(value) * NS_IN_US, TIME_NS_MIN), TIME_NS_MAX))
        case _:
            return repr(value)


def read_answer(body: bytes) -> list[Series]:
    """Return the series of all statements; raises HistoryUnavailable or StatementRefused.

    The body is one answer, or one to a line: a long series comes in pieces, of which all but
    the last say that they are partial.
    """
    found: list[Series] = []
    for answer in body.splitlines():
        for series in _series(answer):
            before = found[-1] if found else None
            if before is not None and before.partial and before.is_one_with(series):
                before.values.extend(series.values)
                found[-1] = msgspec.structs.replace(before, partial=series.partial)
            else:
                found.append(series)
    return [_invisible(series) for series in found] if _MARK in body else found


def _series(answer: bytes) -> Iterator[Series]:
    try:
        read = _decode(answer)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise HistoryUnavailable(f"its answer is none of an InfluxDB's: {error}") from error
    for words in (read.error, *(result.error for result in read.results)):
        if words:
            raise refusal(words)
    for result in read.results:
        yield from result.series


def refusal(error: str) -> HistoryUnavailable:
    """Return what a server's own words for a failure mean to us."""
    if is_missing(error):
        return HistoryUnavailable(f"{error}: run `./chargewatch history setup`")
    return StatementRefused(error)


def is_missing(error: str) -> bool:
    """Say whether it is the database, its retention policy or the bucket that is not there."""
    return _MISSING.match(error) is not None


def _invisible(series: Series) -> Series:
    return msgspec.structs.replace(
        series,
        tags={tag: invisible(value) for tag, value in series.tags.items()},
        values=[
            [invisible(value) if isinstance(value, str) else value for value in row]
            for row in series.values
        ],
    )


_decode = msgspec.json.Decoder(_Answer).decode
