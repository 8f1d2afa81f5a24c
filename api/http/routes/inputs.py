"""What the routes accept: every input has a limit."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Path, Query
from pydantic import AwareDatetime

from api.http.problems import Trouble
from api.http.shapes.shape import LIMIT_MAX, NAME_CHARS_MAX

RANGE_MAX = timedelta(days=400)
"""A year, and the month before it to compare with."""
NUMBER_MAX = 2**63 - 1

Word = Annotated[str, Query(min_length=1, max_length=64)]
Id = Annotated[str, Query(min_length=1, max_length=NAME_CHARS_MAX)]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
BeforeId = Annotated[int, Query(ge=1, le=NUMBER_MAX)]
Moment = Annotated[AwareDatetime, Query(description="RFC 3339, with an offset.")]
Channel = Annotated[int, Query(ge=1, le=256, description="Leave out for the whole device.")]
NameInPath = Annotated[str, Path(min_length=1, max_length=NAME_CHARS_MAX)]
NumberInPath = Annotated[int, Path(ge=1, le=NUMBER_MAX)]


def in_order(since: datetime | None, until: datetime | None) -> None:
    """Refuse a range that is empty, backward or longer than anybody needs."""
    if since is None or until is None:
        return
    if since >= until:
        raise Trouble(422, "since must be before until.")
    if until - since > RANGE_MAX:
        raise Trouble(422, f"A range is at most {RANGE_MAX.days} days.")
