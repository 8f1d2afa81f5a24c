"""The broker's certificate in its place: made, renewed before it ends, or taken over.

The authority's key lies in a folder of its own, which the broker never sees. Once there is an
authority it is never replaced: every device would have to be visited.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from api.credentials import certificates
from api.credentials.certificates import Pair
from api.credentials.folder import BrokerFolder, replace
from api.credentials.logins import CredentialsWrong

AUTHORITY, CERTIFICATE, KEY = "ca.crt", "server.crt", "server.key"
"""In the broker's folder."""
AUTHORITY_KEY = "ca.key"


class Given(msgspec.Struct, frozen=True):
    """A certificate that somebody else has made."""

    pair: Pair
    authority: bytes | None = None
    """Whom devices are to trust; None: somebody whom they know already."""


def taken_over(
    folder: BrokerFolder, given: Given, hosts: Iterable[str], now: datetime
) -> Iterator[str]:
    """Put somebody else's certificate in place once it is known to be of use.

    Yields the files that were changed.
    """
    if not certificates.belong_together(given.pair):
        raise CredentialsWrong("the private key is not that of the certificate")
    if certificates.ends_at(given.pair.certificate) <= now:
        raise CredentialsWrong("the certificate has ended")
    if missing := certificates.not_covered(given.pair.certificate, hosts):
        raise CredentialsWrong(f"the certificate is not for {', '.join(missing)}")
    files = {KEY: given.pair.key, CERTIFICATE: given.pair.certificate}
    if given.authority is not None:
        certificates.loaded(given.authority)
        files[AUTHORITY] = given.authority
    for name, content in files.items():
        if content_of(folder.path / name) != content:
            folder.put(name, content)
            yield name


def kept_valid(
    folder: BrokerFolder, authority_dir: Path, hosts: Iterable[str], now: datetime
) -> Iterator[str]:
    """Make the certificate if there is none, it lacks a name or is about to end.

    Yields the files that were changed. A certificate of somebody else's, or by an authority
    whose key is not here, is left alone: who has the key renews it.
    """
    server = _pair(folder.path / CERTIFICATE, folder.path / KEY)
    authority = _pair(folder.path / AUTHORITY, authority_dir / AUTHORITY_KEY)
    has_authority = (folder.path / AUTHORITY).exists()
    missing = certificates.not_covered(server.certificate, hosts) if server else list(hosts)
    if not has_authority and (authority_dir / AUTHORITY_KEY).exists():
        raise CredentialsWrong(
            f"{folder.path / AUTHORITY} is missing, though its key is there: put it back from a"
            " backup. Without it every device needs another one; if so, remove the key"
        )
    if not has_authority and server is None:
        yield from _made(folder, _new_authority(folder, authority_dir, now), hosts, now)
        yield AUTHORITY
    elif authority is None or (
        server is not None and not certificates.is_by(server.certificate, authority.certificate)
    ):
        if server is None or missing:
            raise CredentialsWrong(
                f"{authority_dir / AUTHORITY_KEY}: without the key of the authority no other"
                f" certificate can be made{' for ' + ', '.join(missing) if missing else ''}"
            )
    elif (
        server is None
        or missing
        or certificates.ends_at(server.certificate) - certificates.RENEW_BEFORE <= now
    ):
        had = certificates.hosts_of(server.certificate) if server else ()
        yield from _made(folder, authority, (*hosts, *had), now)


def content_of(path: Path) -> bytes | None:
    """Return what is in a file; None if it is not there."""
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise CredentialsWrong(f"{path}: {error.strerror}") from error


def _new_authority(folder: BrokerFolder, authority_dir: Path, now: datetime) -> Pair:
    authority = certificates.new_authority(now)
    try:
        authority_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CredentialsWrong(f"{authority_dir}: {error.strerror}") from error
    replace(authority_dir / AUTHORITY_KEY, authority.key)
    folder.put(AUTHORITY, authority.certificate)
    return authority


def _made(
    folder: BrokerFolder, authority: Pair, hosts: Iterable[str], now: datetime
) -> Iterator[str]:
    server = certificates.new_server(authority, hosts, now)
    folder.put(KEY, server.key)
    folder.put(CERTIFICATE, server.certificate)
    yield CERTIFICATE


def _pair(certificate: Path, key: Path) -> Pair | None:
    """Return certificate and key if both are there and fit each other."""
    found, found_key = content_of(certificate), content_of(key)
    if found is None or found_key is None:
        return None
    pair = Pair(found, found_key)
    return pair if certificates.belong_together(pair) else None
