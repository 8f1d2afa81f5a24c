"""Misses and false alarms in words."""

from datetime import UTC, datetime, timedelta

from api.backtest.episodes import Episode
from api.backtest.matching import FalseAlarm, Miss
from api.backtest.truth import Incident
from api.text import Texts, plain


def rule_name(rule: str, say: Texts) -> str:
    """Return what people call a rule; one of another version is called what it is."""
    return say.messages.get(f"rule.{rule}.name") or plain(rule)


def kind_name(kind: str, say: Texts) -> str:
    """Return what people call a class of incident."""
    return (
        say.messages.get(f"incident.{kind}")
        or say.messages.get(f"rule.{kind}.name")
        or plain(kind)
    )


def subject_of(incident: Incident) -> str:
    """Return whose incident it is, in a word."""
    who = incident.device or incident.site or ""
    return plain(who if incident.channel is None else f"{who} #{incident.channel}")


def subject_of_alarm(episode: Episode) -> str:
    return plain(episode.subject)


def miss_in_words(miss: Miss, say: Texts) -> str:
    """Say why it was missed, as far as that is known."""
    said, incident = miss.said, miss.incident
    if said is None:
        return say(f"score.miss.{miss.why}")
    told_at = said.told_at or said.fired_at
    late = told_at - (incident.latest or incident.knowable_at)
    return say(
        f"score.miss.{miss.why}",
        rule=rule_name(said.rule, say),
        subject=subject_of_alarm(said),
        why=_withheld(said.withheld, say),
        span=_span(late, say),
    )


def false_alarm_in_words(alarm: FalseAlarm, say: Texts) -> str:
    """Say where it may come from, as far as that is known."""
    near = alarm.near
    if near is None:
        return say(f"score.false.{alarm.whence}")
    at = alarm.episode.fired_at
    since = near.ends if near.ends is not None and at > near.ends else near.begins
    return say(
        f"score.false.{alarm.whence}",
        incident=kind_name(near.kind, say),
        subject=subject_of(near),
        span=_span(at - since, say),
    )


def measured(episode: Episode, say: Texts) -> str:
    """Return the evidence, if it is a number: 1203 W, limit 1000 W."""
    if episode.measured is None:
        return ""
    value = say.number(episode.measured, episode.unit)
    if episode.limit is None:
        return value
    return say("score.measured", value=value, limit=say.number(episode.limit, episode.unit))


def clock(moment: datetime) -> str:
    """Return a moment in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _withheld(word: str, say: Texts) -> str:
    """Return why people were not told: another rule's alarm, a silence, a reason."""
    kind, _, name = word.partition(":")
    if kind == "inhibited":
        return say("score.withheld.inhibited", rule=rule_name(name, say))
    if kind == "silenced":
        return say("score.withheld.silenced")
    return say.messages.get(f"reason.{word}") or plain(word) or say("score.withheld.unknown")


def _span(span: timedelta, say: Texts) -> str:
    return say.span(abs(span), short=True)
