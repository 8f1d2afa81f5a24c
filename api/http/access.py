"""Who may see, who may act, and where: one table of roles and rights for all ways in."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from ingest.errors import ChargewatchError
from ingest.ledger.audit import Audited
from ingest.people import EVERYWHERE, Person, Role
from rules.alerts import EVERYTHING

TOKEN_CHARS_MIN = 16
"""Tokens are guessed at, not remembered: 16 random characters are beyond guessing."""
TOKEN_CHARS_MAX = 200
TOKEN_PREFIX = "cw_"  # noqa: S105  (how one begins, and no secret)
"""Of the tokens that people make, so that one is known where it leaks."""


class Right(StrEnum):
    """What a caller may do, in the areas that are theirs."""

    SEE = "see"
    """Stations, devices, readings, sessions, alerts and what became of them."""
    ACKNOWLEDGE = "acknowledge"
    """And leave notes and photos, take over and hand over."""
    SILENCE = "silence"
    CUT = "cut"
    CLEAR_LATCH = "clear_latch"
    DRILL = "drill"
    SERVICE = "service"
    """What belongs to no area: quarantine, tallies, metrics."""
    POLICY = "policy"
    """Put a changed policy in force; everybody may read it."""
    PEOPLE = "people"
    """People, posts, routes, tokens of others."""
    AUDIT = "audit"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.POLICE: frozenset((Right.SEE, Right.ACKNOWLEDGE, Right.CUT)),
    Role.MANAGER: frozenset(
        (Right.SEE, Right.ACKNOWLEDGE, Right.SILENCE, Right.CUT, Right.CLEAR_LATCH)
    ),
    Role.OPERATOR: frozenset(Right) - {Right.PEOPLE, Right.AUDIT},
    Role.TESTER: frozenset((Right.SEE, Right.DRILL, Right.SERVICE)),
    Role.ADMIN: frozenset(Right),
}

Scope = Literal["read", "write"]
"""Of a token in the tokens file: `read` may see everything, `write` may do everything."""

_SCOPES: Mapping[Scope, frozenset[Right]] = {
    "read": frozenset((Right.SEE, Right.SERVICE)),
    "write": frozenset(Right),
}


class TokensUnusable(ChargewatchError):
    """The tokens that were configured are no protection."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, what they may do, and where."""

    name: str
    """A person's id or a token's name; goes into the logs."""
    rights: frozenset[Right]
    areas: frozenset[str] = frozenset((EVERYWHERE,))
    """EVERYWHERE, or ids of areas."""
    person: str = ""
    """The person's id; empty: it is a program with a token of its own."""
    via: str = "api"
    """By which way they came; goes into the log of deeds."""
    ends_at: datetime | None = None
    """When what they came in with is good no more; None: that is not known."""

    @classmethod
    def of_token(cls, name: str, scope: Scope) -> "Caller":
        """Return the holder of a token in the tokens file: it is good everywhere."""
        return cls(name=name, rights=_SCOPES[scope])

    @classmethod
    def of_person(cls, person: Person, via: str = "api") -> "Caller":
        """Return somebody who is known for who they are; one not active may do nothing."""
        return cls(
            name=person.id,
            rights=RIGHTS[person.role] if person.active else frozenset(),
            areas=person.areas,
            person=person.id,
            via=via,
        )

    def may(self, right: Right | str) -> bool:
        return right in self.rights

    @property
    def is_everywhere(self) -> bool:
        return EVERYWHERE in self.areas

    def answers_for(self, area: str) -> bool:
        return self.is_everywhere or area in self.areas

    def sees(self, site: str) -> bool:
        """Say whether a site ("area/site") or a device ("area/site/device") is theirs."""
        return self.answers_for(site.partition("/")[0])

    @property
    def within(self) -> frozenset[str] | None:
        """Return their areas, for a question to the ledger; None: all."""
        return None if self.is_everywhere else self.areas

    def sees_alert(self, site: str, scope: str) -> bool:
        """Say whether an alert is theirs. One without a site concerns several.

        What blinds all of us is everybody's business; a carrier's outage names sites of
        other areas.
        """
        return self.sees(site) if site else self.is_everywhere or scope == str(EVERYTHING)

    def deed(
        self, what: str, at: datetime, *, about: str = "", place: str = "", detail: str = ""
    ) -> Audited:
        """Return the line about something that they did, to be written with what it tells of.

        `place` begins with the area whose business it is: "area", "area/site", …
        """
        return Audited(
            at=at,
            who=self.name,
            via=self.via,
            what=what,
            about=about,
            area=place.partition("/")[0],
            detail=detail,
        )


Holder = Callable[[str], Awaitable[Caller | None]]
"""Finds whose a token is."""


class Access:
    """Knows the operator's tokens by their SHA-256 alone, and whom to ask for others."""

    def __init__(
        self, digests: Mapping[bytes, Caller], of_people: Holder | None = None
    ) -> None:
        self._digests = tuple(digests.items())
        self._of_people = of_people

    @classmethod
    def of(cls, tokens: Mapping[str, Caller]) -> "Access":
        """Take up tokens, each with what it grants; the tokens themselves are not kept."""
        for token, grant in tokens.items():
            if not TOKEN_CHARS_MIN <= len(token) <= TOKEN_CHARS_MAX:
                wanted = f"{TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters"
                raise TokensUnusable(f"the token of {grant.name!r} is not {wanted} long")
        return cls({digest_of(token): grant for token, grant in tokens.items()})

    def with_people(self, of_people: Holder) -> "Access":
        """Return the same, which also knows the tokens that people make."""
        return Access(dict(self._digests), of_people)

    @property
    def empty(self) -> bool:
        """True if nobody at all can log in."""
        return not self._digests

    async def grant(self, token: str) -> Caller | None:
        """Return whose token it is and what it is good for."""
        found = self.of_operator(token)
        if found is None and self._of_people is not None and token.startswith(TOKEN_PREFIX):
            found = await self._of_people(token)
        return found

    def of_operator(self, token: str) -> Caller | None:
        """Return whose token it is, in a time that does not tell how near a guess came."""
        digest, found = digest_of(token), None
        for known, grant in self._digests:
            if hmac.compare_digest(known, digest):
                found = grant
        return found

    def holder(self, name: str) -> Caller | None:
        """Return what the operator's token of that name grants; of several the least."""
        named = [grant for _, grant in self._digests if grant.name == name]
        return min(named, key=lambda grant: len(grant.rights), default=None)


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
