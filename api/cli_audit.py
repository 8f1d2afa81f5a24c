"""The command line's words about the log of deeds: whether it is whole, and what is in it."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli_errors import run_or_explain
from api.cli_instants import instant
from ingest.errors import ChargewatchError

BROKEN = 1

audit = typer.Typer(
    name="audit",
    help="Who did what, and whether anybody has changed what is written about it.\n\n"
    "Both work while the service runs, and without it, and change nothing.",
    no_args_is_help=True,
)


class NoLedger(ChargewatchError):
    """There is nothing to look into."""


@audit.command()
def verify(
    *,
    noted: Annotated[
        list[str] | None,
        typer.Option(help="A line that this printed before: LOG:LINE:DIGEST. May be repeated."),
    ] = None,
) -> None:
    """Check every line of the three logs that are only ever added to.

    Prints the last line of each with its digest, which stands for all before it. Keep that
    elsewhere and give it with --noted later: then a log that was written anew as a whole shows,
    too. Status 0: all is whole; 1: something was changed, put in or taken out.
    """

    def run() -> None:
        from api.doctor.patient import read_only
        from ingest.ledger.chain import LOGS, head_of, holds

        whole = True
        with read_only(_ledger()) as connection:
            for log, check in LOGS.items():
                verified = check(connection)
                if verified.broken_at is not None:
                    whole = False
                    typer.echo(f"{log}: broken at line {verified.broken_at}", err=True)
                else:
                    typer.echo(f"{log}:{verified.lines}:{head_of(connection, log)}")
            for line in noted or ():
                if not holds(connection, line):
                    whole = False
                    typer.echo(f"{line}: it is not what was noted", err=True)
        if not whole:
            raise typer.Exit(BROKEN)

    run_or_explain(run)


@audit.command("list")
def list_(  # noqa: PLR0913  (each is a filter)
    *,
    who: Annotated[str, typer.Option(help="Only what this one did.")] = "",
    what: Annotated[
        str, typer.Option(help="Only this, as --json says it; `login.`: all of that kind.")
    ] = "",
    since: Annotated[str, typer.Option(metavar="ISO", help="From this instant.")] = "",
    limit: Annotated[int, typer.Option(help="So many lines at most.", min=1, max=10_000)] = 200,
    language: Annotated[
        Literal["zh", "en"] | None, typer.Option(help="If not given: CHARGEWATCH_LANGUAGE.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """List what people did and tried to do, the newest first."""

    def run() -> None:
        import msgspec

        from api.doctor.patient import read_only
        from api.settings import read_settings
        from api.text import Texts, plain
        from ingest.ledger.audit import AuditFilter, audit_lines

        wanted = AuditFilter(
            who=who or None,
            what=what or None,
            since=instant(since, "--since") if since else None,
        )
        say = Texts.of(language or read_settings(os.environ).language)
        with read_only(_ledger()) as connection:
            for line in audit_lines(connection, limit=limit, wanted=wanted):
                if json:
                    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
                    continue
                words = say.messages.get(f"audit.{line.what}", line.what)
                parts = (line.who, line.via, words, line.about, line.detail)
                shown = "  ".join(plain(part) for part in parts if part)
                typer.echo(f"{line.at:%Y-%m-%dT%H:%M:%SZ}  {shown}")

    run_or_explain(run)


def _ledger() -> Path:
    from api.settings import read_settings

    path = read_settings(os.environ).data_dir / "ledger.sqlite"
    if not path.exists():
        raise NoLedger(f"{path}: there is no ledger")
    return path
