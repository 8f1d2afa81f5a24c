"""Duty-post checks, and how posts answer."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Names, Shape, shown
from api.post_checks.figures import Figures
from ingest.people import Directory, Post
from ingest.post_checks import About, CheckState, PostCheck

_TOLD: JsonValue = {
    "at": WHEN,
    "to": "post:gate",
    "channel": "sms:gate",
    "about": "asked",
    "ok": True,
    "detail": "HTTP 200",
}
_EXAMPLE: dict[str, JsonValue] = {
    "id": 7,
    "post": "gate",
    "name": {"zh": "东门岗", "en": "East gate"},
    "area": "xuhui",
    "asked_by": "",
    "asked_at": WHEN,
    "due_at": WHEN,
    "state": "answered",
    "answered_at": WHEN,
    "answered_by": "li",
    "answer_seconds": 42.0,
    "told": [_TOLD],
}


class Told(Shape):
    """One try to tell somebody: the desk of the question, or a manager that nobody answered."""

    at: datetime
    to: str
    channel: str
    about: About
    ok: bool
    """The transport has confirmed it."""
    detail: str


class Check(Shape):
    """A post was asked whether somebody is there."""

    id: int
    post: str
    name: Names | None
    """Null: there is no such post any more."""
    area: str
    asked_by: str
    """Who began it by hand; empty: it came at random."""
    asked_at: datetime
    due_at: datetime
    state: CheckState
    answered_at: datetime | None
    """Also of one that counted as missed by then."""
    answered_by: str
    """A person, a token's name, or `post:{id}` for the link that its desk was sent."""
    answer_seconds: float | None
    told: list[Told]

    model_config = shown(_EXAMPLE)

    @classmethod
    def of(cls, check: PostCheck, directory: Directory) -> "Check":
        names = [n for n in cls.model_fields if n not in {"name", "answer_seconds", "told"}]
        post = directory.posts.get(check.post)
        return cls(
            **{name: getattr(check, name) for name in names},
            name=None if post is None else Names.of(post.name),
            answer_seconds=check.answer_s,
            told=[
                Told(**{name: getattr(each, name) for name in Told.model_fields})
                for each in check.told
            ],
        )


class Checks(Shape):
    """The newest first."""

    checks: list[Check]
    next_before_id: int | None

    model_config = shown({"checks": [_EXAMPLE], "next_before_id": None})


class PostFigures(Shape):
    """How one post answered. Seconds are null if it never did."""

    post: str
    name: Names
    area: str
    checks_per_week: float
    asked: int
    in_time: int
    late: int
    missed: int
    waiting: int
    """Asked a moment ago."""
    median_seconds: float | None
    p90_seconds: float | None

    @classmethod
    def of(cls, post: Post, found: Figures) -> "PostFigures":
        return cls(
            post=post.id,
            name=Names.of(post.name),
            area=post.area,
            checks_per_week=post.checks_per_week,
            asked=found.asked,
            in_time=found.in_time,
            late=found.late,
            missed=found.missed,
            waiting=found.waiting,
            median_seconds=found.median_s,
            p90_seconds=found.p90_s,
        )


class Summary(Shape):
    """How the posts of today answered from `since` until just before `until`."""

    since: datetime
    until: datetime
    posts: list[PostFigures]

    model_config = shown(
        {
            "since": WHEN,
            "until": WHEN,
            "posts": [
                {
                    "post": "gate",
                    "name": {"zh": "东门岗", "en": "East gate"},
                    "area": "xuhui",
                    "checks_per_week": 3.0,
                    "asked": 12,
                    "in_time": 10,
                    "late": 1,
                    "missed": 1,
                    "waiting": 0,
                    "median_seconds": 38.0,
                    "p90_seconds": 121.0,
                }
            ],
        }
    )
