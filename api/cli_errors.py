"""What went wrong on the command line, in words: a sentence and status 2."""

from collections.abc import Callable, Iterator

import typer
from pydantic_core import ValidationError

from ingest.errors import ChargewatchError


def run_or_explain(run: Callable[[], object]) -> None:
    """Turn what a user can mend into a sentence and status 2; our own faults stay loud.

    (A pydantic ValidationError, from the settings, is a ValueError; so is a bad address.)
    """
    try:
        run()
    except* (ChargewatchError, ValueError) as errors:
        for error in _leaves(errors):
            typer.echo(f"chargewatch: {in_words(error)}", err=True)
        raise typer.Exit(2) from None


def in_words(error: BaseException) -> str:
    """Say which setting is wrong and why; everything else says so itself."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"CHARGEWATCH_{'__'.join(map(str, each['loc'])).upper()}: {each['msg']}"
        for each in error.errors(include_url=False)
    )


def _leaves(errors: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
