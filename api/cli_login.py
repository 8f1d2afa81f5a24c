"""The command line's words about the logins of people: the first administrator, passwords."""

import os
from typing import Annotated

import typer

from api.cli_errors import run_or_explain
from ingest.clock import utc_now

login = typer.Typer(
    name="login",
    help="Logins of people: the first administrator, new passwords, who is logged in.\n\n"
    "Each of these works while the service runs, and without it.",
    no_args_is_help=True,
)

Who = Annotated[str, typer.Argument(help="The id that they type to log in.")]


@login.command()
def admin(
    who: Annotated[str, typer.Argument(help="What they will type to log in.")],
    *,
    name: Annotated[
        str, typer.Option(help="What people call them; if not given: the id.")
    ] = "",
    reset: Annotated[
        bool, typer.Option("--reset", help="Although there is an administrator already.")
    ] = False,
) -> None:
    """Make the first administrator, and print a password that is shown this once.

    It must be changed at the first login. Refused if there is an administrator; with --reset
    one is made all the same, or is given a new password.
    """

    def run() -> None:
        from api.login_commands import make_admin
        from api.settings import read_settings

        settings = read_settings(os.environ)
        password = make_admin(settings.data_dir, who, utc_now(), name=name, reset=reset)
        _tell(who, password, settings.http.url)

    run_or_explain(run)


@login.command()
def reset(who: Who) -> None:
    """Give somebody a new password, print it once, and end all their logins.

    It must be changed at the next login. Their tokens stay good: see GET /api/v1/tokens.
    """

    def run() -> None:
        from api.login_commands import reset_password
        from api.settings import read_settings

        settings = read_settings(os.environ)
        password = reset_password(settings.data_dir, who, utc_now())
        _tell(who, password, settings.http.url)

    run_or_explain(run)


@login.command("list")
def list_(
    who: Annotated[str, typer.Argument(help="Only this one; if not given: everybody.")] = "",
) -> None:
    """Say who is logged in, since when, and from where."""

    def run() -> None:
        from api.login_commands import logged_in
        from api.settings import read_settings

        for each in logged_in(read_settings(os.environ).data_dir, who, utc_now()):
            since, until = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (each.began_at, each.ends_at))
            typer.echo(f"{each.who}  {since}  until {until}  {each.address}")

    run_or_explain(run)


@login.command()
def end(who: Who) -> None:
    """End all logins of somebody, now. They may log in again."""

    def run() -> None:
        from api.login_commands import end_logins
        from api.settings import read_settings

        ended = end_logins(read_settings(os.environ).data_dir, who, utc_now())
        typer.echo(f"{who}: {ended} ended")

    run_or_explain(run)


def _tell(who: str, password: str, url: str) -> None:
    """Print the password alone where a program reads it, and what to do with it beside."""
    typer.echo(f"{who} logs in at {url}/login with this, and must then change it:", err=True)
    typer.echo(password)
