"""The command line's words about rules: what there is, and what is in force where."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console

from api.cli_errors import run_or_explain

rules = typer.Typer(
    name="rules",
    help="Show the rules, and which limits are in force where.",
    no_args_is_help=True,
)

Language = Annotated[
    Literal["zh", "en"] | None,
    typer.Option(help="If not given: that of LANG, else CHARGEWATCH_LANGUAGE."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SitesFile = Annotated[
    Path | None, typer.Option("--sites", help="A sites file; if not given: the settings'.")
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="A policy file; if not given: the settings'.")
]


@rules.command("list")
def list_rules(*, language: Language = None, json: AsJson = False) -> None:
    """Print every rule: its name, how loud it is, and where its limits come from."""

    def run() -> None:
        from api.rules_shown import catalogue
        from api.rules_tables import catalogue_table, texts_for
        from api.settings import read_settings

        say = texts_for(language, os.environ, read_settings(os.environ).language)
        found = catalogue(say)
        if json:
            _print_json({"rules": found})
        else:
            Console().print(catalogue_table(found, say))

    run_or_explain(run)


@rules.command()
def explain(  # noqa: PLR0913  (a command line is as wide as its options)
    *,
    site: Annotated[str, typer.Option(help="The site, area/site.")],
    device: Annotated[
        str | None, typer.Option(help="A device there: its id, or the last part of it.")
    ] = None,
    sites: SitesFile = None,
    policy: PolicyFile = None,
    language: Language = None,
    json: AsJson = False,
) -> None:
    """Print every value in force for a site, or a device and its sockets, and who set it."""

    def run() -> None:
        from api.rules_shown import in_force
        from api.rules_tables import in_force_tables, texts_for
        from api.settings import read_settings

        settings = read_settings(os.environ)
        found = in_force(
            site, device, sites or settings.sites_file, policy or settings.policy_file
        )
        if json:
            _print_json(found)
        else:
            say = texts_for(language, os.environ, settings.language)
            for shown in in_force_tables(found, say):
                Console().print(shown)

    run_or_explain(run)


def check_policy(
    file: Annotated[Path, typer.Argument(help="A policy file (docs/policy.md).")],
    *,
    sites: SitesFile = None,
) -> None:
    """Check a policy file: every mistake in it, and limits for places that nobody knows."""

    def run() -> None:
        from api.policy_file import nowhere, read_policies
        from api.rules_shown import declared_places
        from api.settings import read_settings
        from rules.policies import BUILT_IN_LAYER

        policies = read_policies(file)
        said = [layer for layer, _, _ in policies.settings() if layer != BUILT_IN_LAYER]
        typer.echo(f"{file}: {len(said)} values in {len(set(said))} layers")
        sites_file = sites or read_settings(os.environ).sites_file
        if sites_file is not None:
            for words in nowhere(policies, declared_places(sites_file)):
                typer.echo(f"warning: {words}")

    run_or_explain(run)


def _print_json(found: object) -> None:
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
