"""Which notifications carry a link that answers them, and who may answer by it.

A link names the row of the outbox, which knows alert, recipient and channel. It goes out only
with what somebody can answer, and to those only who may; whether they still may is asked again
when it is used.
"""

import base64
import hashlib

import msgspec

from api.channels import one_line
from api.http.access import Caller, Right
from api.links import LASTS, Links, Purpose
from api.text import DEFAULT
from ingest.clock import Now
from ingest.ledger.outbox import Due
from ingest.people import EVERYWHERE, Directory, Person, Post
from rules.alerts import Transition

NAME_CHARS_MAX = 40
MARK_BYTES = 6
"""Enough to tell the row from any that has its number after an old backup was restored."""

Somebody = Person | Post | None
"""None: whoever reads a channel of the settings."""


def mark_of(idempotency_key: str) -> str:
    """Return what stands in a link for the notification that it was made for."""
    digest = hashlib.sha256(idempotency_key.encode()).digest()
    return base64.urlsafe_b64encode(digest[:MARK_BYTES]).decode()


def somebody(directory: Directory, recipient: str) -> Somebody:
    """Return who a recipient is; None also if there is nobody like that any more."""
    kind, _, number = recipient.partition(":")
    known = directory.people if kind == "person" else directory.posts
    return known.get(number)


def caller_for(who: Somebody, channel: str, name: str = "") -> Caller:
    """Return whoever answers by a link.

    A person is known. For a post, or where many read along, somebody only says who they are:
    then the name is written down with where they read it, and can be nobody's id.
    """
    if isinstance(who, Person):
        return Caller.of_person(who, via="link")
    areas, where = frozenset({EVERYWHERE}), channel
    if isinstance(who, Post):
        areas = frozenset({who.area} if who.active else ())
        where = who.name.en if who.language == "en" else who.name.zh
    said = one_line(name, NAME_CHARS_MAX)
    rights = frozenset({Right.SEE, Right.ACKNOWLEDGE})
    return Caller(name=f"{said} via {where}", rights=rights, areas=areas, via="link")


class AnswerLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Makes the link of a notification when it is sent. `wall` is the time of people."""

    links: Links
    directory: Directory
    console_url: str
    wall: Now

    def url_for(self, item: Due, language: str) -> str:
        """Return the address that answers a notification; empty: there is nothing to answer."""
        if item.transition == Transition.RESOLVED:
            return ""
        who = somebody(self.directory, item.recipient) if item.recipient else None
        if item.recipient and who is None:
            return ""
        if not caller_for(who, item.channel).may(Right.ACKNOWLEDGE):
            return ""
        to = mark_of(item.idempotency_key)
        path = self.links.make(Purpose.ALERT, item.id, to, self.wall() + LASTS)
        asked = "" if language == DEFAULT else f"?lang={language}"
        return f"{self.console_url.rstrip('/')}{path}{asked}"
