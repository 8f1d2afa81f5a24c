"""From what was entered to a person, a post or a route; or everything that is wrong with it.

Pure: what is kept, and which areas and rules there are, come in.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches

import msgspec

from api.people.addresses import check_way
from api.people.hours import schedule
from api.people.parts import PersonPart, PostPart, RoutePart, WayPart
from api.people.wrong import Complaint, Path, Wrong
from ingest.ledger.people import Kept
from ingest.people import EVERYWHERE, Person, Post, Role, Route, Via, Way
from ingest.registry import Name

PEOPLE_MAX, POSTS_MAX, ROUTES_MAX = 5_000, 1_000, 500
RESERVED = frozenset({"explain"})
"""No route is called so: it is an address of ours."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to be named."""

    kept: Kept
    areas: frozenset[str]
    """Those that whoever enters it may name."""
    everywhere: bool
    """They may name all areas at once."""
    rules: frozenset[str]
    private: bool = False
    """Addresses may lead to our own network."""


def person_of(number: str, part: PersonPart, known: Known, now: datetime) -> Person:
    """Return the person that is meant. Raises Wrong."""
    wrong: list[Complaint] = []
    before = known.kept.people.get(number)
    if number in known.kept.posts:
        wrong.append(Complaint(("id",), "id_of_post"))
    if before is None and len(known.kept.people) >= PEOPLE_MAX:
        wrong.append(Complaint((), "too_many", {"count": str(PEOPLE_MAX)}))
    _check_text(part.name, ("name",), wrong)
    made = Person(
        id=number,
        name=part.name.strip(),
        role=part.role,
        areas=_areas(part.areas, known, wrong, needed=not known.everywhere),
        language=part.language,
        ways=_ways(part.ways, () if before is None else before.ways, known, wrong),
        duty=schedule(part.duty, ("duty",), wrong),
        active=part.active,
        added_at=now if before is None else before.added_at,
    )
    _raise_if(wrong)
    return made


def post_of(number: str, part: PostPart, known: Known) -> Post:
    """Return the post that is meant. Raises Wrong."""
    wrong: list[Complaint] = []
    before = known.kept.posts.get(number)
    if number in known.kept.people:
        wrong.append(Complaint(("id",), "id_of_person"))
    if before is None and len(known.kept.posts) >= POSTS_MAX:
        wrong.append(Complaint((), "too_many", {"count": str(POSTS_MAX)}))
    for lang, name in (("zh", part.name.zh), ("en", part.name.en)):
        _check_text(name, ("name", lang), wrong)
    [area] = _areas((part.area,), known, wrong, path=("area",)) or {part.area}
    for n, member in enumerate(part.members):
        one = known.kept.people.get(member)
        if one is None or not _share(one.areas, (area,)):
            wrong.append(_no_such(f"person:{member}", ("members", n), known))
    made = Post(
        id=number,
        name=Name(part.name.zh.strip(), part.name.en.strip()),
        area=area,
        members=tuple(dict.fromkeys(part.members)),
        ways=_ways(part.ways, () if before is None else before.ways, known, wrong),
        language=part.language,
        checks_per_week=part.checks_per_week,
        check_hours=schedule(part.check_hours, ("check_hours",), wrong),
        active=part.active,
    )
    _raise_if(wrong)
    return made


def route_of(number: str, part: RoutePart, known: Known) -> Route:
    """Return the route that is meant. Raises Wrong."""
    wrong: list[Complaint] = []
    if number in RESERVED:
        wrong.append(Complaint(("id",), "id_reserved"))
    if number not in known.kept.routes and len(known.kept.routes) >= ROUTES_MAX:
        wrong.append(Complaint((), "too_many", {"count": str(ROUTES_MAX)}))
    areas = _areas(part.areas, known, wrong, needed=True)
    for n, rule in enumerate(part.rules):
        if rule not in known.rules:
            meant = _near(rule, known.rules)
            wrong.append(Complaint(("rules", n), "no_such_rule", {"name": rule}, meant))
    for n, tier in enumerate(part.tiers):
        for m, name in enumerate(tier):
            _check_recipient(name, areas, known, ("tiers", n, m), wrong)
    made = Route(
        id=number,
        areas=areas,
        severity=part.severity,
        rules=frozenset(part.rules),
        hours=schedule(part.hours, ("hours",), wrong),
        tiers=tuple(tuple(dict.fromkeys(tier)) for tier in part.tiers),
        active=part.active,
    )
    _raise_if(wrong)
    return made


