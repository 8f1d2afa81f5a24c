"""Tokens that people make for programs of theirs.

One is never worth more than who made it: its rights are those that were chosen and that the
person still has, its areas are the person's, and it ends within a year.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from api.http.access import TOKEN_PREFIX, Caller, Right, digest_of
from api.http.problems import Trouble
from api.watch import Watch
from ingest.clock import Now
from ingest.ledger.api_tokens import (
    EACH_MAX,
    ApiToken,
    find_token,
    get_token,
    revoke_token,
    tokens_of,
    write_token,
)
from ingest.ledger.audit import append_audit

TOKEN_BYTES = 32
LASTS_MAX = timedelta(days=365)
NAME_CHARS_MAX = 64


class PeopleTokens:
    """Makes, knows and revokes them. `wall` is the time of people."""

    def __init__(self, watch: Watch, wall: Now) -> None:
        self._watch, self._wall = watch, wall

    async def holder(self, token: str) -> Caller | None:
        """Return who asks with a token, and what it is good for at this moment."""
        digest = digest_of(token)
        kept = await self._watch.ledger.read(lambda c: find_token(c, digest))
        if kept is None or not kept.is_good(self._wall()):
            return None
        person = self._watch.directory.people.get(kept.person)
        if person is None or not person.active:
            return None
        whole = Caller.of_person(person)
        rights = whole.rights & frozenset(map(Right, kept.rights))
        return replace(whole, rights=rights, ends_at=kept.ends_at)

    async def make(
        self, caller: Caller, name: str, rights: Iterable[Right], lasts: timedelta
    ) -> tuple[ApiToken, str]:
        """Return a new token of the caller's own and its secret, which is never shown again.

        Refuses rights that the caller lacks, and a token that would outlive the one it was
        asked for with.
        """
        wanted, wall = frozenset(rights), self._wall()
        if not caller.person:
            raise Trouble(403, "Only people make such tokens; this one is the operator's.")
        if not name.strip() or len(name) > NAME_CHARS_MAX:
            raise Trouble(422, f"A name has 1 to {NAME_CHARS_MAX} characters.")
        if not wanted or not wanted <= caller.rights:
            raise Trouble(422, "A token has some of your own rights, and no others.")
        if not timedelta(0) < lasts <= LASTS_MAX:
            raise Trouble(422, f"A token lasts at most {LASTS_MAX.days} days.")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        token = ApiToken(
            id=0,
            name=name.strip(),
            person=caller.person,
            rights=tuple(sorted(wanted)),
            made_at=wall,
            ends_at=min(
                wall + lasts, caller.ends_at or datetime.max.replace(tzinfo=wall.tzinfo)
            ),
            revoked_at=None,
        )
        now = self._watch.now()

        def write(c: Connection) -> ApiToken | None:
            made = write_token(c, digest_of(secret), token)
            if made is not None:
                detail = f"{made.name}: {' '.join(made.rights)}"
                about = str(made.id)
                append_audit(c, caller.deed("token.made", now, about=about, detail=detail))
            return made

        made = await self._watch.ledger.write(write)
        if made is None:
            raise Trouble(409, f"You have {EACH_MAX} tokens; revoke some of them first.")
        return made, secret

    async def of(self, caller: Caller, *, everybody: bool = False) -> list[ApiToken]:
        """Return the caller's tokens, or with the right to it everybody's; newest first."""
        if everybody and not caller.may(Right.PEOPLE):
            raise Trouble(403, "The right 'people' is missing.", words="problem.no_right")
        whose = None if everybody else [caller.person]
        return await self._watch.ledger.read(lambda c: tokens_of(c, whose))

    async def revoke(self, caller: Caller, number: int) -> ApiToken:
        """Revoke a token of the caller's own, or with the right to it anybody's."""
        wall, now = self._wall(), self._watch.now()

        def write(c: Connection) -> ApiToken:
            token = get_token(c, number)
            own = token is not None and token.person == (caller.person or None)
            if token is None or not (own or caller.may(Right.PEOPLE)):
                raise Trouble(404, "There is no such token.")
            if token.revoked_at is None:
                revoke_token(c, number, wall)
                detail = f"{token.person}: {token.name}"
                about = str(number)
                append_audit(c, caller.deed("token.revoked", now, about=about, detail=detail))
            return replace(token, revoked_at=token.revoked_at or wall)

        return await self._watch.ledger.write(write)
