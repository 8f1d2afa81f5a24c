"""The words of facts: what InfluxDB, and so Grafana, calls alerts and what happens to them."""

from collections.abc import Mapping

from api.text import Texts
from ingest.facts import Words
from ingest.ledger.facts import LogLine
from ingest.registry import Name, Site

OTHER = "other"


NO_SITE = Name("", "")


def fact_words(sites: Mapping[str, Site]) -> Words:
    """Return the words of the message catalogue, and the sites' names, in both languages."""
    zh, en = Texts.of("zh"), Texts.of("en")

    def rule(name: str) -> Name:
        return Name(_rule(zh, name), _rule(en, name))

    def happened(name: str, event: LogLine) -> Name:
        return Name(_titled(zh, name, event), _titled(en, name, event))

    def site(name: str) -> Name:
        known = sites.get(name)
        return NO_SITE if known is None else known.name

    return Words(rule, happened, site)


def _rule(say: Texts, name: str) -> str:
    known = name if f"rule.{name}.name" in say.messages else OTHER
    return say(f"rule.{known}.name", rule=name)


def _titled(say: Texts, rule: str, event: LogLine) -> str:
    return say("event.titled", rule=_rule(say, rule), what=_what(say, event))


def _what(say: Texts, event: LogLine) -> str:
    match event.what:
        case "told":
            state = say.word("state", event.detail)
            return say("event.told", who=event.who, detail=state)
        case "told_in_digest":
            state = say.word("state", event.detail)
            return say("event.told_in_digest", who=event.who, detail=state)
        case "spilled":
            return say("event.spilled", who=event.who, detail=event.detail)
        case "not_told":
            reason = say.word("reason", event.detail)
            return say("event.not_told", who=event.who, detail=reason)
        case "acknowledged":
            return say("event.acknowledged", who=event.who)
        case what:
            return say.word("event", what)
