"""What the commands about devices read from files and options, and how they answer."""

import grp
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import typer

from api.credentials import lists
from api.credentials.certificates import Pair
from api.credentials.folder import replace
from api.credentials.logins import SERVICE, CredentialsWrong
from api.credentials.overview import Overview, Shown
from api.credentials.reloading import reload_broker
from api.credentials.server_certificate import AUTHORITY, Given
from api.credentials.setting_up import SetUp
from api.settings import read_settings
from api.sites import read_sites
from ingest.clock import utc_now
from ingest.codecs import all_codecs
from ingest.registry import Device

HOW_TO_RELOAD = (
    "A running broker does not know it yet: sudo systemctl reload mosquitto, or where it runs"
    " in a container: docker compose kill --signal HUP mosquitto"
)


def folder_at(given: Path | None) -> Path:
    """Return the broker's folder: the one given, else that of the settings."""
    return given or read_settings(os.environ).data_dir / "broker"


def declared_devices() -> tuple[Device, ...] | None:
    """Return the devices of the sites file; None if the settings name none."""
    file = read_settings(os.environ).sites_file
    if file is None:
        return None
    return read_sites(file, [codec.name for codec in all_codecs()], utc_now().year).devices


def all_declared() -> tuple[Device, ...]:
    """Return the devices of the sites file; raises CredentialsWrong if there is none."""
    declared = declared_devices()
    if declared is None:
        raise CredentialsWrong("there is no sites file: set CHARGEWATCH_SITES_FILE")
    return declared


def given_certificate(
    certificate: Path | None, key: Path | None, authority: Path | None
) -> Given | None:
    """Return the certificate that was given to use, if any."""
    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("--certificate and --key go together")
    pair = Pair(_content(certificate), _content(key))
    return Given(pair, None if authority is None else _content(authority))


def group_number(group: str) -> int:
    """Return the number of a group that was named, or given as a number."""
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise CredentialsWrong(f"there is no group {group!r} on this machine") from None


def text_of(file: Path) -> str:
    """Return a list's text; raises CredentialsWrong."""
    try:
        return _content(file).decode("utf-8-sig")  # as spreadsheets write it
    except UnicodeDecodeError as error:
        raise CredentialsWrong(f"{file}: save it as UTF-8 ({error})") from error


def hand_out(
    told: Sequence[lists.Issued],
    out: Path | None,
    commit: Callable[[], None],
    *,
    json: bool = False,
) -> None:
    """Commit, and tell the passwords: nobody can tell them again.

    A file is written first: were it the last, a full disk would cost the passwords.
    """
    if out is not None:
        if out.exists():
            raise CredentialsWrong(f"{out} exists already; it is not written over")
        replace(out, lists.written(told).encode())
        try:
            commit()
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        return
    commit()
    for each in told:
        if json:
            print_json(each)
        else:
            typer.echo(f"username  {each.username}\npassword  {each.password}")
            typer.echo("The password is not shown again.", err=True)


def tell_broker(pid_file: Path | None) -> None:
    """Have the broker read its files again, or say how."""
    if pid_file is None:
        typer.echo(HOW_TO_RELOAD, err=True)
    else:
        typer.echo(f"told mosquitto (process {reload_broker(pid_file)})", err=True)


def print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def show_set_up(done: SetUp, folder: Path, secrets_dir: Path) -> None:
    """Say what was made, what every device needs, and what the service's settings are."""
    typer.echo(f"{folder}: {', '.join(done.made) or 'nothing to do'}")
    ends = done.certificate_ends
    typer.echo(f"certificate  for {', '.join(done.hosts)}; until {ends:%Y-%m-%d}")
    if done.authority_ends is not None:
        typer.echo(
            f"on devices   {folder / AUTHORITY}; until {done.authority_ends:%Y-%m-%d}\n"
            f"             SHA-256 {done.authority}"
        )
    typer.echo(f"secrets      {', '.join(done.secrets)}\nsettings of the service:")
    for line in (f"BROKER__USERNAME={SERVICE}", f"SECRETS_DIR={secrets_dir}"):
        typer.echo(f"CHARGEWATCH_{line}")


def show(found: Overview) -> None:
    """Print who has a login, a line each, and what is amiss; no name is cut short."""
    wide = max((len(each.username) for each in found.logins), default=0)
    for each in found.logins:
        typer.echo(f"{each.username:<{wide}}  {_in_words(each)}")
    for words, names in (
        ("declared, and without a login", found.without),
        ("in the broker's password file, and not by us", found.strangers),
    ):
        if names:
            typer.echo(f"{words}: {', '.join(names)}")


def _in_words(login: Shown) -> str:
    changed = login.revoked_at or login.renewed_at or login.since
    words = [f"{login.state:<11} {changed:%Y-%m-%d}"]
    if login.speaks_for != login.username:
        words.append(f"for {login.speaks_for}")
    if login.declared is False and login.revoked_at is None:
        words.append("not declared")
    return ", ".join(words)


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > lists.LIST_BYTES_MAX:
            raise CredentialsWrong(f"{file}: larger than {lists.LIST_BYTES_MAX >> 20} MiB")
        return file.read_bytes()
    except OSError as error:
        raise CredentialsWrong(f"{file}: {error.strerror}") from error
