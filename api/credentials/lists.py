"""Lists of those who are to have a login, as CSV: many at once, all of them or none.

The first line names the columns: `id`, and if needed `dialect`, `name` and `hash` (a hash of
Mosquitto's that the device's password has already). Others are passed over.
"""

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from api.credentials.book import LOGINS_MAX, Book, Newcomer
from api.credentials.logins import (
    NATIVE,
    ZIGBEE2MQTT,
    CredentialsWrong,
    Speaker,
    speaker,
)
from api.credentials.passwords import PasswordFileWrong, checked_hash, fresh_password, hashed
from ingest.registry import Device

LIST_BYTES_MAX = 16 * 1024 * 1024
ERRORS_MAX = 50


class Issued(msgspec.Struct, frozen=True):
    """A login with its password, to be told once."""

    speaks_for: str
    username: str
    password: str


def invited(who: Speaker, *, again: bool = False, where: str = "") -> tuple[Newcomer, Issued]:
    """Make a password for somebody who is to have a login."""
    password = fresh_password()
    newcomer = Newcomer(who, hashed(password), again, where)
    return newcomer, Issued(who.speaks_for, who.username, password)


def read(text: str) -> tuple[list[Newcomer], list[Issued]]:
    """Read a list, making the passwords for it; raises CredentialsWrong with all wrong lines.

    Whose hash was given has a password already: there is nothing to tell.
    """
    newcomers: list[Newcomer] = []
    told: list[Issued] = []
    wrong: list[str] = []
    for number, row in _rows(text):
        where = f"line {number}: "
        try:
            who = speaker(row["id"], row.get("dialect") or NATIVE, row.get("name") or None)
            if known := row.get("hash"):
                newcomers.append(Newcomer(who, checked_hash(known), where=where))
            else:
                newcomer, one = invited(who, where=where)
                newcomers.append(newcomer)
                told.append(one)
        except (CredentialsWrong, PasswordFileWrong) as error:
            wrong.append(f"{where}{error}")
    if wrong:
        more = len(wrong) - ERRORS_MAX
        raise CredentialsWrong(
            "\n".join((*wrong[:ERRORS_MAX], *([f"and {more} more"] if more > 0 else [])))
        )
    return newcomers, told


def written(all_issued: Iterable[Issued]) -> str:
    """Return logins and passwords as CSV."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(("id", "username", "password"))
    lines.writerows((each.speaks_for, each.username, each.password) for each in all_issued)
    return out.getvalue()


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines that are not empty, by column, each with its number."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    try:
        for row in lines:
            values = [value.strip() for value in row]
            if not any(values):
                continue
            if columns is None:
                columns = values
                if columns.count("id") != 1:
                    raise CredentialsWrong(
                        "line 1: the first line names the columns: id,dialect,name,hash"
                    )
                continue
            if len(values) != len(columns):
                raise CredentialsWrong(
                    f"line {lines.line_num}: {len(values)} values for {len(columns)} columns"
                )
            if lines.line_num > LOGINS_MAX:
                raise CredentialsWrong(f"more than {LOGINS_MAX} lines")
            yield lines.line_num, dict(zip(columns, values, strict=True))
    except csv.Error as error:
        raise CredentialsWrong(f"line {lines.line_num}: {error}") from error
    if columns is None:
        raise CredentialsWrong("the list is empty")


def declared_speaker(
    who: str, dialect: str | None, name: str | None, declared: Iterable[Device]
) -> Speaker:
    """Return whom a login is for, by the sites file where that knows the device."""
    known = next((each for each in declared if each.id == who), None)
    if known is None:
        return speaker(who, dialect or NATIVE, name)
    if dialect not in {None, known.dialect}:
        raise CredentialsWrong(f"{who!r}: the sites file says that it speaks {known.dialect}")
    if name not in {None, known.name}:
        raise CredentialsWrong(f"{who!r}: the sites file says that it is called {known.name!r}")
    return speaker(who, known.dialect, None if known.dialect == ZIGBEE2MQTT else known.name)


def for_declared(book: Book, declared: Iterable[Device]) -> tuple[list[Newcomer], list[Issued]]:
    """Make passwords for the declared devices that never had a login.

    Those behind a Zigbee2MQTT bridge need none: the bridge has it.
    """
    speakers = (
        speaker(each.id, each.dialect, each.name)
        for each in declared
        if each.dialect != ZIGBEE2MQTT
    )
    made = [invited(each) for each in speakers if each.username not in book.logins]
    return [newcomer for newcomer, _ in made], [told for _, told in made]


def without_known(
    book: Book, newcomers: Iterable[Newcomer], told: Iterable[Issued]
) -> tuple[list[Newcomer], list[Issued]]:
    """Leave out who has, or once had, a login."""
    return (
        [each for each in newcomers if each.speaker.username not in book.logins],
        [each for each in told if each.username not in book.logins],
    )
