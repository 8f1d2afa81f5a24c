"""Findings in words: for people a line and what to do, for programs one object."""

from collections.abc import Iterable, Iterator

from api.doctor.finding import EVERYWHERE, OUTCOMES, Finding, Status, exit_status
from api.text import Texts

TO_DO = frozenset({Status.WARNING, Status.FAILED, Status.UNKNOWN})
MARKS = {
    Status.OK: "+",
    Status.WARNING: "!",
    Status.FAILED: "x",
    Status.UNKNOWN: "?",
    Status.SKIPPED: "-",
}


def key_of(finding: Finding) -> str:
    check = "any" if finding.outcome in EVERYWHERE else finding.check
    return f"doctor.{check}.{finding.outcome}"


def lines(findings: Iterable[Finding], say: Texts) -> Iterator[str]:
    """Yield a line for each finding, one more for what to do, and a summary."""
    findings = list(findings)
    for finding in findings:
        status = say(f"doctor.status.{finding.status}")
        name = say(f"doctor.{finding.check}")
        seen = say(key_of(finding), **finding.facts)
        yield f"{MARKS[finding.status]} {status} · {name}: {seen}"
        if finding.status in TO_DO:
            yield f"    → {say(f'{key_of(finding)}.todo')}"
    yield say(f"doctor.summary.{exit_status(findings)}")


def as_json(findings: Iterable[Finding], say: Texts) -> dict[str, object]:
    """Return the same for programs."""
    findings = list(findings)
    return {
        "exit_status": exit_status(findings),
        "findings": [
            {
                "check": finding.check,
                "outcome": finding.outcome,
                "status": finding.status,
                "facts": finding.facts,
                "seen": say(key_of(finding), **finding.facts),
                "to_do": say(f"{key_of(finding)}.todo") if finding.status in TO_DO else "",
            }
            for finding in findings
        ],
    }


def table() -> Iterator[str]:
    """Yield the table of docs/doctor.md: every outcome of every check, in English."""
    say = Texts.of("en").messages
    yield "| check | outcome | status | what was seen, and what to do |"
    yield "|---|---|---|---|"
    for check, possible in (OUTCOMES | {"any": EVERYWHERE}).items():
        for outcome, status in possible.items():
            key = f"doctor.{check}.{outcome}"
            words = f"{say[key]}. {say.get(f'{key}.todo', '')}".strip()
            yield f"| `{check}` | `{outcome}` | {status} | {words} |"
