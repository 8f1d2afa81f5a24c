"""The command line's words about scoring: alarms against what really happened."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from api.cli_errors import run_or_explain
from api.cli_instants import instant
from ingest.errors import ChargewatchError

if TYPE_CHECKING:
    from api.score.report import Asked, Scored
    from api.score.told import Alarms

NOT_GOOD_ENOUGH = 1
STANDARD_OUTPUT = "-"


class PageUnwritable(ChargewatchError):
    """A page cannot be put where it was asked for."""


def score(  # noqa: PLR0913  (a command line is as wide as its options)
    *,
    truth: Annotated[
        Path, typer.Option(help="JSON lines of what really happened (docs/scoring.md).")
    ],
    api: Annotated[
        str, typer.Option(metavar="URL", help="A running service, e.g. http://127.0.0.1:8000.")
    ] = "",
    alerts: Annotated[
        Path | None, typer.Option(help="A file of alarms, as backtest --alerts writes it.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Holds a token that may read; else CHARGEWATCH_TOKEN is it."),
    ] = None,
    since: Annotated[
        str, typer.Option("--from", metavar="ISO", help="Score from this instant on.")
    ] = "",
    until: Annotated[str, typer.Option("--to", metavar="ISO", help="Until this instant.")] = "",
    sites: Annotated[
        int | None, typer.Option(min=1, help="How many were watched, if nobody else says.")
    ] = None,
    must_find: Annotated[
        list[str] | None,
        typer.Option(help="A rule or class of which none may be missed. May be repeated."),
    ] = None,
    max_false_per_site_week: Annotated[
        float | None, typer.Option(min=0, help="More false alarms than that: status 1.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    junit: Annotated[bool, typer.Option("--junit", help="Print JUnit's XML, for CI.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page here, in one file.")] = None,
    language: Annotated[Literal["zh", "en"], typer.Option(help="Of the page.")] = "zh",
    zone: Annotated[str, typer.Option(help="Whose clock the page shows.")] = "Asia/Shanghai",
    keep: Annotated[
        Path | None, typer.Option(help="Keep the service's alarms in a file for --alerts.")
    ] = None,
) -> None:
    """Score alarms against the truth: recall, precision, delay, false alarms, duplicates.

    Status 0: nothing was missed of what must not be missed (smoke, fire, overload), and there
    are no more false alarms than allowed; 1: otherwise; 2: it cannot be scored.
    """

    def run() -> None:
        from api.backtest.truth import read_truth
        from api.score.report import MUST_FIND, Asked, scored
        from api.score.told import write_alarms

        if bool(api) is (alerts is not None):
            raise typer.BadParameter("either --api URL or --alerts FILE")
        if json and junit:
            raise typer.BadParameter("either --json or --junit")
        asked = Asked(
            begins=instant(since, "--from") if since else None,
            ends=instant(until, "--to") if until else None,
            sites=sites,
            must_find=must_find or MUST_FIND,
            false_alarms_allowed=max_false_per_site_week,
        )
        incidents = read_truth(truth)
        alarms = _alarms(api, alerts, _token(token_file), asked)
        if keep is not None:
            write_alarms(keep, alarms)
        result = scored(alarms, incidents, asked)
        if html is not None:
            _write_page(html, result, zone, language)
        _print(result, "json" if json else "junit" if junit else "")
        if not result.report.ok:
            raise typer.Exit(NOT_GOOD_ENOUGH)

    run_or_explain(run)


def _alarms(api: str, alerts: Path | None, token: str, asked: "Asked") -> "Alarms":
    import asyncio

    from api.score.asking import alarms_of
    from api.score.told import read_alarms

    if alerts is not None:
        return read_alarms(alerts)
    return asyncio.run(alarms_of(api, token, asked.begins, asked.ends))


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get("CHARGEWATCH_TOKEN", "")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--token-file") from None


def _print(result: "Scored", form: str) -> None:
    import msgspec

    from api.score.junit import junit
    from api.score.printing import show
    from api.text import Texts

    english = Texts.of("en")
    if form == "json":
        sys.stdout.write(msgspec.json.encode(result.report).decode() + "\n")
    elif form == "junit":
        sys.stdout.write(junit(result, english).decode())
    else:
        show(result, Console(), english)


def _write_page(path: Path, result: "Scored", zone: str, language: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from api.score.page import page
    from api.text import Texts

    try:
        there = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"no zone {zone!r}", param_hint="--zone") from None
    try:
        path.write_text(page(result, there, Texts.of(language)), encoding="utf-8")
    except OSError as error:
        raise PageUnwritable(f"{path}: {error.strerror}") from error
