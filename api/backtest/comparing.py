"""The difference between two policies: what only one of them would have raised."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from api.backtest.episodes import Episode

Subject = tuple[str, str, int | None]


class Difference(msgspec.Struct, frozen=True):
    """Episodes are the same if rule and subject are, and their times overlap."""

    only_proposed: list[Episode]
    only_in_force: list[Episode]
    same: list[Episode]
    """As the proposed policy has them."""


def difference(proposed: Iterable[Episode], in_force: Iterable[Episode]) -> Difference:
    """Pair the episodes, each with at most one, in the order in which they fired."""
    old, new = _by_subject(in_force), _by_subject(proposed)
    found = Difference([], [], [])
    for subject in old.keys() | new.keys():
        _pair(old.get(subject, []), new.get(subject, []), found)
    for episodes in (found.only_proposed, found.only_in_force, found.same):
        episodes.sort(key=_order)
    return found


def _pair(old: list[Episode], new: list[Episode], found: Difference) -> None:
    """Walk along the episodes of one subject, which never overlap on one side."""
    one, other = 0, 0
    while one < len(old) and other < len(new):
        if _over_before(old[one], new[other].fired_at):
            found.only_in_force.append(old[one])
            one += 1
        elif _over_before(new[other], old[one].fired_at):
            found.only_proposed.append(new[other])
            other += 1
        else:
            found.same.append(new[other])
            one, other = one + 1, other + 1
    found.only_in_force.extend(old[one:])
    found.only_proposed.extend(new[other:])


def _over_before(episode: Episode, moment: datetime) -> bool:
    return episode.resolved_at is not None and episode.resolved_at < moment


def _by_subject(episodes: Iterable[Episode]) -> dict[Subject, list[Episode]]:
    found: dict[Subject, list[Episode]] = {}
    for each in episodes:
        subject = (each.rule, each.device or each.scope, each.channel)
        found.setdefault(subject, []).append(each)
    return found


def _order(episode: Episode) -> tuple[datetime, str, str]:
    return (episode.fired_at, episode.rule, episode.subject)
