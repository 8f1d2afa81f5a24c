"""The first step and every renewal: authority, certificate, logins of our own programs.

It may be run again at any time: it makes what is missing or about to end, and leaves the rest.
The passwords of our own programs are files in the folder of secrets, which the service reads
at its start; the broker is given their hashes. Remove such a file, and the next run makes
another password.
"""

from datetime import datetime
from pathlib import Path

import msgspec
from pydantic import SecretStr

from api.credentials import book as books
from api.credentials import certificates, passwords
from api.credentials.book import Book
from api.credentials.folder import ACCESS, BrokerFolder, replace
from api.credentials.logins import OURS, SERVICE, SIMULATOR, CredentialsWrong
from api.credentials.rights import access_file
from api.credentials.server_certificate import (
    AUTHORITY,
    CERTIFICATE,
    Given,
    content_of,
    kept_valid,
    taken_over,
)
from api.settings import real_secret

SECRET_OF = {SERVICE: "chargewatch_broker__password", SIMULATOR: "simulator_password"}
"""Files in the folder of secrets; the first is the name of a setting."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    authority_dir: Path
    secrets_dir: Path
    hosts: tuple[str, ...] = ()
    simulated: tuple[str, ...] | None = None
    """Sites of the simulator; None: as it was."""
    given: Given | None = None


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """How it is now, and what of it is new."""

    hosts: tuple[str, ...]
    certificate_ends: datetime
    authority: str
    """SHA-256 of ca.crt; empty if there is none."""
    authority_ends: datetime | None
    secrets: tuple[str, ...]
    """The files that hold passwords."""
    made: tuple[str, ...]


def set_up(folder: BrokerFolder, wanted: Wanted, now: datetime) -> SetUp:
    """Make what is missing or about to end. Raises CredentialsWrong."""
    before = folder.read()
    if wanted.given is None:
        files = list(kept_valid(folder, wanted.authority_dir, wanted.hosts, now))
    else:
        files = list(taken_over(folder, wanted.given, wanted.hosts, now))
    book, logins = _own_logins(before, wanted, now)
    if logins or not (folder.path / ACCESS).exists():
        folder.write(book)
    elif (folder.path / ACCESS).read_bytes() != access_file(book.logins.values()).encode():
        folder.write(book)  # made by another version
        logins = ["rights"]
    server = (folder.path / CERTIFICATE).read_bytes()
    authority = content_of(folder.path / AUTHORITY)
    return SetUp(
        hosts=certificates.hosts_of(server),
        certificate_ends=certificates.ends_at(server),
        authority="" if authority is None else certificates.fingerprint(authority),
        authority_ends=None if authority is None else certificates.ends_at(authority),
        secrets=tuple(
            str(wanted.secrets_dir / SECRET_OF[each]) for each in OURS if book.active(each)
        ),
        made=(*files, *logins),
    )


def _own_logins(book: Book, wanted: Wanted, now: datetime) -> tuple[Book, list[str]]:
    """Give our own programs the passwords that lie in the folder of secrets."""
    made: list[str] = []
    for username in OURS:
        known = book.logins.get(username)
        sites = () if known is None else known.sites
        if username == SIMULATOR:
            if wanted.simulated is None and known is None:
                continue
            sites = sites if wanted.simulated is None else wanted.simulated
        password = _password(wanted.secrets_dir / SECRET_OF[username])
        hashed = book.hashes.get(username)
        if hashed is None or not passwords.fits(password, hashed):
            hashed = passwords.hashed(password)
        elif known is not None and known.sites == sites:
            continue
        book = books.ours(book, username, hashed, now, sites)
        made.append(f"login {username}")
    return book, made


def _password(path: Path) -> str:
    """Return the password in a file of the folder of secrets, making it if there is none."""
    try:
        if path.exists():
            said = path.read_text(encoding="utf-8").strip()
            real_secret(SecretStr(said))
            return said
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise CredentialsWrong(f"{path}: {error}") from error
    password = passwords.fresh_password()
    replace(path, password.encode())
    return password
