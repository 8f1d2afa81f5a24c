"""What is entered of a person, a post or a route: the same keys in the API and in a file.

What they mean to each other is checked in api/people/checking.py; docs/people.md explains each.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ingest.people import Role, Via
from rules.verdict import Severity

NAME_CHARS_MAX = 64
ID_CHARS_MAX = 64
ID_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$"
ADDRESS_CHARS_MAX = 500
SECRET_CHARS_MAX = 200
AREAS_MAX = 200
WINDOWS_MAX = 20
EXCEPTIONS_MAX = 50
MEMBERS_MAX = 50
TIERS_MAX = 9
TIER_MAX = 50
RULES_MAX = 100
CHECKS_PER_WEEK_MAX = 50.0

Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=ID_CHARS_MAX)]
AreaId = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
WindowText = Annotated[str, Field(min_length=1, max_length=64)]
Language = Literal["zh", "en"]


class Entered(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class WayPart(Entered):
    """One way to reach somebody.

    Without `address` the one that is known for this kind stays, with its secret; without
    `secret` the secret that is known for the same address. An empty secret takes it away.
    """

    via: Via
    address: str | None = Field(None, min_length=1, max_length=ADDRESS_CHARS_MAX)
    secret: str | None = Field(None, max_length=SECRET_CHARS_MAX)


class ExceptionPart(Entered):
    """Dated days with windows of their own, instead of the weekly ones; none: not at all."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    hours: tuple[WindowText, ...] = Field((), max_length=WINDOWS_MAX)


class HoursPart(Entered):
    """Windows like "mon-fri 08:00-18:00", "workdays 08:00-12:00" or "22:00-06:00"."""

    hours: tuple[WindowText, ...] = Field(min_length=1, max_length=WINDOWS_MAX)
    zone: str = Field("Asia/Shanghai", max_length=64)
    exceptions: tuple[ExceptionPart, ...] = Field((), max_length=EXCEPTIONS_MAX)


class NamePart(Entered):
    zh: Text
    en: Text


class PersonPart(Entered):
    name: Text
    role: Role
    areas: tuple[AreaId, ...] = Field((), max_length=AREAS_MAX)
    """Ids of areas, or "*" for all there are and will be."""
    language: Language = "zh"
    ways: tuple[WayPart, ...] = Field((), max_length=len(Via))
    """In the order in which they are tried; at most one of each kind."""
    duty: HoursPart | None = None
    """When they are on duty; null: always."""
    active: bool = True


class PostPart(Entered):
    name: NamePart
    area: AreaId
    members: tuple[Id, ...] = Field((), max_length=MEMBERS_MAX)
    ways: tuple[WayPart, ...] = Field((), max_length=len(Via))
    language: Language = "zh"
    checks_per_week: float = Field(0.0, ge=0, le=CHECKS_PER_WEEK_MAX)
    check_hours: HoursPart | None = None
    active: bool = True


class RoutePart(Entered):
    areas: tuple[AreaId, ...] = Field(("*",), min_length=1, max_length=AREAS_MAX)
    severity: Severity = Severity.WARNING
    """This level and those above it."""
    rules: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (), max_length=RULES_MAX
    )
    """Empty: all."""
    hours: HoursPart | None = None
    """When it is taken; null: always."""
    tiers: tuple[
        Annotated[
            tuple[Annotated[str, Field(min_length=1, max_length=80)], ...],
            Field(min_length=1, max_length=TIER_MAX),
        ],
        ...,
    ] = Field(min_length=1, max_length=TIERS_MAX)
    """`person:{id}`, `post:{id}` or `role:{role}`: who is told first, who next, and so on."""
    active: bool = True


AnyPart = PersonPart | PostPart | RoutePart
