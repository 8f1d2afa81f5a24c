"""Logins of the console: random ids, of which the ledger keeps the digest.

What somebody may do is never kept with them: it is looked up at every request. A restart logs
nobody out; a change of role or areas does.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from api.http.access import Access, Caller, digest_of
from ingest.clock import Now
from ingest.ledger.audit import append_audit
from ingest.ledger.logins import Login, end_login, find_login, logins_of, write_login
from ingest.ledger.store import Ledger
from ingest.people import Directory

SESSION_S = 12 * 3_600.0
ID_BYTES = 32
BY_TOKEN = "token:"  # noqa: S105  (how one is named, and no secret)
ADDRESS_CHARS_MAX = 64


class Session(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """What the browser holds."""
    caller: Caller
    csrf: str
    """Must come with every post of this session."""
    must_change: bool = False
    """They may do nothing before they have chosen a password of their own."""

    def allows(self, csrf: str) -> bool:
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "replace"))

    @property
    def digest(self) -> bytes:
        return digest_of(self.id)

    def __repr__(self) -> str:
        return f"Session({self.caller.name!r})"


class Sessions:
    """Who is logged in. `wall` is the time of people: the demo's runs faster."""

    def __init__(
        self, ledger: Ledger, access: Access, directory: Directory, now: Now, wall: Now
    ) -> None:
        self._ledger, self._access, self._directory = ledger, access, directory
        self._now, self._wall = now, wall

    async def begin(self, caller: Caller, address: str) -> Session:
        """Log somebody in, under an id that nobody has ever seen."""
        caller = replace(caller, via="console")
        session = Session(
            id=secrets.token_urlsafe(ID_BYTES), caller=caller, csrf=secrets.token_urlsafe(32)
        )
        wall = self._wall()
        login = Login(
            digest=session.digest,
            who=_who(caller),
            csrf=session.csrf,
            began_at=wall,
            ends_at=wall + timedelta(seconds=SESSION_S),
            address=address[:ADDRESS_CHARS_MAX],
            standing=_standing(caller),
        )
        deed = caller.deed("login.begun", self._now(), detail=login.address)

        def write(c: Connection) -> None:
            write_login(c, login)
            append_audit(c, deed)

        await self._ledger.write(write)
        return session

    async def find(self, number: str | None) -> Session | None:
        """Return a session that is not over, with what its caller may do now."""
        if not number:
            return None
        digest = digest_of(number)
        found = await self._ledger.read(lambda c: find_login(c, digest))
        if found is None:
            return None
        login, must_change = found
        caller = self._caller(login.who)
        over = login.ends_at <= self._wall()
        if over or caller is None or _standing(caller) != login.standing:
            await self._ledger.write(lambda c: end_login(c, login.who, digest))
            return None
        return Session(id=number, caller=caller, csrf=login.csrf, must_change=must_change)

    async def end(self, session: Session, digest: bytes | None = None) -> bool:
        """End a login of the session's caller: this one, or another of theirs."""
        caller = session.caller
        deed = caller.deed("login.ended", self._now())

        def write(c: Connection) -> bool:
            ended = end_login(c, _who(caller), digest or session.digest)
            if ended:
                append_audit(c, deed)
            return ended

        return await self._ledger.write(write)

    async def of(self, caller: Caller) -> list[Login]:
        """Return where somebody is logged in, the newest first."""
        wall = self._wall()
        return await self._ledger.read(lambda c: logins_of(c, _who(caller), wall))

    def _caller(self, who: str) -> Caller | None:
        """Return who it is and what they may do at this moment; None: nothing at all."""
        if who.startswith(BY_TOKEN):
            caller = self._access.holder(who.removeprefix(BY_TOKEN))
            return caller and replace(caller, via="console")
        person = self._directory.people.get(who)
        if person is None or not person.active:
            return None
        return Caller.of_person(person, "console")


def _who(caller: Caller) -> str:
    return caller.person or f"{BY_TOKEN}{caller.name}"


def _standing(caller: Caller) -> str:
    parts = [sorted(caller.rights), sorted(caller.areas)]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]
