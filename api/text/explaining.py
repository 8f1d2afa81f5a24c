"""An alert, explained: which rule, where, what was measured against which limit, since when.

The same words go to the console, the API and the notifications.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from api.text.catalogue import Texts, plain
from ingest.ledger.hazards import HazardRow
from ingest.ledger.queries import AlertRow
from ingest.registry import Name, Registry
from rules.alerts import EVERYTHING, Alert, Group, GroupKind, State
from rules.places import DRILL_SITE
from rules.schedule import Schedule
from rules.verdict import Evidence

AlertLike = Alert | AlertRow
"""The engine's own alert, or the row that the ledger made of it."""

OTHER = "other"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """All words about one alert in one language. `title` is a single line."""

    title: str
    text: str
    """What happened, in a sentence or two."""
    rule: str
    severity: str
    state: str
    area: str
    site: str
    where: str
    """Site, device and socket."""
    measured: str
    limit: str
    began: str
    ended: str
    """Empty while it lasts."""
    basis: str
    advice: str
    zone: str
    remarks: tuple[str, ...]
    """That it flaps, that nobody acknowledges it, that people are not told and why."""


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    rule: str
    device: str
    group: Group | None
    channel: int | None
    site: str
    severity: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    evidence: Evidence


def alert_title(alert: AlertLike, registry: Registry, say: Texts) -> str:
    """Return one line: state or severity, rule and place."""
    return explained(alert, registry, say).title


def alert_text(alert: AlertLike, registry: Registry, say: Texts) -> str:
    """Return the whole explanation, a fact on each line, as plain text."""
    words = explained(alert, registry, say)
    lines = [words.text, say("text.where", area=words.area, where=words.where)]
    lines.append(say("text.began", began=words.began))
    if words.ended:
        lines.append(say("text.ended", ended=words.ended))
    else:
        lines.append(say("text.advice", advice=words.advice))
    lines.append(say("text.basis", basis=words.basis))
    lines += words.remarks
    return "\n".join(lines)


def hazard_text(hazard: HazardRow, registry: Registry, say: Texts) -> str:
    """Return what late data showed, and when that was, in one line."""
    rule = hazard.rule if f"rule.{hazard.rule}.name" in say.messages else OTHER
    zone = zone_of(registry, hazard.site)
    measured, limit = _amounts(hazard.evidence, say)
    return say(
        "hazard.text",
        rule=say(f"rule.{rule}.name", rule=hazard.rule),
        where=place_name(registry, say, hazard.site, hazard.device, hazard.channel),
        began=say.zoned(hazard.began_at, zone),
        ended=say.zoned(hazard.ended_at, zone),
        found=say.zoned(hazard.found_at, zone),
        measured=measured,
        limit=limit,
    )


def explained(alert: AlertLike, registry: Registry, say: Texts) -> Explanation:
    """Return all words about an alert; never fails, whatever rule or site it names."""
    facts = _facts(alert)
    zone = zone_of(registry, facts.site)
    evidence = facts.evidence
    measured, limit = _amounts(evidence, say)
    rule = facts.rule if f"rule.{facts.rule}.name" in say.messages else OTHER
    rule_name = say(f"rule.{rule}.name", rule=facts.rule)
    where = _where(facts, registry, say)
    severity = say.word("severity", facts.severity)
    title = say(f"title.{facts.state}", severity=severity, rule=rule_name, where=where)
    text = say(
        f"rule.{rule}.text",
        measured=measured,
        limit=limit,
        since=_moment(evidence.since, zone, say),
        until=_moment(evidence.until, zone, say),
        detail=_detail(rule, evidence.detail, say) or say("value.none"),
    )
    return Explanation(
        title=say("drill.title", title=title) if alert.drill else title,
        text=say("drill.text", text=text) if alert.drill else text,
        rule=rule_name,
        severity=severity,
        state=say.word("state", facts.state),
        area=area_name(registry, facts.site, say),
        site=site_name(registry, facts.site, say),
        where=where,
        measured=measured,
        limit=limit,
        began=say.zoned(facts.began_at, zone),
        ended=say.zoned(facts.ended_at, zone) if facts.ended_at else "",
        basis=say(f"rule.{rule}.basis"),
        advice=say("drill.advice") if alert.drill else say(f"rule.{rule}.advice"),
        zone=say.zone(zone, facts.began_at),
        remarks=tuple(_remarks(alert, say)),
    )