def _areas(
    named: Sequence[str],
    known: Known,
    wrong: list[Complaint],
    *,
    needed: bool = False,
    path: Path = ("areas",),
) -> frozenset[str]:
    """Return the areas; one that is not theirs does not exist for whoever enters it."""
    for n, area in enumerate(named):
        at = path if len(path) == 1 and path[0] == "area" else (*path, n)
        if area == EVERYWHERE and not known.everywhere:
            wrong.append(Complaint(at, "not_everywhere"))
        elif area != EVERYWHERE and area not in known.areas:
            meant = _near(area, known.areas)
            wrong.append(Complaint(at, "no_such_area", {"name": area}, meant))
    if needed and not named:
        wrong.append(Complaint(path, "no_area"))
    return frozenset(named)


def _ways(
    parts: Iterable[WayPart], before: Sequence[Way], known: Known, wrong: list[Complaint]
) -> tuple[Way, ...]:
    kept = {way.via: way for way in before}
    made: dict[Via, Way] = {}
    for n, part in enumerate(parts):
        path: Path = ("ways", n)
        old = kept.get(part.via)
        if part.via in made:
            wrong.append(Complaint((*path, "via"), "way_twice"))
            continue
        if part.address is None and old is None:
            wrong.append(Complaint((*path, "address"), "no_address"))
            continue
        way = _way(part, old)
        made[part.via] = way
        wrong += check_way(way, path, private=known.private)
    return tuple(made.values())


def _way(part: WayPart, old: Way | None) -> Way:
    address = (part.address or (old.address if old else "")).strip()
    secret = part.secret
    if secret is None:  # what signs for one address is not handed to another
        secret = old.secret if old is not None and old.address == address else ""
    return Way(via=part.via, address=address, secret=secret)


def _check_recipient(
    name: str, areas: Collection[str], known: Known, path: Path, wrong: list[Complaint]
) -> None:
    kind, colon, number = name.partition(":")
    match kind if colon else "":
        case "role":
            if number in {*Role}:
                return
            values = {"name": number, "known": ", ".join(Role)}
            wrong.append(Complaint(path, "no_such_role", values))
        case "person":
            person = known.kept.people.get(number)
            if person is None or not _share(person.areas, areas):
                wrong.append(_no_such(name, path, known))
        case "post":
            post = known.kept.posts.get(number)
            if post is None or not _share((post.area,), areas):
                wrong.append(_no_such(name, path, known))
        case _:
            wrong.append(Complaint(path, "recipient", {"name": name}))


def _no_such(name: str, path: Path, known: Known) -> Complaint:
    """Say that there is no such recipient: one in a foreign area is as good as none."""
    kind, _, number = name.partition(":")
    there: dict[str, Collection[str]] = (
        {each.id: each.areas for each in known.kept.people.values()}
        if kind == "person"
        else {each.id: (each.area,) for each in known.kept.posts.values()}
    )
    own = [each for each, at in there.items() if known.everywhere or known.areas.issuperset(at)]
    return Complaint(path, "no_such_recipient", {"name": name}, _near(number, own))


def _near(word: str, known: Collection[str]) -> str:
    """Return the word that was meant, if there is one that is nearly the same."""
    return next(iter(get_close_matches(word, sorted(known), n=1)), "")


def _share(one: Collection[str], other: Collection[str]) -> bool:
    if EVERYWHERE in one or EVERYWHERE in other:
        return bool(one) and bool(other)
    return not set(one).isdisjoint(other)


def _check_text(text: str, path: Path, wrong: list[Complaint]) -> None:
    if not text.strip() or not text.isprintable():
        wrong.append(Complaint(path, "text"))


def _raise_if(wrong: list[Complaint]) -> None:
    if wrong:
        raise Wrong(wrong)
