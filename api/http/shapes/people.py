"""People, posts and routes as they are shown: no secret is ever given back."""

from datetime import datetime
from urllib.parse import urlsplit

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Names, Shape, shown
from api.people.addresses import ON_THE_WEB
from api.people.hours import hours_part
from api.people.keeping import version_of
from api.people.parts import HoursPart
from api.people.trying import Tried as TriedWay
from ingest import people as kept
from ingest.people import Role, Via
from rules.verdict import Severity

_WAYS: list[JsonValue] = [
    {"via": "sms", "address": "13800001111", "secret_set": False},
    {"via": "dingtalk", "address": "https://oapi.dingtalk.com/…", "secret_set": True},
]
_HOURS: dict[str, JsonValue] = {
    "hours": ["workdays 08:00-18:00"],
    "zone": "Asia/Shanghai",
    "exceptions": [],
}
_PERSON: dict[str, JsonValue] = {
    "id": "wang.li",
    "name": "王力",
    "role": "manager",
    "areas": ["xuhui"],
    "language": "zh",
    "ways": _WAYS,
    "duty": _HOURS,
    "active": True,
    "added_at": WHEN,
    "on_duty": True,
    "has_password": True,
    "version": "0c5f7e2a91b3d4e8",
}
_POST: dict[str, JsonValue] = {
    "id": "xuhui-police",
    "name": {"zh": "徐汇派出所", "en": "Xuhui police station"},
    "area": "xuhui",
    "members": ["wang.li"],
    "ways": _WAYS,
    "language": "zh",
    "checks_per_week": 3.0,
    "check_hours": None,
    "active": True,
    "version": "0c5f7e2a91b3d4e8",
}
_ROUTE: dict[str, JsonValue] = {
    "id": "danger",
    "areas": ["*"],
    "severity": "critical",
    "rules": [],
    "hours": None,
    "tiers": [["post:xuhui-police"], ["role:manager"], ["role:admin"]],
    "active": True,
    "version": "0c5f7e2a91b3d4e8",
}


class Way(Shape):
    """How somebody is reached. Of an address on the web only the host is shown: the rest is
    as good as a secret.
    """

    via: Via
    address: str
    secret_set: bool

    @classmethod
    def of(cls, way: kept.Way) -> "Way":
        return cls(via=way.via, address=address_shown(way), secret_set=bool(way.secret))


def address_shown(way: kept.Way) -> str:
    if way.via not in ON_THE_WEB:
        return way.address
    url = urlsplit(way.address)
    return f"{url.scheme}://{url.hostname or ''}/…"


class Person(Shape):
    id: str
    name: str
    role: Role
    areas: list[str]
    """Ids of areas, or "*"."""
    language: str
    ways: list[Way]
    """In the order in which they are tried."""
    duty: HoursPart | None
    """null: always on duty."""
    active: bool
    added_at: datetime
    on_duty: bool
    """At this moment."""
    has_password: bool
    version: str
    """Send it with a change, and the change is refused if somebody else was faster."""

    model_config = shown(_PERSON)

    @classmethod
    def of(cls, person: kept.Person, now: datetime, *, has_password: bool) -> "Person":
        return cls(
            id=person.id,
            name=person.name,
            role=person.role,
            areas=sorted(person.areas),
            language=person.language,
            ways=[Way.of(way) for way in person.ways],
            duty=hours_part(person.duty),
            active=person.active,
            added_at=person.added_at,
            on_duty=person.active and person.on_duty(now),
            has_password=has_password,
            version=version_of(person),
        )


class People(Shape):
    """By id."""

    people: list[Person]
    next_after: str | None
    """Ask again with `after` set to this for the next page; null: this was the last."""

    model_config = shown({"people": [_PERSON], "next_after": None})


class Password(Shape):
    """Shown this once. It must be changed at the first login."""

    password: str

    model_config = shown({"password": "hzk7p-3mwqd-x9ftb-aevr2"})


class Post(Shape):
    id: str
    name: Names
    area: str
    members: list[str]
    ways: list[Way]
    language: str
    checks_per_week: float
    """How often it is asked, at random moments, whether somebody is there."""
    check_hours: HoursPart | None
    active: bool
    version: str

    model_config = shown(_POST)

    @classmethod
    def of(cls, post: kept.Post) -> "Post":
        return cls(
            id=post.id,
            name=Names.of(post.name),
            area=post.area,
            members=list(post.members),
            ways=[Way.of(way) for way in post.ways],
            language=post.language,
            checks_per_week=post.checks_per_week,
            check_hours=hours_part(post.check_hours),
            active=post.active,
            version=version_of(post),
        )


class Posts(Shape):
    """By id."""

    posts: list[Post]
    next_after: str | None

    model_config = shown({"posts": [_POST], "next_after": None})


class Route(Shape):
    id: str
    areas: list[str]
    severity: Severity
    """This level and those above it."""
    rules: list[str]
    """Empty: all."""
    hours: HoursPart | None
    """null: always."""
    tiers: list[list[str]]
    active: bool
    version: str

    model_config = shown(_ROUTE)

    @classmethod
    def of(cls, route: kept.Route) -> "Route":
        return cls(
            id=route.id,
            areas=sorted(route.areas),
            severity=route.severity,
            rules=sorted(route.rules),
            hours=hours_part(route.hours),
            tiers=[list(tier) for tier in route.tiers],
            active=route.active,
            version=version_of(route),
        )


class Routes(Shape):
    """By id."""

    routes: list[Route]
    next_after: str | None

    model_config = shown({"routes": [_ROUTE], "next_after": None})


class Tried(Shape):
    """What became of a test message."""

    told: bool
    said: str
    """What the receiver answered, or why it could not be asked."""

    model_config = shown({"told": True, "said": "200 ok"})

    @classmethod
    def of(cls, tried: TriedWay) -> "Tried":
        return cls(told=tried.told, said=tried.said)