def device_label(device: str) -> str:
    """Return what people call a device: its id without area and site."""
    return plain(device.split("/", 2)[-1])


def site_name(registry: Registry, site: str, say: Texts) -> str:
    if site == DRILL_SITE:
        return say("drill.place")
    known = registry.sites.get(site)
    return say.name(known.name if known else Name(site, site))


def area_name(registry: Registry, site: str, say: Texts) -> str:
    if not site:
        return say("where.all")
    if site == DRILL_SITE:
        return say("drill.place")
    area = site.split("/", 1)[0]
    known = registry.areas.get(area)
    return say.name(known.name if known else Name(area, area))


def place_name(
    registry: Registry, say: Texts, site_id: str, device_id: str, channel: int | None
) -> str:
    """Return a place in words: site, device, and socket; an empty device is the whole site."""
    site = site_name(registry, site_id, say)
    if not device_id:
        return say("where.site", site=site)
    device = device_label(device_id)
    if channel is None:
        return say("where.device", site=site, device=device)
    return say("where.socket", site=site, device=device, channel=channel)


def zone_of(registry: Registry, site: str) -> ZoneInfo:
    """Return the zone on whose clock a site's times are shown."""
    known = registry.sites.get(site)
    return (known.schedule if known else Schedule.nightly()).zone


def _remarks(alert: AlertLike, say: Texts) -> Iterator[str]:
    if alert.state == State.RESOLVED:
        return
    if alert.flaps:
        yield say("remark.flaps")
    if alert.tier > 1:
        yield say("remark.tier", tier=alert.tier)
    how, _, by = alert.withheld.partition(":")
    if how == "silenced":
        yield say("remark.silenced", id=by)
    elif how:
        yield say("remark.inhibited", rule=say.word("rule", f"{by}.name"))


def _facts(alert: AlertLike) -> _Facts:
    if isinstance(alert, Alert):
        return _Facts(
            rule=alert.key.rule,
            device=alert.key.device or "",
            group=alert.key.group,
            channel=alert.key.channel,
            site=alert.site,
            severity=alert.severity,
            state=alert.state,
            began_at=alert.began_at,
            ended_at=alert.since if alert.state is State.RESOLVED else None,
            evidence=alert.evidence,
        )
    return _Facts(
        rule=alert.rule,
        device=alert.device,
        group=subject if isinstance(subject := alert.subject, Group) else None,
        channel=alert.channel,
        site=alert.site,
        severity=alert.severity,
        state=alert.state,
        began_at=alert.began_at,
        ended_at=alert.resolved_at,
        evidence=alert.evidence,
    )


def _where(facts: _Facts, registry: Registry, say: Texts) -> str:
    match facts.group:
        case Group(GroupKind.SITE, name):
            return say("where.site", site=site_name(registry, name, say))
        case Group(GroupKind.CARRIER, name):
            return say("where.carrier", carrier=plain(name))
        case group if group == EVERYTHING:
            return say("where.all")
    return place_name(registry, say, facts.site, facts.device, facts.channel)


def _amounts(evidence: Evidence, say: Texts) -> tuple[str, str]:
    """Return the measured value and the limit; seconds are written as a length of time."""

    def written(value: float | None) -> str:
        if value is None:
            return say("value.none")
        if evidence.unit == "s":
            return say.span(timedelta(seconds=value))
        return say.number(value, evidence.unit)

    return written(evidence.measured), written(evidence.limit)


def _detail(rule: str, detail: str, say: Texts) -> str:
    """Return a detail in words: in each part, what is before a blank may be a word of ours."""
    parts = (part.partition(" ") for part in detail.split("; "))
    return say("text.detail.and").join(
        " ".join(filter(None, (_word(rule, word, say), plain(rest)))) for word, _, rest in parts
    )


def _word(rule: str, word: str, say: Texts) -> str:
    """Return the words for a rule or for one of our details; any other word is its own."""
    own = say.messages.get(f"rule.{rule}.detail.{word}") or say.messages.get(
        f"rule.{word}.name"
    )
    return own or say.word("detail", word)


def _moment(moment: datetime | None, zone: ZoneInfo, say: Texts) -> str:
    return say("value.none") if moment is None else say.zoned(moment, zone)
