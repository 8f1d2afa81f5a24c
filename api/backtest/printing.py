"""Shows a result to people, as tables."""

from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.backtest.episodes import Episode
from api.backtest.result import Outcome, Result
from api.backtest.scoring import Delay, Mark, Score

LISTED_MAX = 100
"""Episodes shown in one list; `--json` has all."""
SITES_MAX = 20
COLUMNS = ("", "found", "recall", "delay p50/p95/max", "precise", "false", "twice")
"""Of a table of marks."""


def show(result: Result, console: Console) -> None:
    """Print all of it, the least important first: the end stays on the screen."""
    for part in _parts(result):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(result: Result) -> Iterator[RenderableType]:
    sides = _sides(result)
    yield from _lists(result)
    yield _per_name("sites", {name: each.per_site for name, each in sides.items()}, SITES_MAX)
    yield _per_name("rules", {name: each.per_rule for name, each in sides.items()})
    for name, outcome in sides.items():
        if outcome.score is not None:
            for how, marks in _score_tables(outcome.score):
                yield marks_table(f"{name}: by {how}", marks)
    yield Text("\n".join(_words(result)))


def _score_tables(score: Score) -> Iterator[tuple[str, dict[str, Mark]]]:
    if score.per_class:
        yield "class of incident", score.per_class
    if score.per_rule:
        yield "rule", score.per_rule


def _sides(result: Result) -> dict[str, Outcome]:
    sides = {"in force": result.in_force}
    return sides if result.proposed is None else sides | {"proposed": result.proposed}


def _lists(result: Result) -> Iterator[RenderableType]:
    found = result.difference
    if found is None:
        yield _episodes("what would have fired", result.in_force.episodes)
    else:
        yield _episodes("under both policies", found.same)
        yield _episodes("only under the policy in force", found.only_in_force)
        yield _episodes("only under the proposed policy", found.only_proposed)


def _episodes(title: str, episodes: Sequence[Episode]) -> RenderableType:
    if not episodes:
        return Text(f"{title}: nothing")
    table = table_of(f"{title}: {len(episodes)}")
    for column in ("fired (UTC)", "lasted", "rule"):
        table.add_column(column, no_wrap=True)
    table.add_column("subject", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    for each in episodes[:LISTED_MAX]:
        lasted = str(each.resolved_at - each.fired_at) if each.resolved_at else "open"
        value = "" if each.measured is None else f"{each.measured:g} {each.unit}"
        row = (f"{each.fired_at:%m-%d %H:%M:%S}", lasted.partition(".")[0], each.rule)
        table.add_row(*row, Text(each.subject), value)
    left_off = len(episodes) - LISTED_MAX
    return Group(table, f"and {left_off} more: --json has all") if left_off > 0 else table


def _per_name(
    what: str, sides: dict[str, dict[str, int]], at_most: int | None = None
) -> RenderableType:
    """Return how many alerts there are of each; those with the most first."""
    names = {name for counts in sides.values() for name in counts}
    most = sorted(names, key=lambda n: (-max(c.get(n, 0) for c in sides.values()), n))
    table = table_of(f"alerts by {what}")
    table.add_column(what)
    for side in sides:
        table.add_column(side, justify="right")
    for name in most[:at_most]:
        table.add_row(Text(name), *(str(counts.get(name, 0)) for counts in sides.values()))
    return table if names else Text(f"alerts by {what}: none")


def table_of(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)


def marks_table(title: str, marks: dict[str, Mark]) -> RenderableType:
    table = table_of(title)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column else "left", no_wrap=bool(column))
    for name, mark in marks.items():
        counts = (f"{mark.found}/{mark.expected}", percent(mark.recall))
        after = (percent(mark.precision), str(mark.false_alarms), str(mark.duplicates))
        table.add_row(Text(name), *counts, delay(mark.delay_s, "/"), *after)
    return table


def _words(result: Result) -> Iterator[str]:
    tally, lines = result.tally, result.lines
    yield (
        f"{result.begins:%Y-%m-%d %H:%M} to {result.ends:%Y-%m-%d %H:%M} UTC,"
        f" {result.sites} sites: {tally.messages} messages, {tally.readings} readings"
        f" in {result.speed.seconds:.1f} s ({result.speed.readings_per_s} a second)"
    )
    yield from _oddities(result)
    for bad in lines.bad_shown:
        yield f"  {bad}"
    for name, outcome in _sides(result).items():
        yield f"{name}: {outcome.alerts} alerts" + _score(outcome.score)
    if (found := result.difference) is not None:
        yield (
            f"difference: {len(found.only_proposed)} only under the proposed policy,"
            f" {len(found.only_in_force)} only under the one in force, {len(found.same)} same"
        )


def _oddities(result: Result) -> Iterator[str]:
    """Say what was not judged, if anything."""
    tally = result.tally
    refused = ", ".join(f"{why} {count}" for why, count in sorted(tally.refused.items()))
    counts = {
        "bad lines": result.lines.bad,
        "out of order": tally.out_of_order,
        "repeated": tally.repeated,
        "ignored": tally.ignored,
    }
    odd = [f"{count} {what}" for what, count in counts.items() if count]
    if refused:
        odd.append(f"refused: {refused}")
    if odd:
        yield "; ".join(odd)


def _score(score: Score | None) -> str:
    if score is None:
        return ""
    return (
        f"; {score.found} of {score.incidents} incidents found ({percent(score.recall)}),"
        f" delay {delay(score.delay_s)}; {score.false_alarms} false alarms"
        f" ({score.forbidden} forbidden), {number(score.false_alarms_per_site_week)}"
        f" per site-week in {score.site_weeks:g} site-weeks"
    )


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def delay(found: Delay | None, between: str = " / ") -> str:
    if found is None:
        return "-"
    figures: Iterable[float] = (found.p50, found.p95, found.max)
    return between.join(f"{figure:.1f}" for figure in figures) + " s"
