"""The command line's words about the history: `history setup`, `status` and `rollup`."""

import os
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_errors import run_or_explain
from api.cli_rollup import rollup
from ingest.errors import ChargewatchError

if TYPE_CHECKING:
    from api.settings import Settings
    from ingest.influx_roles import Role
    from ingest.influx_setup import Setup

OWNER_ONLY = 0o600

history = typer.Typer(
    name="history",
    help="Set up and look at where readings are kept (docs/history.md).",
    no_args_is_help=True,
)


history.command()(rollup)


class NoInflux(ChargewatchError):
    """The settings keep readings in a file, which needs no setting up."""


class TokenUnreadable(ChargewatchError):
    """The file that should hold a token cannot be read, or is empty."""


class TokenUnwritable(ChargewatchError):
    """A token cannot be put where it was asked for."""


@history.command()
def setup(
    *,
    admin_token_file: Annotated[
        Path | None,
        typer.Option(
            help="Holds a token that may do anything there (1.8: user:password)."
            " If not given: the service's own is tried."
        ),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask for that token; it is not shown.")
    ] = False,
    service_token_file: Annotated[
        Path | None, typer.Option(help="Make a token for the service, and write it there.")
    ] = None,
    grafana_token_file: Annotated[
        Path | None, typer.Option(help="Make a token for Grafana, which reads only.")
    ] = None,
) -> None:
    """Make buckets, retention and tokens in InfluxDB; what is there already is left alone."""

    def run() -> None:
        from api.histories import influx_address
        from api.settings import read_settings
        from ingest.influx_http import InfluxHttp
        from ingest.influx_roles import Role
        from ingest.influx_setup import setup_of

        settings = read_settings(os.environ)
        address = influx_address(settings)
        if address is None:
            raise NoInflux(
                "readings are kept in a file: set CHARGEWATCH_HISTORY__KIND=influxdb"
            )
        if admin_token_file is not None:
            address = address.with_token(_read_token(admin_token_file))
        elif ask:
            address = address.with_token(typer.prompt("Admin token", hide_input=True))
        with closing(InfluxHttp(address)) as http:
            made = setup_of(http)
            for words in made.places(timedelta(days=settings.history.keep_days)):
                typer.echo(words)
            for role, file in (
                (Role.SERVICE, service_token_file),
                (Role.GRAFANA, grafana_token_file),
            ):
                if file is not None:
                    typer.echo(_token_into(file, made, role))

    run_or_explain(run)


def _read_token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise TokenUnreadable(f"{file}: {error}") from error
    if not token:
        raise TokenUnreadable(f"{file} is empty")
    return token


def _token_into(file: Path, made: "Setup", role: "Role") -> str:
    """Make a token and write it to a new file for its owner only; say what was done."""
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        return f"{file}: exists already, so no token was made for the {role}"
    except OSError as error:
        raise TokenUnwritable(f"{file}: {error}") from error
    try:
        with os.fdopen(opened, "w") as written:
            written.write(made.token(role) + "\n")
    except BaseException:
        file.unlink()
        raise
    return f"{file}: a token for the {role}"


@history.command()
def status() -> None:
    """Say where readings are kept, how many there are, and how far behind they are."""

    def run() -> None:
        import asyncio

        from api.settings import read_settings

        for words in asyncio.run(_status(read_settings(os.environ))):
            typer.echo(words)

    run_or_explain(run)


async def _status(settings: "Settings") -> list[str]:
    from api.histories import duckdb_file, influx_address, open_history
    from ingest.influx_writing import Losses
    from ingest.ledger.store import opened

    address, ledger_file = influx_address(settings), settings.data_dir / "ledger.sqlite"
    file = duckdb_file(settings.data_dir)
    if address is None and not file.exists():
        return [f"history: {file}, which the service makes at its first start"]
    where = file if address is None else f"{address.url}, database {address.database}"
    async with open_history(settings, Losses()) as kept:
        cursor, readings = await kept.cursor(), await kept.count()
    said = [f"history: {where}", f"readings: {readings}", f"last journal entry: {cursor}"]
    if ledger_file.exists():
        async with opened(ledger_file) as ledger:
            said.append(f"behind: {max(0, await ledger.last_entry() - cursor)} entries")
    return said
