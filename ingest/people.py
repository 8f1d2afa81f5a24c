"""Who is to be told, and who may act: people, duty posts, and the routes that alarms take.

All of it is data. Who is told of which alert is decided in api/routing.py, who may do what in
api/http/access.py; what is kept of it is in ingest/ledger/people.py.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from ingest.registry import Name
from rules.schedule import Schedule
from rules.verdict import Severity

EVERYWHERE = "*"
"""Instead of areas: all there are, and all there will be."""


class Role(StrEnum):
    POLICE = "police"
    MANAGER = "manager"
    OPERATOR = "operator"
    TESTER = "tester"
    ADMIN = "admin"


class Via(StrEnum):
    """By which kind of channel somebody is reached."""

    VOICE = "voice"
    SMS = "sms"
    EMAIL = "email"
    DINGTALK = "dingtalk"
    WECOM = "wecom"
    FEISHU = "feishu"
    NTFY = "ntfy"
    WEBHOOK = "webhook"


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to reach somebody. `address` is a number, a mail address or an https address.

    `secret` signs what is sent to a robot or a webhook, or opens an ntfy server; empty: none.
    """

    via: Via
    address: str
    secret: str = ""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a login, an area to answer for, ways to be reached, or all of these."""

    id: str
    """What is typed to log in: small letters, digits, dots and dashes."""
    name: str
    role: Role
    areas: frozenset[str] = frozenset()
    """EVERYWHERE, or ids of areas; empty: none, so nothing is shown or told."""
    language: str = "zh"
    ways: tuple[Way, ...] = ()
    """In the order in which they are tried; at most one of each kind."""
    duty: Schedule | None = None
    """The windows of this schedule are the hours on duty; None: always."""
    active: bool = True
    added_at: datetime

    def answers_for(self, area: str) -> bool:
        return EVERYWHERE in self.areas or area in self.areas

    def on_duty(self, now: datetime) -> bool:
        return on_duty(self.duty, now)


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A duty post (岗): a desk that somebody is at, whoever that is today."""

    id: str
    name: Name
    area: str
    """EVERYWHERE for one that answers for all."""
    members: tuple[str, ...] = ()
    """Ids of people, who may answer for it."""
    ways: tuple[Way, ...] = ()
    """The desk's own: its telephone, its group's robot."""
    language: str = "zh"
    checks_per_week: float = 0.0
    """How often it is asked, at random moments, whether somebody is there; 0: never."""
    check_hours: Schedule | None = None
    """The windows in which it may be asked; None: at any time."""
    active: bool = True

    def answers_for(self, area: str) -> bool:
        return self.area in {EVERYWHERE, area}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Which alarms go to whom, tier by tier.

    A recipient is `person:{id}`, `post:{id}`, or `role:{role}`: everybody of that role who
    answers for the alarm's area. Nobody is ever told of an area that is not theirs, whatever
    a route says.
    """

    id: str
    areas: frozenset[str] = frozenset((EVERYWHERE,))
    severity: Severity = Severity.WARNING
    """This level and those above it."""
    rules: frozenset[str] = frozenset()
    """Names of rules; empty: all."""
    hours: Schedule | None = None
    """The windows in which the route is taken; None: always."""
    tiers: tuple[tuple[str, ...], ...]
    """Who is told first, who if they do not answer, and who then."""
    active: bool = True


class Directory:
    """People, posts and routes of now, by id; only the task that owns the engine changes it."""

    def __init__(
        self,
        people: Iterable[Person] = (),
        posts: Iterable[Post] = (),
        routes: Iterable[Route] = (),
    ) -> None:
        self.take(people, posts, routes)

    def take(
        self, people: Iterable[Person], posts: Iterable[Post], routes: Iterable[Route]
    ) -> None:
        """Know these from now on, and no others."""
        self.people = {person.id: person for person in people}
        self.posts = {post.id: post for post in posts}
        self.routes = {route.id: route for route in routes}


def on_duty(duty: Schedule | None, now: datetime) -> bool:
    """Say whether `now` lies in one of the windows; no schedule at all means always."""
    return duty is None or duty.span(now).closed
