"""Who is let in, how fast one may try, and how a password is changed.

Whoever guesses waits, by address and by name. A stranger who guesses somebody's password makes
other strangers wait, and never the owner at a place where they logged in before; from anywhere
else they are let in after the pause, which is a minute at most. An unknown name takes as
long as a known one and gets the same words.
"""

from datetime import timedelta

import msgspec
import sqlalchemy as sa
import structlog

from api.http.access import Access, Caller
from api.http.sessions import ADDRESS_CHARS_MAX, Session, Sessions
from api.http.throttle import (
    ACCOUNT_BACK_OFF_S_MAX,
    Buckets,
    Monotonic,
    Rate,
    Throttle,
    network_of,
)
from api.passwords import Passwords, weakness
from api.watch import Watch
from ingest.clock import Now
from ingest.errors import ChargewatchError
from ingest.ledger import tables
from ingest.ledger.audit import Audited, append_audit
from ingest.ledger.logins import Secret, read_secret, write_rehashed, write_secret
from ingest.people import Person

NAME_CHARS_MAX = 100
UNKNOWN = "?"
"""Goes into the log of deeds for a name that nobody has: it may be a mistyped password."""
REFUSED_WRITTEN = Rate(60, 0.1)
"""Strangers cannot fill the disk: what is beyond this is counted."""
PLACES_KNOWN = timedelta(days=90)
PLACES_LOOKED_AT = 200

log = structlog.get_logger("api.http")


class Wait(ChargewatchError):
    """Too many tries."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many tries; wait {seconds:.0f} s")
        self.seconds = seconds


class PasswordRefused(ChargewatchError):
    """A password was not changed; why is a word of the catalogue, `ui.password.{reason}`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the password was not changed: {reason}")
        self.reason = reason


class Door:
    """Lets people in by name and password, and programs' people by an operator's token."""

    def __init__(  # noqa: PLR0913  (what a door needs)
        self,
        watch: Watch,
        access: Access,
        sessions: Sessions,
        *,
        passwords: Passwords,
        monotonic_s: Monotonic,
        wall: Now,
    ) -> None:
        self._watch, self._access, self._sessions = watch, access, sessions
        self._passwords, self._wall = passwords, wall
        self._addresses = Throttle(monotonic_s)
        self._accounts = Throttle(monotonic_s, ACCOUNT_BACK_OFF_S_MAX)
        self._writing = Buckets(REFUSED_WRITTEN, monotonic_s)
        self._unwritten = 0

    @property
    def wall(self) -> Now:
        """The time of people."""
        return self._wall

    async def hashed(self, password: str) -> str:
        """Return what is kept of a password. Raises HashingBusy."""
        return await self._passwords.hashed(password)

    async def by_token(self, token: str, address: str) -> Session | None:
        """Begin a session for the holder of an operator's token; None: there is no such.

        Raises Wait.
        """
        place = network_of(address)
        if wait_s := self._addresses.wait_s(place):
            raise Wait(wait_s)
        caller = self._access.of_operator(token.strip())
        if caller is None:
            self._addresses.failed(place)
            await self._refused(UNKNOWN, address)
            return None
        self._addresses.succeeded(place)
        return await self._begun(caller, address)

    async def by_password(self, name: str, password: str, address: str) -> Session | None:
        """Begin a session for a person; None: name or password is not right.

        Raises Wait, or HashingBusy.
        """
        who, place = name.strip().casefold()[:NAME_CHARS_MAX], network_of(address)
        if wait_s := self._addresses.wait_s(place):
            raise Wait(wait_s)
        self._addresses.failed(place)  # until it is known better: many may try at once
        wait_s = self._accounts.wait_s(who)
        if wait_s and not await self._was_here(who, place):
            raise Wait(wait_s)
        self._accounts.failed(who)
        person, secret = await self._kept(who)
        hashed = "" if secret is None else secret.hash
        fits = await self._passwords.fits(hashed, password)
        if person is None or secret is None or not (fits and person.active):
            await self._refused(UNKNOWN if person is None else person.id, address)
            return None
        self._addresses.succeeded(place)
        self._accounts.succeeded(who)
        if self._passwords.is_old(hashed):
            anew = await self._passwords.hashed(password)
            await self._watch.ledger.write(lambda c: write_rehashed(c, who, hashed, anew))
        session = await self._begun(Caller.of_person(person), address)
        return msgspec.structs.replace(session, must_change=secret.must_change)

    async def change_password(
        self, session: Session, old: str, new: str, address: str
    ) -> Session:
        """Give the caller another password, end all their logins, and begin a new one.

        Raises PasswordRefused, Wait or HashingBusy.
        """
        who = session.caller.person
        person, secret = await self._kept(who)
        if not who or person is None or secret is None:
            raise PasswordRefused("none")
        key = f"change {who}"
        if wait_s := self._accounts.wait_s(key):
            raise Wait(wait_s)
        self._accounts.failed(key)
        if not await self._passwords.fits(secret.hash, old):
            raise PasswordRefused("wrong")
        self._accounts.succeeded(key)
        if weak := weakness(new, (person.id, person.name)):
            raise PasswordRefused(weak)
        if await self._passwords.fits(secret.hash, new):
            raise PasswordRefused("same")
        hashed = await self._passwords.hashed(new)
        deed = session.caller.deed("password.changed", self._watch.now(), about=who)
        at = self._wall()

        def write(c: sa.Connection) -> None:
            write_secret(c, who, hashed, at, must_change=False)
            append_audit(c, deed)

        await self._watch.ledger.write(write)
        return await self._begun(session.caller, address)

    async def _begun(self, caller: Caller, address: str) -> Session:
        log.info("login.begun", who=caller.name, address=address)
        return await self._sessions.begin(caller, address)

    async def _kept(self, who: str) -> tuple[Person | None, Secret | None]:
        """Return what is kept of somebody; one whom a command has just made becomes known."""
        watch = self._watch
        secret = await watch.ledger.read(lambda c: read_secret(c, who))
        if secret is not None and who not in watch.directory.people:
            await watch.people.refresh()
        return watch.directory.people.get(who), secret

    async def _was_here(self, who: str, place: str) -> bool:
        """Say whether somebody has logged in from here before."""
        line, since = tables.audit.c, self._watch.now() - PLACES_KNOWN
        asked = (
            sa.select(line.detail)
            .where(line.who == who, line.what == "login.begun", line.at > since)
            .order_by(line.id.desc())
            .limit(PLACES_LOOKED_AT)
        )
        addresses = await self._watch.ledger.read(lambda c: set(c.scalars(asked)))
        return any(network_of(address) == place for address in addresses)

    async def _refused(self, who: str, address: str) -> None:
        log.warning("login.refused", who=who, address=address)
        if self._writing.wait_s(""):
            self._unwritten += 1
            return
        more = f" (+{self._unwritten})" if self._unwritten else ""
        self._unwritten = 0
        deed = Audited(
            at=self._watch.now(),
            who=who,
            via="console",
            what="login.refused",
            detail=address[:ADDRESS_CHARS_MAX] + more,
        )
        await self._watch.ledger.write(lambda c: append_audit(c, deed))
