"""The commands: build the files, push them to a Grafana."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from dashboards import grafana
from dashboards.build import BUILT, CONSOLE, write
from dashboards.words import LANGUAGES
from ingest.errors import ChargewatchError

app = typer.Typer(
    help="Grafana's dashboards as code (docs/dashboards.md).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Console = Annotated[
    str | None,
    typer.Option(help="Where the links to the console lead; else CHARGEWATCH_HTTP__URL."),
]


@app.command()
def build(
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = BUILT,
    console: Annotated[
        str, typer.Option(help="Where the links to the console lead.")
    ] = CONSOLE,
) -> None:
    """Write the dashboards as JSON, one folder for each language."""
    for path in write(to, console):
        typer.echo(path)


@app.command()
def push(
    language: Annotated[
        Literal["zh", "en", "both"], typer.Option(help="Which dashboards.")
    ] = "both",
    console: Console = None,
    annotate: Annotated[
        str | None, typer.Option(help="Mark this moment in the curves: what was done.")
    ] = None,
) -> None:
    """Send data source, folders and dashboards to CHARGEWATCH_GRAFANA__URL."""
    from dashboards.push import annotate as mark  # noqa: PLC0415  (`build` does not wait for it)
    from dashboards.push import push as send  # noqa: PLC0415

    languages = LANGUAGES if language == "both" else (language,)
    try:
        access = grafana.access_of(os.environ)
        send(
            access, languages, console or os.environ.get(grafana.CONSOLE) or CONSOLE, typer.echo
        )
        if annotate:
            mark(access, annotate, typer.echo)
    except ChargewatchError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error
