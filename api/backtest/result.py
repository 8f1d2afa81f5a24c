"""The result of a backtest: what `--json` prints, and what the tables are made from."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from api.backtest.comparing import Difference, difference
from api.backtest.episodes import Episode, Episodes
from api.backtest.playing import Playing, Tally
from api.backtest.scoring import Score, score
from api.backtest.truth import Incident


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy would have raised."""

    alerts: int
    per_rule: dict[str, int]
    per_site: dict[str, int]
    score: Score | None
    """None: nobody knows the truth."""
    episodes: list[Episode]


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """What the file was like."""

    read: int = 0
    bad: int = 0
    bad_shown: list[str] = []
    """The first of them, with their numbers and what is wrong."""


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took: the only part that is not the same each time."""

    seconds: float
    readings_per_s: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    begins: datetime
    ends: datetime
    sites: int
    """Of which something was heard."""
    lines: Lines
    tally: Tally
    speed: Speed
    in_force: Outcome
    proposed: Outcome | None = None
    """None: no other policy was given."""
    difference: Difference | None = None


def result_of(
    playing: Playing, truth: Sequence[Incident] | None, lines: Lines, seconds: float
) -> Result:
    """Sum up a run that has ended."""
    outcomes = [_outcome(side.episodes, playing, truth) for side in playing.sides]
    in_force, proposed = outcomes[0], outcomes[1] if len(outcomes) > 1 else None
    return Result(
        begins=playing.begins,
        ends=playing.now,
        sites=len(playing.heard),
        lines=lines,
        tally=playing.tally,
        speed=Speed(
            seconds=round(seconds, 3),
            readings_per_s=round(playing.tally.readings / seconds) if seconds else 0,
        ),
        in_force=in_force,
        proposed=proposed,
        difference=difference(proposed.episodes, in_force.episodes) if proposed else None,
    )


def _outcome(episodes: Episodes, playing: Playing, truth: Sequence[Incident] | None) -> Outcome:
    scored = None
    if truth is not None:
        lasts = playing.now - playing.begins
        scored = score(episodes.all, truth, sites=len(playing.heard), lasts=lasts)
    return Outcome(
        alerts=len(episodes.all),
        per_rule=episodes.per_rule(),
        per_site=episodes.per_site(),
        score=scored,
        episodes=episodes.all,
    )
