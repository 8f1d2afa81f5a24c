"""What the command line does about people, on the ledger's file, beside the service or not."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from api.channels.ways import Ways
from api.http.access import Caller, Right
from api.passwords import Passwords, generated
from api.people.addresses import ON_THE_WEB, check_where_it_leads
from api.people.file import PeopleFile, read_people_file
from api.people.keeping import By, Done, give_password, put
from api.people.parts import RoutePart
from api.people.wrong import Conflict, Wrong
from api.people.wrong import Path as KeyPath
from api.settings import Settings
from api.sites import read_sites
from api.text import Texts
from ingest.clock import utc_now
from ingest.codecs import all_codecs
from ingest.errors import ChargewatchError
from ingest.ledger.people import Kept, people_with_passwords, read_kept
from ingest.ledger.store import open_ledger
from ingest.people import Person, Way

LEDGER = "ledger.sqlite"

T = TypeVar("T")


class _OnlyLooked(ChargewatchError):
    """Nothing is to be written after all."""


class Imported(msgspec.Struct, frozen=True):
    """What a file has changed, and the passwords that people were given."""

    done: tuple[Done, ...]
    passwords: dict[str, str]


def import_people(
    settings: Settings, file: Path, now: datetime, *, dry_run: bool, passwords: bool
) -> Imported:
    """Keep what a file declares: all of it, or nothing. Raises PeopleFileWrong.

    What it does not name stays. With `passwords` everybody in it who has none is given one.
    """
    read = read_people_file(file)
    _check_addresses(read, settings)
    by = _by(settings, now)
    done: list[Done] = []

    def write(c: sa.Connection) -> None:
        done[:] = _kept(c, read, by)
        if dry_run:
            raise _OnlyLooked

    try:
        _in_ledger(settings.data_dir, write)
    except _OnlyLooked:
        return Imported(tuple(done), {})
    entered = [each.entry for each in done if isinstance(each.entry, Person)]
    given = _given(settings.data_dir, entered, by) if passwords else {}
    return Imported(tuple(done), given)


def people_kept(settings: Settings) -> tuple[Kept, frozenset[str]]:
    """Return all there are, and who of them has a password."""
    return _in_ledger(settings.data_dir, lambda c: (read_kept(c), people_with_passwords(c)))


def _kept(c: sa.Connection, read: PeopleFile, by: By) -> list[Done]:
    done: list[Done] = []
    mistakes: list[tuple[KeyPath, str]] = []
    say = Texts.of("en")
    for each in read.declared:
        if mistakes and mistakes[0][0][0] != each.kind:
            break  # posts and routes name what is wrong: more would be said than is amiss
        path = (each.kind, each.id)
        try:
            done.append(put(c, each.id, each.part, by))
        except Wrong as error:
            mistakes += [((*path, *one.path), one.words(say)) for one in error.complaints]
        except Conflict as error:
            mistakes.append((path, str(error)))
    if mistakes:
        raise read.refused(mistakes)
    return done


def _given(data_dir: Path, people: Iterable[Person], by: By) -> dict[str, str]:
    """Give a password to all who have none; hashes are made before anything is locked."""
    have = _in_ledger(data_dir, people_with_passwords)
    made = {each.id: generated() for each in people if each.active and each.id not in have}
    hashing = Passwords()
    hashed = {number: hashing.made(password) for number, password in made.items()}

    def write(c: sa.Connection) -> None:
        for number, each in hashed.items():
            give_password(c, number, each, by.now, by)

    _in_ledger(data_dir, write)
    return made


def _check_addresses(read: PeopleFile, settings: Settings) -> None:
    addresses = [
        ((each.kind, each.id, "ways", n), Way(via=way.via, address=way.address))
        for each in read.declared
        if not isinstance(each.part, RoutePart)
        for n, way in enumerate(each.part.ways)
        if way.address and way.via in ON_THE_WEB
    ]
    guard = Ways(settings=settings, now=utc_now).guard
    found = asyncio.run(check_where_it_leads(addresses, guard))
    if found:
        say = Texts.of("en")
        raise read.refused((each.path, each.words(say)) for each in found)


def _by(settings: Settings, now: datetime) -> By:
    areas: frozenset[str] = frozenset()
    if settings.sites_file is not None:  # the service may never have been started yet
        dialects = [codec.name for codec in all_codecs()]
        declared = read_sites(settings.sites_file, dialects, now.year)
        areas = frozenset(area.id for area in declared.areas)
    caller = Caller(name="chargewatch", rights=frozenset(Right), via="command")
    private = settings.outgoing.allow_private is True
    return By(caller=caller, now=now, areas=areas, private=private)


def _in_ledger(data_dir: Path, work: Callable[[sa.Connection], T]) -> T:
    with closing(open_ledger(data_dir / LEDGER)) as ledger:
        return asyncio.run(ledger.write(work))
