"""The file that declares people, posts and routes: read, checked, and mistakes told by line."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec
from pydantic import ValidationError

from api.people.parts import ID_PATTERN, AnyPart, Entered, PersonPart, PostPart, RoutePart
from api.people.wrong import Path
from api.policy_shape import did_you_mean
from ingest.errors import ChargewatchError
from ingest.toml_lines import line_of, lines_of

BYTES_MAX = 4 * 1024 * 1024
TOLD_MAX = 30
KINDS: Mapping[str, type[PersonPart] | type[PostPart] | type[RoutePart]] = {
    "people": PersonPart,
    "posts": PostPart,
    "routes": RoutePart,
}
"""In this order they are kept: posts have members, and routes name both."""


class PeopleFileWrong(ChargewatchError):
    """The file cannot be used; a line of the message for each mistake."""


class Declared(msgspec.Struct, frozen=True):
    """One table of the file."""

    kind: str
    id: str
    part: AnyPart


class PeopleFile(msgspec.Struct, frozen=True):
    named: str
    text: str
    declared: tuple[Declared, ...]

    def refused(self, mistakes: Iterable[tuple[Path, str]]) -> PeopleFileWrong:
        """Return what to raise for mistakes that are found later."""
        return _wrong(self.named, self.text, mistakes)


def read_people_file(file: FilePath) -> PeopleFile:
    """Read and check a file. Raises PeopleFileWrong."""
    try:
        with file.open("rb") as opened:
            read = opened.read(BYTES_MAX + 1)
    except OSError as error:
        raise PeopleFileWrong(f"{file}: {error.strerror}") from error
    return parsed(read, str(file))


def parsed(read: bytes, named: str = "people") -> PeopleFile:
    """Check what a file says, as far as it can be without knowing what is kept."""
    if len(read) > BYTES_MAX:
        raise PeopleFileWrong(f"{named}: longer than {BYTES_MAX // 1024} KiB")
    try:
        text = read.decode("utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise PeopleFileWrong(f"{named}: save it as UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:
        raise PeopleFileWrong(f"{named}: this is no TOML: {error}") from error
    mistakes: list[tuple[Path, str]] = []
    declared = tuple(_declared(document, mistakes))
    if mistakes:
        raise _wrong(named, text, mistakes)
    return PeopleFile(named, text, declared)


def _declared(
    document: Mapping[str, Any], mistakes: list[tuple[Path, str]]
) -> Iterator[Declared]:
    for kind in document:
        if kind not in KINDS:
            end = did_you_mean(kind, list(KINDS))
            mistakes.append(((kind,), f"no such table{end} There are {', '.join(KINDS)}"))
    for kind, shape in KINDS.items():
        tables = document.get(kind, {})
        if not isinstance(tables, dict):
            mistakes.append(((kind,), f"write a table for each: [{kind}.some-id]"))
            continue
        for number, said in tables.items():
            found = _part(shape, (kind, number), said, mistakes)
            if found is not None:
                yield Declared(kind, number, found)


def _part(
    shape: type[PersonPart] | type[PostPart] | type[RoutePart],
    path: Path,
    said: Any,
    mistakes: list[tuple[Path, str]],
) -> AnyPart | None:
    if re.fullmatch(ID_PATTERN, str(path[-1])) is None:
        mistakes.append((path, "an id is small letters, digits, dots and dashes, at most 64"))
    try:
        return shape.model_validate(said)
    except ValidationError as error:
        mistakes += [((*path, *each["loc"]), _words(shape, each)) for each in error.errors()]
        return None


def _words(shape: type[Entered], error: Any) -> str:
    if error["type"] == "extra_forbidden":
        end = did_you_mean(str(error["loc"][-1]), list(shape.model_fields))
        return f"no such key{end}"
    return str(error["msg"])


def _wrong(named: str, text: str, mistakes: Iterable[tuple[Path, str]]) -> PeopleFileWrong:
    return PeopleFileWrong("\n".join(_told(named, text, mistakes)))


def _told(named: str, text: str, mistakes: Iterable[tuple[Path, str]]) -> Iterator[str]:
    lines = lines_of(text)
    placed = sorted(
        (line_of(path, lines) or 0, ".".join(path), words)
        for path, words in ((tuple(map(str, path)), words) for path, words in mistakes)
    )
    for line, path, words in placed[:TOLD_MAX]:
        where = f"{named}:{line}" if line else named
        yield f"{where}: {path}: {words}"
    if len(placed) > TOLD_MAX:
        yield f"{named}: and {len(placed) - TOLD_MAX} more"
