"""How good the alarms are over all scenarios: `python -m benchmarks.scorecard [--out FILE]`.

Every scenario of the simulator's library is played with several seeds through the engine, as
`./chargewatch backtest` does, and scored as `./chargewatch score` does. Every miss and every
false alarm is listed, with what is known of its cause. Each run is a process's own work; as
many go on at a time as there are cores, two at least.

The page says what was found, and nothing is tuned for it: a miss is a miss.
"""

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from api.backtest.matching import FalseAlarm, Miss
from api.backtest.places import registry_of
from api.backtest.playing import Playing
from api.backtest.scoring import Delay, Mark, delay_of
from api.backtest.truth import Incident, read_truth
from api.score.report import MUST_FIND, Asked, Report, is_grave, scored
from api.score.saying import (
    clock,
    false_alarm_in_words,
    miss_in_words,
    subject_of,
    subject_of_alarm,
)
from api.score.told import Alarms, Watched
from api.text import Texts
from benchmarks.causes import explained
from benchmarks.missed import why_missed
from ingest.wire import Message
from simulator.library import Size, names
from simulator.library import village as village_of
from simulator.player import Player
from simulator.village import Village, incidents, policy_toml, sites_toml

DAY = dt.date(2026, 5, 12)
SEEDS = 10
SIZE = Size(days=7, sites=5)
"""Of scenarios that come in sizes."""
PROCESSES_MIN = 2
LISTED_MAX = 300
"""Misses, and false alarms, that are listed one by one."""
CAUSE = "cause, as far as it is known"
EN = Texts.of("en")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario with one seed."""

    scenario: str
    seed: int
    report: Report
    grave: int
    """Incidents that must not be missed."""
    delays_s: dict[str, list[float]]
    """Of each class, of all incidents that were found."""
    half_found: list[tuple[Incident, list[str]]]
    """Those that were found, with the rules that were expected, too, and did not speak."""
    messages: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the page here, not to the terminal")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--days", type=int, default=SIZE.days, help="of what comes in sizes")
    parser.add_argument("--sites", type=int, default=SIZE.sites, help="of what comes in sizes")
    parser.add_argument("scenarios", nargs="*", help="if none is named: all")
    options = parser.parse_args()
    wanted = options.scenarios or list(names())
    if unknown := set(wanted) - set(names()):
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    size = Size(options.days, options.sites)
    tasks = [(name, seed, size) for name in wanted for seed in range(1, options.seeds + 1)]
    text = page(list(all_runs(tasks)), options.seeds, size)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


def all_runs(tasks: Sequence[tuple[str, int, Size]]) -> Iterator[Run]:
    """Yield the runs in order, as they are done."""
    processes = max(PROCESSES_MIN, os.cpu_count() or 1)
    with ProcessPoolExecutor(processes) as pool:
        for done, run in enumerate(pool.map(one_run, tasks), start=1):
            words = f"{done}/{len(tasks)} {run.scenario} {run.seed} {run.seconds:.1f} s"
            print(words, file=sys.stderr)
            yield run


def one_run(task: tuple[str, int, Size]) -> Run:
    """Play one scenario with one seed, and score it."""
    name, seed, size = task
    village, began_s = village_of(name, seed, DAY, size), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        playing, truth = played(village, Path(folder))
    watched = Watched(begins=village.starts, ends=village.ends, sites=len(village.sites))
    alarms = Alarms(watched=watched, episodes=playing.sides[0].episodes.all)
    found = scored(alarms, truth, Asked())
    delays_s: dict[str, list[float]] = {}
    for finding in found.found.findings:
        if finding.delay_s is not None:
            delays_s.setdefault(finding.incident.kind, []).append(finding.delay_s)
    return Run(
        scenario=name,
        seed=seed,
        report=found.report,
        grave=grave_of(each.incident for each in found.found.findings),
        delays_s=delays_s,
        half_found=[
            (each.incident, silent)
            for each in found.found.findings
            if each.delays_s
            and (silent := [r for r in each.incident.expected_rules if r not in each.delays_s])
        ],
        messages=playing.tally.messages,
        seconds=time.perf_counter() - began_s,
    )


def grave_of(incidents: Iterable[Incident]) -> int:
    """Count those that must not be missed, without those that are expected of nobody."""
    return sum(is_grave(each, MUST_FIND) for each in incidents if each.expected_rules)


def played(village: Village, folder: Path) -> tuple[Playing, tuple[Incident, ...]]:
    """Play a village through the engine, and return that with the truth of it."""
    sites, policy, truth = folder / "sites.toml", folder / "policy.toml", folder / "t.jsonl"
    sites.write_text(sites_toml(village), encoding="utf-8")
    policy.write_text(policy_toml(village), encoding="utf-8")
    truth.write_bytes(incidents(village))
    playing = Playing(registry_of(sites, policy, village.starts), (), village.starts)
    for said in Player(village.devices()).play(village.ends):
        playing.hear(Message(said.topic, said.payload, said.at))
    playing.sides[0].pass_time(village.ends)
    return playing, read_truth(truth)


# --- the page -----------------------------------------------------------------------------


def page(runs: Sequence[Run], seeds: int, size: Size) -> str:
    return "\n".join((*_head(runs, seeds, size), *_tables(runs), *_lists(runs)))


def _head(runs: Sequence[Run], seeds: int, size: Size) -> Iterator[str]:
    grave = [miss for run in runs for miss in run.report.must_not_be_missed]
    asked = sum(run.grave for run in runs)
    weeks = sum(run.report.score.site_weeks for run in runs)
    false = sum(run.report.score.false_alarms for run in runs)
    yield "# Scorecard\n"
    yield (
        f"Every scenario of the simulator's library, with seeds 1 to {seeds}, played through"
        " the rules and held against the truth that the simulator wrote down. Scenarios that"
        f" come in sizes have {size.sites} sites and {size.days} days. Made by"
        f" `.venv/bin/python -m benchmarks.scorecard --seeds {seeds} --days {size.days}"
        f" --sites {size.sites} --out docs/scorecard.md`; how it is scored is in"
        " [scoring](scoring.md). The truth is not fitted to the rules: a miss is a miss.\n"
    )
    marks = _summed(run.report.score.per_rule for run in runs)
    by_rule = ", ".join(
        f"`{rule}` {_share(mark.found, mark.expected)} ({mark.found} of {mark.expected})"
        for rule, mark in marks.items()
        if rule in MUST_FIND
    )
    yield (
        f"**{', '.join(MUST_FIND)}**: recall {_share(asked - len(grave), asked)}"
        f" ({asked - len(grave)} of {asked}); rule by rule, wherever it was expected:"
        f" {by_rule or 'nowhere'}. False alarms:"
        f" {false / weeks if weeks else 0:.3f} per site-week ({false} in {weeks:.1f})."
        f" {sum(run.messages for run in runs)} messages in"
        f" {sum(run.seconds for run in runs):.0f} s of one core.\n"
    )


def _tables(runs: Sequence[Run]) -> Iterator[str]:
    yield "## By class of incident\n"
    yield "| class | found | recall | delay p50 / p95 / max | precision | duplicates |"
    yield "|---|--:|--:|--:|--:|--:|"
    marks = _summed(run.report.score.per_class for run in runs)
    for kind, mark in marks.items():
        delays_s = [each for run in runs for each in run.delays_s.get(kind, ())]
        yield (
            f"| `{kind}` | {mark.found} / {mark.expected} | {_share(mark.found, mark.expected)}"
            f" | {_delay(delay_of(delays_s))} |"
            f" {_share(mark.right, mark.right + mark.false_alarms)} | {mark.duplicates} |"
        )
    yield "\n## By rule\n"
    yield "| rule | found | recall | false alarms | precision | duplicates |"
    yield "|---|--:|--:|--:|--:|--:|"
    for rule, mark in _summed(run.report.score.per_rule for run in runs).items():
        yield (
            f"| `{rule}` | {mark.found} / {mark.expected} | {_share(mark.found, mark.expected)}"
            f" | {mark.false_alarms} |"
            f" {_share(mark.right, mark.right + mark.false_alarms)} | {mark.duplicates} |"
        )
    yield "\n## By scenario\n"
    yield "| scenario | found | recall | false alarms | per site-week | messages |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in dict.fromkeys(run.scenario for run in runs):
        scores = [run.report.score for run in runs if run.scenario == name]
        found = sum(each.found for each in scores)
        asked = sum(each.incidents for each in scores)
        false = sum(each.false_alarms for each in scores)
        weeks = sum(each.site_weeks for each in scores)
        messages = sum(run.messages for run in runs if run.scenario == name)
        rate = f"{false / weeks:.3f}" if weeks else "\N{EN DASH}"
        yield (
            f"| `{name}` | {found} / {asked} | {_share(found, asked)} | {false} | {rate} |"
            f" {messages} |"
        )


def _lists(runs: Sequence[Run]) -> Iterator[str]:
    misses = [(run, miss) for run in runs for miss in run.report.score.missed]
    yield f"\n## Every miss: {len(misses)}\n"
    yield from _table("class", (_miss(run, miss) for run, miss in misses), len(misses))
    half = [(run, *each) for run in runs for each in run.half_found]
    yield f"\n## Found, though not by every rule that was expected: {len(half)}\n"
    rows = (_half_found(run, incident, silent) for run, incident, silent in half)
    yield from _table("class", rows, len(half), last="rules that did not speak in time")
    false = [(run, alarm) for run in runs for alarm in run.report.score.false]
    yield f"\n## Every false alarm: {len(false)}\n"
    yield from _table("rule", (_false(run, alarm) for run, alarm in false), len(false))


def _table(what: str, rows: Iterable[str], count: int, *, last: str = CAUSE) -> Iterator[str]:
    if not count:
        yield "None."
        return
    yield f"| scenario, seed | when (UTC) | {what} | subject | {last} |"
    yield "|---|---|---|---|---|"
    for place, row in enumerate(rows):
        if place == LISTED_MAX:
            yield f"\nAnd {count - LISTED_MAX} more."
            return
        yield row


def _miss(run: Run, miss: Miss) -> str:
    incident, cause = miss.incident, why_missed(miss) or miss_in_words(miss, EN)
    return (
        f"| {run.scenario}, {run.seed} | {clock(incident.knowable_at)} | `{incident.kind}` |"
        f" {_cell(subject_of(incident))} | {_cell(cause)} |"
    )


def _half_found(run: Run, incident: Incident, silent: Sequence[str]) -> str:
    return (
        f"| {run.scenario}, {run.seed} | {clock(incident.knowable_at)} | `{incident.kind}` |"
        f" {_cell(subject_of(incident))} | {', '.join(f'`{rule}`' for rule in silent)} |"
    )


def _false(run: Run, alarm: FalseAlarm) -> str:
    episode = alarm.episode
    cause = explained(alarm) or false_alarm_in_words(alarm, EN)
    return (
        f"| {run.scenario}, {run.seed} | {clock(episode.fired_at)} | `{episode.rule}` |"
        f" {_cell(subject_of_alarm(episode))} | {_cell(cause)} |"
    )


def _summed(parts: Iterable[dict[str, Mark]]) -> dict[str, Mark]:
    sums: dict[str, Mark] = {}
    for part in parts:
        for name, mark in part.items():
            total = sums.setdefault(name, Mark())
            for field in ("expected", "found", "right", "false_alarms", "duplicates"):
                setattr(total, field, getattr(total, field) + getattr(mark, field))
    return dict(sorted(sums.items()))


def _share(part: int, whole: int) -> str:
    """Return a share that is 1.00 only if nothing is missing."""
    return f"{int(part / whole * 1000) / 1000:.3f}" if whole else "\N{EN DASH}"


def _delay(delay: Delay | None) -> str:
    if delay is None:
        return "\N{EN DASH}"
    return f"{delay.p50:.0f} / {delay.p95:.0f} / {delay.max:.0f} s"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
