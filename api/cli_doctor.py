"""The command line's words about finding out whether all is well: doctor and drill."""

import os
import sys
from typing import Annotated, Literal

import typer

from api.cli_errors import run_or_explain

Language = Annotated[
    Literal["zh", "en"] | None, typer.Option(help="If not given: CHARGEWATCH_LANGUAGE.")
]
STUCK = 2
"""CRITICAL, as monitoring programs count."""


def drill(
    *,
    site: Annotated[
        str, typer.Option(help="Whose people are to hear of it, area/site; none: no real site.")
    ] = "",
    wait: Annotated[float, typer.Option(help="Seconds until it must be over.", min=1)] = 60,
    language: Language = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
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
