"""Instants on the command line."""

from datetime import datetime

import typer


def instant(text: str, option: str) -> datetime:
    """Read an ISO instant. It must say its offset: guessing a zone shifts a whole night."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no ISO instant", param_hint=option) from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text} has no offset; write {text}+08:00", param_hint=option)
    return moment
