"""The command line's words about finding out whether all is well: doctor and drill."""

import os
import sys
from typing import Annotated, Literal

import typer

from api.cli_errors import run_or_explain

Language = Annotated[
    Literal["zh", "en"] | None, typer.Option(help="If not given: CHARGEWATCH_LANGUAGE.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
STUCK = 2
"""CRITICAL, as monitoring programs count."""


def doctor(
    *,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this check; may be given several times.")
    ] = None,
    language: Language = None,
    json: AsJson = False,
) -> None:
    """Look everything over, and say what is wrong and what to do (docs/doctor.md).

    Changes nothing and tells nobody. Status 0: all is well; 1: a warning; 2: something failed;
    3: some check came to no end.
    """

    def run() -> None:
        import asyncio

        import msgspec

        from api.doctor.examining import check_names, examine, settings_or_finding
        from api.doctor.finding import exit_status
        from api.doctor.patient import Patient
        from api.doctor.telling import as_json, lines
        from api.text import Texts
        from ingest.clock import utc_now

        wanted = only or []
        check_names(wanted)
        settings, findings = settings_or_finding(os.environ)
        if settings is not None:
            if wanted:
                findings = [each for each in findings if each.check in wanted]
            patient = Patient(settings=settings, now=utc_now())
            findings += asyncio.run(examine(patient, wanted))
        say = Texts.of(language or (settings.language if settings else "zh"))
        if json:
            sys.stdout.write(msgspec.json.encode(as_json(findings, say)).decode() + "\n")
        else:
            for line in lines(findings, say):
                typer.echo(line)
        if status := exit_status(findings):
            raise typer.Exit(status)

    run_or_explain(run)


def drill(
    *,
    site: Annotated[
        str, typer.Option(help="Whose people are to hear of it, area/site; none: no real site.")
    ] = "",
    wait: Annotated[float, typer.Option(help="Seconds until it must be over.", min=1)] = 60,
    language: Language = None,
    json: AsJson = False,
) -> None:
    """Send an alarm that is marked as a drill the whole way, and say how far it came.

    Broker, rules, ledger, every channel. Status 0: it arrived everywhere; 2: it did not.
    """

    def run() -> None:
        from api.drill_command import rehearse
        from api.settings import read_settings
        from api.text import Texts

        settings = read_settings(os.environ)
        say = Texts.of(language or settings.language)
        outcome = rehearse(settings, site, wait, say)
        if json:
            sys.stdout.write(outcome.drill.model_dump_json() + "\n")
        else:
            for line in outcome.lines:
                typer.echo(line)
        if not outcome.ok:
            raise typer.Exit(STUCK)

    run_or_explain(run)
