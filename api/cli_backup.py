"""The command line's words about backups."""

import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli_errors import run_or_explain
from ingest.clock import utc_now


def backup(
    file: Annotated[Path, typer.Argument(help="Where to; must not exist yet.")],
) -> None:
    """Put ledger, tokens, sites, policy and logins in one file, while the service goes on.

    Whoever reads it can log in: keep it as safe as a key. The history is not in it.
    """

    def run() -> None:
        from api.backup import backup as made
        from api.settings import read_settings

        manifest = made(read_settings(os.environ), file, utc_now())
        typer.echo(f"{file}: {', '.join(manifest.sha256)}")

    run_or_explain(run)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
) -> None:
    """Unpack a backup on a new machine, before the service's first start there."""

    def run() -> None:
        from api.backup import POLICY, SITES
        from api.backup import restore as unpacked
        from api.settings import read_settings

        data_dir = read_settings(os.environ).data_dir
        manifest = unpacked(file, data_dir)
        typer.echo(f"{data_dir}: {', '.join(manifest.sha256)}, as of {manifest.made_at}")
        for name, setting in ((SITES, "SITES_FILE"), (POLICY, "POLICY_FILE")):
            if name in manifest.sha256:
                typer.echo(f"CHARGEWATCH_{setting}={data_dir / name}")

    run_or_explain(run)
