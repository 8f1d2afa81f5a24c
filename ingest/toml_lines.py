"""In which line of a TOML file a key stands: Python's own reader does not say.

Each statement is read again by itself, so what is found is what the reader read. The tables
of a list, `[[…]]`, have one path, that of the first; each has one with its number as well.
"""

import tomllib
from collections.abc import Iterator, Mapping

STATEMENT_LINES_MAX = 50
"""A statement over more lines is not looked for: it would be read once for each of them."""

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table and key of a text that is valid TOML."""
    found: dict[Path, int] = {}
    table: Path = ()
    counted: dict[Path, int] = {}
    numbered: Path = ()
    """The table with the numbers of the lists that it is in."""
    rest = iter(enumerate(text.replace("\r\n", "\n").split("\n"), start=1))
    for number, line in rest:
        statement, said = line, _read(line)
        while said is None and statement.count("\n") < STATEMENT_LINES_MAX:
            following = next(rest, None)
            if following is None:
                break
            statement += "\n" + following[1]
            said = _read(statement)
        said = said or {}
        is_header = line.lstrip(" \t").startswith("[")
        paths = list(_paths(said, () if is_header else table))
        if is_header and paths:
            table = paths[-1]
            numbered = _numbered(table, counted, begins=line.lstrip(" \t").startswith("[["))
            found.setdefault(numbered, number)
        for path in paths:
            found.setdefault(path, number)
            if not is_header and numbered != table:
                found.setdefault((*numbered, *path[len(table) :]), number)
    return found


def _numbered(table: Path, counted: dict[Path, int], *, begins: bool) -> Path:
    """Return a table's path with the number of each list in it; `begins`: of a new one."""
    if begins:
        counted[table] = counted.get(table, -1) + 1
    path: Path = ()
    for length in range(1, len(table) + 1):
        path = (*path, table[length - 1])
        if table[:length] in counted:
            path = (*path, counted[table[:length]])
    return path


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """Return the line of a key, or of the nearest table around it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _read(statement: str) -> dict[str, object] | None:
    try:
        return tomllib.loads(statement)
    except (ValueError, RecursionError):
        return None


def _paths(said: object, above: Path) -> Iterator[Path]:
    """Yield the path of everything that is said, a table before what is in it."""
    if isinstance(said, list) and said:
        said = said[0]  # [[…]]: all its tables have one path
    if isinstance(said, dict):
        for key, value in said.items():
            yield (*above, key)
            yield from _paths(value, (*above, key))
