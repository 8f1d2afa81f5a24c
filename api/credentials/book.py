"""The book of logins: who has one, since when, and whose was taken away. Pure.

Each change returns a new book, or raises CredentialsWrong. What was revoked stays in it, so
that it does not come back by the next list that somebody imports.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from api.credentials.logins import BASE, OURS, ZIGBEE2MQTT, CredentialsWrong, Login, Speaker
from api.credentials.passwords import PasswordHash

LOGINS_MAX = 50_000
FORMAT = 1


class Book(msgspec.Struct, frozen=True):
    """All logins by username, and the broker's hashes; who has no hash cannot log in."""

    logins: Mapping[str, Login] = {}
    hashes: Mapping[str, PasswordHash] = {}

    def active(self, username: str) -> bool:
        login = self.logins.get(username)
        return login is not None and login.revoked_at is None


class Newcomer(msgspec.Struct, frozen=True):
    """Somebody who is to have a login."""

    speaker: Speaker
    hashed: PasswordHash
    again: bool = False
    """It may come back though it was revoked."""
    where: str = ""
    """The beginning of what is said against it: the line of a list."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    logins: tuple[Login, ...]


def added(book: Book, newcomers: Iterable[Newcomer], now: datetime) -> Book:
    """Give all of them a login, or none: every reason against it is told, a line each."""
    logins, hashes = dict(book.logins), dict(book.hashes)
    speaking = {
        each.speaks_for: each.username for each in logins.values() if each.revoked_at is None
    }
    wrong: list[str] = []
    for newcomer in newcomers:
        speaker = newcomer.speaker
        before = logins.get(speaker.username)
        has = speaking.get(speaker.speaks_for)
        if reason := _against(newcomer, before, has) or _over_others(speaker, speaking):
            wrong.append(f"{newcomer.where}{reason}")
            continue
        speaking[speaker.speaks_for] = speaker.username
        hashes[speaker.username] = newcomer.hashed
        logins[speaker.username] = Login(
            username=speaker.username,
            speaks_for=speaker.speaks_for,
            dialect=speaker.dialect,
            name=speaker.name,
            since=now,
        )
    if len(logins) > LOGINS_MAX:
        wrong.append(f"that would be {len(logins)} logins; there can be {LOGINS_MAX}")
    if wrong:
        raise CredentialsWrong("\n".join(wrong))
    return Book(logins, hashes)


def _against(newcomer: Newcomer, before: Login | None, has: str | None) -> str | None:
    """Return why somebody cannot have a login; `before` is that login, `has` another one."""
    speaker = newcomer.speaker
    if before is not None and before.revoked_at is None:
        if before.speaks_for != speaker.speaks_for:
            return f"{speaker.username!r} is the login of {before.speaks_for!r} already"
        return f"{speaker.speaks_for!r} has a login already: rotate it for a new password"
    if has is not None:
        return f"{speaker.speaks_for!r} has the login {has!r}: revoke that first"
    if before is not None and not newcomer.again:
        return (
            f"{speaker.speaks_for!r} was revoked at {before.revoked_at:%Y-%m-%d %H:%M} UTC;"
            " if it may come back: add --again"
        )
    return None


def _over_others(speaker: Speaker, speaking: Iterable[str]) -> str | None:
    """Say which other bridge would share its devices with a new one, if any."""
    if speaker.dialect != ZIGBEE2MQTT:
        return None
    below = f"{BASE}/"
    if speaker.speaks_for == BASE:
        other = next((each for each in speaking if each.startswith(below)), None)
    else:
        other = BASE if BASE in speaking else None
    return (
        other and f"{speaker.speaks_for!r} and {other!r} would speak for each other's devices"
    )


def ours(
    book: Book, username: str, known: PasswordHash, now: datetime, sites: tuple[str, ...] = ()
) -> Book:
    """Give one of our own programs its login, or another password."""
    if username not in OURS:
        raise CredentialsWrong(f"{username!r} is none of our own logins")
    before = book.logins.get(username)
    login = Login(
        username=username,
        speaks_for=username,
        sites=sites,
        since=before.since if before else now,
        renewed_at=now if before else None,
    )
    return _with(book, login, known)


def rotated(book: Book, who: str, known: PasswordHash, now: datetime) -> tuple[Book, Login]:
    """Give a login another password."""
    login = _device_login(book, who)
    if login.revoked_at is not None:
        raise CredentialsWrong(f"{who!r} was revoked; if it may come back: add --again")
    login = msgspec.structs.replace(login, renewed_at=now)
    return _with(book, login, known), login


def revoked(book: Book, who: str, now: datetime) -> tuple[Book, Login]:
    """Take a login away."""
    login = _device_login(book, who)
    if login.revoked_at is not None:
        raise CredentialsWrong(
            f"{who!r} was revoked already, at {login.revoked_at:%Y-%m-%d %H:%M} UTC"
        )
    login = msgspec.structs.replace(login, revoked_at=now)
    hashes = {name: known for name, known in book.hashes.items() if name != login.username}
    return Book({**book.logins, login.username: login}, hashes), login


def decoded(text: bytes, hashes: Mapping[str, PasswordHash]) -> Book:
    """Read the book from its file; raises CredentialsWrong."""
    try:
        file = msgspec.json.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CredentialsWrong(f"not a book of logins: {error}") from error
    if file.format != FORMAT:
        raise CredentialsWrong("written by a newer chargewatch")
    return Book({login.username: login for login in file.logins}, dict(hashes))


def encoded(book: Book) -> bytes:
    """Return the text of the book's file; there is no secret in it."""
    logins = tuple(book.logins[username] for username in sorted(book.logins))
    return msgspec.json.format(msgspec.json.encode(_File(FORMAT, logins)), indent=1) + b"\n"


def _with(book: Book, login: Login, known: PasswordHash) -> Book:
    return Book({**book.logins, login.username: login}, {**book.hashes, login.username: known})


def _device_login(book: Book, who: str) -> Login:
    """Return a login by its name or by whom it speaks for, preferably one in force."""
    named = [each for each in book.logins.values() if who in {each.username, each.speaks_for}]
    named.sort(key=lambda each: each.revoked_at is not None)
    if not named:
        raise CredentialsWrong(f"{who!r} has no login")
    if named[0].username in OURS:
        raise CredentialsWrong(
            f"{who!r} is our own: remove its password from the folder of secrets, and init"
            " makes another one"
        )
    return named[0]
