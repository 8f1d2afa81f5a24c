"""Reads scenario files, and says what is wrong with one: file, line, key, what is allowed."""

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path

import msgspec

from ingest.errors import ChargewatchError
from ingest.toml_lines import Path as Keys
from ingest.toml_lines import line_of, lines_of
from simulator.faults import FAULTS
from simulator.habits import Habits
from simulator.limits import Limits
from simulator.scenario import (
    DATE,
    SITE,
    SLUG,
    CalendarPart,
    Names,
    OrdersPart,
    OrdinaryPart,
    PlacesPart,
    RainPart,
    Scenario,
    SitePart,
    WeatherPart,
)
from simulator.words import CLOCK, LENGTH, WHEN, WINDOW

BYTES_MAX = 1 << 20
FOLDER = Path(__file__).parent / "scenarios"
"""The library."""
TABLES = {
    "": Scenario,
    "text": Names,
    "limits": Limits,
    "weather": WeatherPart,
    "rain": RainPart,
    "calendar": CalendarPart,
    "ordinary": OrdinaryPart,
    "behaviour": Habits,
    "areas": Names,
    "sites": SitePart,
    "places": PlacesPart,
    "orders": OrdersPart,
}
FORMS = {
    LENGTH: 'a length of time like "30 s", "10 min", "8 h" or "1 d"',
    CLOCK: 'a time of day like "19:40"',
    WINDOW: 'daily hours like "22:00-05:00"',
    WHEN: '"19:40", "day 3 02:15", "every day 20:00" or "random: 2 per site-week"',
    DATE: 'a date like "2026-02-17"',
    SLUG: "small letters, digits and -",
    SITE: "area/site in small letters, digits and -",
}
"""What the forms of texts are called."""
_WHERE = re.compile(r" - at `(?:key in )?\$(.*?)`$")
_STEP = re.compile(r"\[(\d+)\]|\.([\w-]+)|\[\.\.\.\]")
_FORM = re.compile(r"matching regex '(.*)'")


class ScenarioWrong(ChargewatchError):
    """A scenario file cannot be used, or there is none by that name."""


def library() -> dict[str, Path]:
    """Return the scenarios that come with the simulator, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def found(name: str) -> Path:
    """Return the file of a scenario that is named, or whose path is given."""
    known = library()
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        return path
    near = get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ScenarioWrong(f"no scenario {name!r}{hint} (--list shows all; a path ends in .toml)")


def read(path: Path) -> Scenario:
    """Return the scenario in a file; raises ScenarioWrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ScenarioWrong(f"{path}: {error.strerror}") from error
    if len(raw) > BYTES_MAX:
        raise ScenarioWrong(f"{path}: longer than {BYTES_MAX} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ScenarioWrong(f"{path}: not UTF-8: {error}") from error
    return parsed(text, str(path))


def parsed(text: str, name: str) -> Scenario:
    """Return the scenario that a text is; `name` is what it is called in complaints."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioWrong(f"{name}: not TOML: {error}") from error
    try:
        scenario = msgspec.convert(said, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioWrong(_complaint(error, said, text, name)) from error
    for kind in scenario.behaviour:
        try:
            scenario.habits(kind)
        except msgspec.ValidationError as error:
            where = ("behaviour", kind)
            raise ScenarioWrong(_complaint(error, said, text, name, where)) from error
    return scenario


def _complaint(
    error: msgspec.ValidationError,
    said: dict[str, object],
    text: str,
    name: str,
    above: Keys = (),
) -> str:
    """Return file, line, key, what is wrong, what was found and what is allowed."""
    what = str(error)
    at = _WHERE.search(what)
    keys = (*above, *_keys(at.group(1))) if at else above
    what = _WHERE.sub("", what)
    if unknown := re.match(r"Object contains unknown field `(.*)`", what):
        keys = (*keys, unknown.group(1))
        return f"{_place(name, keys, text)}: no such key; {_allowed(keys, said)}"
    found_here = _value(said, keys)
    if keys[-1:] == ("fault",) or what.startswith("Invalid value"):
        near = get_close_matches(str(found_here), FAULTS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return (
            f"{_place(name, keys, text)}: found {found_here!r}{hint};"
            f" allowed: {', '.join(FAULTS)}"
        )
    form = _FORM.search(what)
    allowed = FORMS.get(form.group(1).replace("\\\\", "\\"), what) if form else what
    if isinstance(found_here, dict | list | None):
        return f"{_place(name, keys, text)}: {what[:1].lower()}{what[1:]}"
    return f"{_place(name, keys, text)}: found {found_here!r}; allowed: {allowed}"


def _place(name: str, keys: Keys, text: str) -> str:
    line = line_of(keys, lines_of(text))
    path = "".join(f"[{k + 1}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")
    return ":".join((name, *(() if line is None else (str(line),)))) + (
        f": {path}" if path else ""
    )


def _keys(where: str) -> Keys:
    found_keys: list[str | int] = []
    for step in _STEP.finditer(where):
        number, key = step.groups()
        if number is not None:
            found_keys.append(int(number))
        elif key is not None:
            found_keys.append(key)
    return tuple(found_keys)


def _value(said: object, keys: Keys) -> object:
    for key in keys:
        try:
            said = said[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    return said


def _allowed(keys: Keys, said: dict[str, object]) -> str:
    """Say which keys a table may have."""
    table: type[msgspec.Struct]
    if keys[0] == "events":
        event = _value(said, keys[:2])
        fault = event.get("fault") if isinstance(event, dict) else None
        table = FAULTS.get(str(fault), FAULTS["bike"])
        names = ["fault", *table.__struct_encode_fields__]
    else:
        names_of = [key for key in keys[:-1] if isinstance(key, str) and key in TABLES]
        names = list(TABLES[names_of[-1] if names_of else ""].__struct_encode_fields__)
    near = get_close_matches(str(keys[-1]), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(names)}"
