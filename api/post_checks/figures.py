"""How posts answer: figures over a period, of the outcomes of their checks."""

import math
from collections.abc import Iterable

import msgspec

from ingest.ledger.post_checks import Outcome
from ingest.post_checks import CheckState

MIDDLE, NINE_OF_TEN = 0.5, 0.9


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    asked: int = 0
    in_time: int = 0
    late: int = 0
    missed: int = 0
    waiting: int = 0
    """Asked, and neither answered nor missed yet."""
    median_s: float | None = None
    """Half of the answers took no longer; None: there are none."""
    p90_s: float | None = None
    """Nine of ten answers took no longer."""


def figures(outcomes: Iterable[Outcome]) -> dict[str, Figures]:
    """Return the figures by post. An answer to what was missed by then is no answer."""
    by_post: dict[str, list[Outcome]] = {}
    for each in outcomes:
        by_post.setdefault(each.post, []).append(each)
    return {post: _of(found) for post, found in by_post.items()}


def share(values: list[float], part: float) -> float | None:
    """Return the smallest value that so large a part of all does not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(part * len(ordered)) - 1] if ordered else None


def _of(found: list[Outcome]) -> Figures:
    states = [each.state for each in found]
    took_s = [
        (each.answered_at - each.asked_at).total_seconds()
        for each in found
        if each.answered_at is not None and each.state is not CheckState.MISSED
    ]
    return Figures(
        asked=len(found),
        in_time=states.count(CheckState.ANSWERED),
        late=states.count(CheckState.LATE),
        missed=states.count(CheckState.MISSED),
        waiting=states.count(CheckState.ASKED),
        median_s=share(took_s, MIDDLE),
        p90_s=share(took_s, NINE_OF_TEN),
    )
