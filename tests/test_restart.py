"""A scenario that is cut in two by a restart gives exactly the same alerts and sessions."""

from datetime import datetime
from itertools import pairwise

import pytest

from rules.alerts import Change
from rules.session import EndedSession
from tests.test_scenarios import Player, Scenario, all_scenarios

REPEATED_MAX = 2


@pytest.mark.parametrize("played", all_scenarios(), ids=lambda played: played.name)
def test_a_restart_at_any_moment_changes_nothing(played: Scenario) -> None:
    whole = outcome(played)
    for cut in cuts(played):
        assert outcome(played, [cut]) == whole, f"cut at {cut}"
    assert outcome(played, cuts(played)) == whole


@pytest.mark.parametrize("played", all_scenarios(), ids=lambda played: played.name)
def test_playing_it_again_gives_the_same(played: Scenario) -> None:
    assert episodes(Player(played).play()) == episodes(Player(played).play())


def cuts(played: Scenario) -> list[datetime]:
    """Return the moment of each line, and two between each and the next.

    Of a line that is repeated, the first ones and the last.
    """
    found: list[datetime] = []
    said: list[str] = []
    for line, after in pairwise(played.happens):
        steady = said[-REPEATED_MAX:] == [line.words] * REPEATED_MAX
        said.append(line.words)
        if steady and after.words == line.words:
            continue
        gap = after.at - line.at
        found += [line.at, line.at + gap / 3, line.at + gap * 0.9]
    return found


def outcome(
    played: Scenario, restarts_at: list[datetime] | None = None
) -> tuple[list[tuple[str, Change]], list[EndedSession]]:
    """Return all that people, and the ledger, learn of it."""
    player = Player(played)
    return episodes(player.play(restarts_at or [])), player.ended


def episodes(changes: list[tuple[datetime, Change]]) -> list[tuple[str, Change]]:
    return [(change.alert.episode, change) for _, change in changes]
