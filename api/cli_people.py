"""The command line's words about people, posts and routes."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_errors import run_or_explain
from ingest.clock import utc_now

if TYPE_CHECKING:
    from api.people.commands import Imported
    from ingest.ledger.people import Kept

people = typer.Typer(
    name="people",
    help="People, duty posts and routes: who is told of which alarm (docs/people.md).\n\n"
    "Each of these works while the service runs, and without it.",
    no_args_is_help=True,
)


@people.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A TOML file that declares them.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be changed.")
    ] = False,
    passwords: Annotated[
        bool,
        typer.Option(
            "--passwords", help="Give everybody in it who has no password one, and print it."
        ),
    ] = False,
) -> None:
    """Take over people, posts and routes from a file: all of it, or with any mistake nothing.

    What the file does not name stays as it is. A way without an address, or without a secret,
    keeps what is known.
    """

    def run() -> None:
        from api.people.commands import import_people
        from api.settings import read_settings

        settings = read_settings(os.environ)
        made = import_people(settings, file, utc_now(), dry_run=dry_run, passwords=passwords)
        for line in _changes(made):
            typer.echo(line, err=True)
        for who, password in made.passwords.items():
            typer.echo(f"{who}  {password}")

    run_or_explain(run)


@people.command("list")
def list_() -> None:
    """Print who there is: people, posts and routes. No secret is shown."""

    def run() -> None:
        from api.people.commands import people_kept
        from api.settings import read_settings

        kept, with_password = people_kept(read_settings(os.environ))
        for line in _lines(kept, with_password):
            typer.echo(line)

    run_or_explain(run)


def _changes(made: "Imported") -> Iterator[str]:
    changed = [each for each in made.done if each.changed]
    for each in changed:
        kind = type(each.entry).__name__.lower()
        yield f"{kind} {each.entry.id}: {'new' if each.was is None else 'changed'}"
    yield f"{len(changed)} of {len(made.done)} are new or changed"


def _lines(kept: "Kept", with_password: frozenset[str]) -> Iterator[str]:
    for person in kept.people.values():
        login = "password" if person.id in with_password else "no password"
        yield _line(
            f"person:{person.id}",
            person.name,
            person.role,
            _listed(person.areas),
            _listed(way.via for way in person.ways),
            login,
            "" if person.active else "inactive",
        )
    for post in kept.posts.values():
        ways = _listed(way.via for way in post.ways)
        closed = "" if post.active else "inactive"
        yield _line(f"post:{post.id}", post.name.zh, post.name.en, post.area, ways, closed)
    for route in kept.routes.values():
        tiers = " → ".join(" ".join(tier) for tier in route.tiers)
        off = "" if route.active else "inactive"
        areas = _listed(route.areas)
        yield _line(f"route:{route.id}", areas, route.severity, tiers, off)


def _line(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _listed(words: Iterable[str]) -> str:
    return ",".join(sorted(words)) or "-"
