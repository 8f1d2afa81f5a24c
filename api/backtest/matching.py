"""Which alarm is about which incident, and what is known of those that do not fit."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from api.backtest.episodes import Episode
from api.backtest.truth import Incident

NEARBY = timedelta(hours=1)
"""How long before or after an incident an alarm is taken for its herald or its echo."""


class Why(StrEnum):
    """Why an incident was missed, as far as the alarms show it."""

    TOO_LATE = "too_late"
    TOO_EARLY = "too_early"
    """It was told of nothing that is known of, before this began."""
    NOT_TOLD = "not_told"
    """It fired, and people were not told: another alarm spoke for it, or it was silenced."""
    ANOTHER_RULE = "another_rule"
    """Something was said of it, and not what was expected."""
    ELSEWHERE = "elsewhere"
    """The expected rule fired at that site at that time, about somebody else."""
    NOTHING_SAID = "nothing_said"


class Whence(StrEnum):
    """Where a false alarm may come from."""

    FORBIDDEN = "forbidden"
    """Something happened there, of which exactly this must not be said."""
    ECHO = "echo"
    """Something had happened there, and was over."""
    HERALD = "herald"
    """Something was about to happen there."""
    MEANWHILE = "meanwhile"
    """Something that was no danger went on there, and cannot be mistaken for this."""
    NEIGHBOUR = "neighbour"
    """Something happened at that site, to somebody else."""
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One incident, and what was said of it."""

    incident: Incident
    delays_s: dict[str, float]
    """By rule: how long each expected one took to be told for the first time."""
    right: list[Episode]
    """All that were expected and told, in time or not; the second of one rule is too many."""
    beside: list[Episode]
    """Told, about it, and neither expected nor forbidden."""

    @property
    def delay_s(self) -> float | None:
        """Return how long it took until people knew; None: it was missed."""
        return min(self.delays_s.values(), default=None)

    @property
    def duplicates(self) -> int:
        """Return how many alarms said again what another of them had said."""
        subjects = {(each.rule, each.device, each.channel, each.scope) for each in self.right}
        return len(self.right) - len(subjects)

    @property
    def notifications(self) -> int | None:
        """Return how many messages people had about it; None: nobody counted."""
        counts = [each.notifications for each in (*self.right, *self.beside)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """An incident of which people did not hear in time."""

    incident: Incident
    why: Why
    said: Episode | None = None
    """What comes nearest to the alarm that was expected."""


class FalseAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm about nothing that happened, or forbidden by what did."""

    episode: Episode
    whence: Whence
    near: Incident | None = None
    """What it may have to do with."""


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    findings: list[Finding]
    """Of every incident, in the order of the truth; also of traps."""
    missed: list[Miss]
    false: list[FalseAlarm]


def matched(episodes: Sequence[Episode], incidents: Sequence[Incident]) -> Matched:
    """Hold episodes, in the order in which they fired, against all that happened."""
    said_at, happened_at = _by_site(episodes), _by_place(incidents)
    findings = [
        _finding(each, said_at.get(each.place, ()), happened_at[each.place])
        for each in incidents
    ]
    return Matched(
        findings=findings,
        missed=[
            _miss(each.incident, said_at.get(each.incident.place, ()))
            for each in findings
            if each.incident.expected_rules and not each.delays_s
        ],
        false=[
            alarm
            for each in episodes
            if each.told_at is not None
            and (alarm := _false(each, happened_at.get(each.site, ()))) is not None
        ],
    )


def _finding(
    incident: Incident, said: Iterable[Episode], happened: Sequence[Incident]
) -> Finding:
    delays_s: dict[str, float] = {}
    right, beside = [], []
    for episode in said:
        if episode.told_at is None or not incident.concerns(episode):
            continue
        delay_s = None
        if incident.is_found_by(episode):
            delay_s = (episode.told_at - incident.knowable_at).total_seconds()
        elif _still_fires(episode, incident, happened):
            delay_s = 0.0
        if delay_s is not None:
            delays_s[episode.rule] = min(delay_s, delays_s.get(episode.rule, delay_s))
        if episode.rule in incident.expected_rules:
            right.append(episode)
        elif incident.accounts_for(episode.rule):
            beside.append(episode)
    return Finding(incident=incident, delays_s=delays_s, right=right, beside=beside)


def _still_fires(episode: Episode, incident: Incident, happened: Iterable[Incident]) -> bool:
    """Say whether people know already, and rightly: the alarm of an earlier incident goes on.

    There is one alarm for each rule and subject, so they cannot be told again. It must have
    found something of that very subject; by luck nothing is found.
    """
    if episode.rule not in incident.expected_rules or not incident.is_same(episode):
        return False
    if episode.told_at is None or episode.told_at >= incident.begins:
        return False
    if episode.resolved_at is not None and episode.resolved_at <= incident.knowable_at:
        return False
    return any(each.is_same(episode) and each.is_found_by(episode) for each in happened)


def _miss(incident: Incident, said: Sequence[Episode]) -> Miss:
    """Say what comes nearest to the alarm that was expected, and why it does not count."""
    about = [each for each in said if incident.concerns(each)]
    wanted = [each for each in about if each.rule in incident.expected_rules]
    for episode in wanted:
        if episode.told_at is not None:
            early = episode.told_at < incident.begins
            why = Why.TOO_EARLY if early else Why.TOO_LATE
            return Miss(incident=incident, why=why, said=episode)
    if wanted:
        return Miss(incident=incident, why=Why.NOT_TOLD, said=wanted[0])
    for episode in about:
        if episode.told_at is not None:
            return Miss(incident=incident, why=Why.ANOTHER_RULE, said=episode)
    for episode in said:
        if episode.rule in incident.expected_rules and incident.lasts_at(episode.fired_at):
            return Miss(incident=incident, why=Why.ELSEWHERE, said=episode)
    return Miss(incident=incident, why=Why.NOTHING_SAID)


def _false(episode: Episode, happened: Sequence[Incident]) -> FalseAlarm | None:
    """Return what is wrong with a told alarm; None: it is about something."""
    about = [each for each in happened if each.concerns(episode)]
    if any(each.bears_out(episode.rule) for each in about):
        return None
    for incident in about:
        if episode.rule in incident.must_not_rules:
            return FalseAlarm(episode=episode, whence=Whence.FORBIDDEN, near=incident)
    if any(each.accounts_for(episode.rule) for each in about):
        return None
    whence, near = min(
        _near(episode, happened), key=lambda each: _ORDER[each[0]], default=(None, None)
    )
    return FalseAlarm(episode=episode, whence=whence or Whence.UNKNOWN, near=near)


_ORDER = {whence: place for place, whence in enumerate(Whence)}


def _near(episode: Episode, happened: Iterable[Incident]) -> Iterator[tuple[Whence, Incident]]:
    at = episode.fired_at
    for incident in happened:
        same = incident.is_of(episode)
        if same and incident.concerns(episode):
            yield Whence.MEANWHILE, incident
        elif same and incident.ends and _within(incident.ends, at):
            yield Whence.ECHO, incident
        elif same and _within(at, incident.begins):
            yield Whence.HERALD, incident
        elif not same and incident.lasts_at(at):
            yield Whence.NEIGHBOUR, incident


def _within(first: datetime, then: datetime) -> bool:
    return timedelta(0) <= then - first <= NEARBY


def _by_site(episodes: Iterable[Episode]) -> dict[str, list[Episode]]:
    found: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        found[episode.site].append(episode)
    return found


def _by_place(incidents: Iterable[Incident]) -> dict[str, list[Incident]]:
    found: dict[str, list[Incident]] = defaultdict(list)
    for incident in incidents:
        found[incident.place].append(incident)
    return found
