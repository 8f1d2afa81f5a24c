"""The command line's words about the containers: first start, and logins for managers."""

import os
import secrets as randomness
from pathlib import Path
from typing import Annotated

import typer

from api.cli_errors import run_or_explain
from ingest.clock import utc_now

deploy = typer.Typer(
    name="deploy",
    help="Prepare and check what docker-compose.yml runs (docs/deploy.md).",
    no_args_is_help=True,
)
PASSWORD_BYTES = 15


@deploy.command()
def init(
    *,
    project: Annotated[
        Path, typer.Option(help="Folder of docker-compose.yml.", file_okay=False)
    ] = Path(),
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address by which devices reach the broker; repeat it."),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="With simulated devices, to have a look.")
    ] = False,
) -> None:
    """Make secrets, certificates and files for the first `docker compose up`.

    Can be repeated: it makes what is missing, and changes nothing else. A certificate that is
    about to end, or lacks a name, is made anew.
    """

    def run() -> None:
        from api.deploy.first_start import first_start

        done = first_start(project, tuple(host or ()), utc_now(), demo=demo)
        for name in done.made:
            typer.echo(f"made: {name}")
        typer.echo(
            f"{done.folder}: ready; the broker's certificate is for {', '.join(done.hosts)},"
            f" until {done.certificate_ends:%Y-%m-%d}"
        )

    run_or_explain(run)


@deploy.command()
def check(
    folder: Annotated[Path, typer.Argument(help="The folder of secrets.")] = Path(
        "var/deploy/secrets"
    ),
) -> None:
    """Refuse secrets that are missing, empty or placeholders. Nothing is started after that."""

    def run() -> None:
        from api.deploy.secrets import refuse_wrong

        refuse_wrong(folder)
        typer.echo(f"{folder}: every secret is there, and none is a placeholder")

    run_or_explain(run)


@deploy.command()
def viewer(
    login: Annotated[str, typer.Argument(help="Letters, digits and . _ -")],
    *,
    admin_password_file: Annotated[
        Path, typer.Option(help="Password of Grafana's administrator.")
    ],
    password_file: Annotated[
        Path | None, typer.Option(help="The login's password; if not given, one is printed.")
    ] = None,
) -> None:
    """Make a login of Grafana that may look at everything and change nothing.

    CHARGEWATCH_GRAFANA__URL says where Grafana is. A login that is there keeps its password.
    """

    def run() -> None:
        from api.deploy.grafana import add_viewer
        from api.deploy.secrets import read_secret
        from api.settings import read_settings

        url = read_settings(os.environ).grafana.url
        if url is None:
            raise typer.BadParameter("CHARGEWATCH_GRAFANA__URL is not set")
        given = read_secret(password_file) if password_file else None
        password = given or randomness.token_urlsafe(PASSWORD_BYTES)
        result = add_viewer(url, read_secret(admin_password_file), login, password)
        typer.echo(f"{login}: {result}", err=True)
        if result == "made" and given is None:
            typer.echo(password)

    run_or_explain(run)
