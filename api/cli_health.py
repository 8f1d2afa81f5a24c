"""The command line's word on whether a running service is well: for containers and units."""

import http.client
import ipaddress
import os
from typing import Annotated

import msgspec
import typer

from api.cli_errors import run_or_explain

ANSWER_WITHIN_S = 5.0
ANSWER_BYTES_MAX = 64 * 1024
READY = "/health/ready"


class _Part(msgspec.Struct):
    name: str
    ok: bool
    reason: str = ""


class _Ready(msgspec.Struct):
    ready: bool
    parts: list[_Part]


def health(
    *,
    quiet: Annotated[bool, typer.Option(help="Say nothing if all is well.")] = False,
) -> None:
    """Ask the service of this machine whether it is ready, and say what is not well.

    Ends with status 0 if it is ready, 1 if it is not or does not answer. What only limps, such
    as the history, is said and does not count.
    """

    def run() -> None:
        from api.settings import read_settings

        http_settings = read_settings(os.environ).http
        try:
            answer = _asked(_reached_at(http_settings.host), http_settings.port)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            typer.echo(f"chargewatch: the service does not answer: {error}", err=True)
            raise typer.Exit(1) from None
        for part in answer.parts:
            if not part.ok:
                typer.echo(f"{part.name}: {part.reason}", err=True)
        if not answer.ready:
            raise typer.Exit(1)
        if not quiet:
            typer.echo("ready")

    run_or_explain(run)


def _asked(host: str, port: int) -> _Ready:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", READY)
        answer = connection.getresponse().read(ANSWER_BYTES_MAX)
    finally:
        connection.close()
    return msgspec.json.decode(answer, type=_Ready)


def _reached_at(host: str) -> str:
    """Return where to knock: a service that listens everywhere listens on the loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host  # a name
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004  (IPv4)
