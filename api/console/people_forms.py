"""The forms of people, posts and routes: what was typed, and the part that it means.

Hours are typed a window a line, exceptions as two dates and windows, tiers as a line of names.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from api.http.shapes.people import address_shown
from api.people.addresses import ON_THE_WEB
from api.people.hours import hours_part
from api.people.keeping import version_of
from api.people.parts import AnyPart, PersonPart, PostPart, RoutePart
from api.people.wrong import Complaint, Path, Wrong
from api.text import Texts
from ingest.people import Person, Post, Route, Way
from rules.schedule import Schedule

PARTS: Mapping[str, type[PersonPart] | type[PostPart] | type[RoutePart]] = {
    "person": PersonPart,
    "post": PostPart,
    "route": RoutePart,
}
ZONE = "Asia/Shanghai"
SPARE_WAYS = 2


class TypedWay(msgspec.Struct, frozen=True, kw_only=True):
    via: str = ""
    address: str = ""
    """Empty: the one that is known for this kind stays."""
    secret: str = ""
    known: str = ""
    """What may be shown of the address that is known."""
    secret_set: bool = False


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the fields of a form; the same for all three, as far as they have them."""

    kind: str
    id: str = ""
    new: bool = True
    version: str = ""
    name: str = ""
    name_zh: str = ""
    name_en: str = ""
    role: str = "police"
    areas: tuple[str, ...] = ()
    area: str = ""
    language: str = "zh"
    members: str = ""
    ways: tuple[TypedWay, ...] = ()
    hours: str = ""
    """Empty: always."""
    zone: str = ZONE
    exceptions: str = ""
    checks: str = "0"
    severity: str = "critical"
    rules: tuple[str, ...] = ()
    tiers: str = ""
    active: bool = True

    @property
    def with_spare_ways(self) -> tuple[TypedWay, ...]:
        return self.ways + (TypedWay(),) * SPARE_WAYS

    def part(self) -> AnyPart:
        """Return what was typed as a part. Raises Wrong."""
        said: dict[str, Any] = {"active": self.active}
        match self.kind:
            case "person":
                said |= {"name": self.name, "role": self.role, "areas": self.areas}
                said |= {"language": self.language, "ways": _ways(self.ways)}
                said |= {"duty": self._hours()}
            case "post":
                said |= {"name": {"zh": self.name_zh, "en": self.name_en}, "area": self.area}
                said |= {"members": _words(self.members), "ways": _ways(self.ways)}
                said |= {"language": self.language, "checks_per_week": self.checks}
                said |= {"check_hours": self._hours()}
            case _:
                tiers = [_words(line) for line in self.tiers.splitlines()]
                said |= {"areas": self.areas, "severity": self.severity, "rules": self.rules}
                said |= {"tiers": [tier for tier in tiers if tier], "hours": self._hours()}
        try:
            return PARTS[self.kind].model_validate(said)
        except ValidationError as error:
            raise Wrong(
                Complaint(each["loc"], "form", {"why": each["msg"]}) for each in error.errors()
            ) from error

    def _hours(self) -> dict[str, Any] | None:
        windows = _lines(self.hours)
        if not windows and not self.exceptions.strip():
            return None
        return {
            "hours": windows,
            "zone": self.zone or ZONE,
            "exceptions": [_exception(line) for line in _lines(self.exceptions)],
        }


def typed_of(entry: Person | Post | Route) -> Typed:
    """Return the form filled in with what is kept."""
    if isinstance(entry, Person):
        typed = Typed(
            kind="person",
            name=entry.name,
            role=entry.role,
            areas=tuple(sorted(entry.areas)),
            language=entry.language,
            ways=tuple(map(typed_way, entry.ways)),
        )
        hours = entry.duty
    elif isinstance(entry, Post):
        typed = Typed(
            kind="post",
            name_zh=entry.name.zh,
            name_en=entry.name.en,
            area=entry.area,
            language=entry.language,
            members=" ".join(entry.members),
            ways=tuple(map(typed_way, entry.ways)),
            checks=f"{entry.checks_per_week:g}",
        )
        hours = entry.check_hours
    else:
        typed = Typed(
            kind="route",
            areas=tuple(sorted(entry.areas)),
            severity=entry.severity,
            rules=tuple(sorted(entry.rules)),
            tiers="\n".join(" ".join(tier) for tier in entry.tiers),
        )
        hours = entry.hours
    return replace(
        typed,
        id=entry.id,
        new=False,
        version=version_of(entry),
        active=entry.active,
        **_typed_hours(hours),
    )


def typed_way(way: Way) -> TypedWay:
    """Return what may be shown of a way: an address on the web is as good as a secret."""
    hidden = way.via in ON_THE_WEB
    return TypedWay(
        via=way.via,
        address="" if hidden else way.address,
        known=address_shown(way) if hidden else "",
        secret_set=bool(way.secret),
    )


def ways_typed(
    vias: Sequence[str], addresses: Sequence[str], secrets: Sequence[str], known: Iterable[Way]
) -> tuple[TypedWay, ...]:
    """Return the ways of a form, without the rows that were left empty."""
    shown = {str(way.via): typed_way(way) for way in known}
    rows = zip(vias, addresses, secrets, strict=False)
    return tuple(
        TypedWay(
            via=via,
            address=address.strip(),
            secret=secret.strip(),
            known=shown[via].known if via in shown else "",
            secret_set=via in shown and shown[via].secret_set,
        )
        for via, address, secret in rows
        if via
    )


def mistakes(wrong: Wrong, say: Texts) -> dict[str, str]:
    """Return what is wrong, in words, by the field of the form that it is about."""
    found: dict[str, list[str]] = defaultdict(list)
    for complaint in wrong.complaints:
        words = complaint.words(say)
        row = _row(complaint.path)
        found[_field(complaint.path)].append(f"{row}: {words}" if row else words)
    return {field: " ".join(dict.fromkeys(words)) for field, words in found.items()}


def _field(path: Path) -> str:
    match [str(step) for step in path]:
        case ["name", lang, *_]:
            return f"name_{lang}"
        case ["duty" | "check_hours" | "hours", part, *_]:
            return part if part in {"zone", "exceptions"} else "hours"
        case ["checks_per_week", *_]:
            return "checks"
        case [field, *_]:
            return field
        case _:
            return ""


def _row(path: Path) -> str:
    """Return which way or tier it is about, counted from 1."""
    match path:
        case ("ways" | "tiers", int(row), *_):
            return str(row + 1)
        case _:
            return ""


def _ways(ways: Iterable[TypedWay]) -> list[dict[str, str | None]]:
    return [
        {"via": way.via, "address": way.address or None, "secret": way.secret or None}
        for way in ways
    ]


def _typed_hours(schedule: Schedule | None) -> dict[str, str]:
    part = hours_part(schedule)
    if part is None:
        return {}
    exceptions = (
        " ".join((str(each.first), str(each.last), *each.hours)) for each in part.exceptions
    )
    return {
        "hours": "\n".join(part.hours),
        "zone": part.zone,
        "exceptions": "\n".join(exceptions),
    }


def _exception(line: str) -> dict[str, Any]:
    first, last, *windows = [*line.split(), "", ""][: max(2, len(line.split()))]
    return {"from": first, "to": last or first, "hours": windows}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace("，", " ").split()
