"""The tables that the command line prints of the rules, in the words of a language."""

from collections.abc import Iterable, Iterator, Mapping

from rich.markup import escape
from rich.table import Table

from api.rules_shown import SITES_FILE_LAYER, LimitShown, RuleShown, Shown
from api.text import LANGUAGES, Texts, plain
from rules.policies import BUILT_IN_LAYER


def texts_for(asked: str | None, environment: Mapping[str, str], otherwise: str) -> Texts:
    """Return the words of the language that was asked for, or that the terminal speaks."""
    terminal = environment.get("LC_ALL") or environment.get("LANG") or ""
    return Texts.of(next(x for x in (asked, terminal[:2], otherwise) if x in LANGUAGES))


def catalogue_table(rules: Iterable[RuleShown], say: Texts) -> Table:
    table = Table(*(say(f"rules.{column}") for column in ("rule", "name", "level", "basis")))
    for rule in rules:
        levels = " → ".join(say.word("severity", level) for level in rule.levels)
        table.add_row(rule.rule, rule.name, levels, rule.basis)
    return table


def in_force_tables(shown: Shown, say: Texts) -> Iterator[Table | str]:
    """Yield what is in force, the opening hours first, and what is to be known about it."""
    where = plain(shown.device or shown.site)
    yield _table(say("rules.hours", where=escape(where)), shown.opening_hours, say)
    yield _table(say("rules.limits", where=escape(where)), shown.limits, say)
    none = say("value.none")
    yield say(
        "rules.files",
        policy=escape(shown.policy_file or none),
        sites=escape(shown.sites_file or none),
    )
    if not shown.declared:
        yield say("rules.undeclared", where=escape(where))


def _table(title: str, limits: Iterable[LimitShown], say: Texts) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("rule", "key", "value", "layer"):
        table.add_column(say(f"rules.{column}"), no_wrap=column == "key", overflow="fold")
    before = ""
    for limit in limits:
        if before and limit.rule != before:
            table.add_section()
        value = (
            say.number(limit.value, places=3)
            if isinstance(limit.value, float)
            else str(limit.value)
        )
        table.add_row(
            _name(limit.rule, say) if limit.rule != before else "",
            f"{limit.rule}.{limit.key}" if limit.rule != "opening_hours" else limit.key,
            escape(plain(f"{value} {limit.unit}".rstrip())),
            _layer(limit.layer, say),
        )
        before = limit.rule
    return table


def _name(rule: str, say: Texts) -> str:
    return say.messages.get(f"rule.{rule}.name") or say.word("rules.table", rule)


def _layer(layer: str, say: Texts) -> str:
    """Return who set a value. Which area, site or device that is, the title says."""
    if layer in {BUILT_IN_LAYER, SITES_FILE_LAYER}:
        return say(f"rules.layer.{layer.replace(' ', '_')}")
    return say(f"rules.layer.{layer.partition(' ')[0]}")
