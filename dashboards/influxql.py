"""Questions in InfluxQL, checked against what is in the database when they are written.

Variables are put in by Grafana, always as `${name:regex}` between slashes: that escapes
everything that could end the pattern. Without the format, Grafana's own choice would leave
a value that begins with a digit as it is (docs/decisions/021).
"""

import re
from collections.abc import Sequence

from ingest.errors import ChargewatchError
from ingest.measurements import LONG, Kept, Measurement

ZONE = "Asia/Shanghai"
"""Whose days and weeks are counted, and whose clock the dashboards show."""

AREAS = '"area" =~ /^${area:regex}$/'
SITES = '"site" =~ /^${site:regex}$/'
DEVICE = '"device" =~ /^${device:regex}$/'
HERE = (AREAS, SITES)

RANGE = "$timeFilter"


def lately(span: str) -> str:
    """Return the time of the newest samples: at the end of the range that is shown.

    That is now, unless somebody looks at the past. What is older says nothing of now.
    """
    end = "${__to:date:ms}ms"
    return f"time > {end} - {span} AND time <= {end}"


NAMED = re.compile(r'"([^"]*)"')
INTRODUCED = re.compile(r'AS "([^"]*)"')


class NoSuchName(ChargewatchError):
    """A question names what the measurement does not have: a mistake of ours."""


def each(aggregate: str, *names: str) -> str:
    """Return `aggregate` of each name, which keeps its name."""
    return ", ".join(f'{aggregate}("{name}") AS "{name}"' for name in names)


def ask(  # noqa: PLR0913  (a question has this many parts)
    source: Measurement,
    select: str,
    *,
    when: str = RANGE,
    where: Sequence[str] = HERE,
    by: Sequence[str] = (),
    tail: str = "",
) -> str:
    """Return one SELECT; `by` are tags, or `time(…)`; `tail` is fill, ORDER BY, LIMIT, tz."""
    place = f'"{source.name}"'
    if source.kept is Kept.LONG:
        place = f'"{LONG}".{place}'
    text = _select(select, place, (when, *where), by, tail)
    known = {*source.tags, *source.fields, *INTRODUCED.findall(select)}
    _check(" ".join((select, *where, _groups(by))), known, source.name)
    return text


def ask_of(
    inner: str,
    select: str,
    *,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    tail: str = "",
) -> str:
    """Return a SELECT of what another one answers."""
    known = set(NAMED.findall(inner)) | set(INTRODUCED.findall(select))
    _check(" ".join((select, *where, _groups(by))), known, "subquery")
    return _select(select, f"({inner})", where, by, tail)


def tag_values(source: Measurement, tag: str, where: Sequence[str] = ()) -> str:
    """Return the question for all values of a tag: the choices of a variable."""
    _check(" ".join((f'"{tag}"', *where)), set(source.tags), source.name)
    filtered = f" WHERE {' AND '.join(where)}" if where else ""
    return f'SHOW TAG VALUES FROM "{LONG}"."{source.name}" WITH KEY = "{tag}"{filtered}'


def _select(select: str, place: str, where: Sequence[str], by: Sequence[str], tail: str) -> str:
    filtered = f" WHERE {' AND '.join(where)}" if where else ""
    grouped = f" GROUP BY {_groups(by)}" if by else ""
    text = f"SELECT {select} FROM {place}{filtered}{grouped} {tail}"  # noqa: S608  (all ours)
    return text.rstrip()


def _groups(by: Sequence[str]) -> str:
    return ", ".join(each if each.startswith("time(") else f'"{each}"' for each in by)


def _check(text: str, known: set[str], what: str) -> None:
    if unknown := set(NAMED.findall(text)) - known:
        raise NoSuchName(f"{what} has no {', '.join(sorted(unknown))}: {text}")
