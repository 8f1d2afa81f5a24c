"""Answering a notification by its signed link: without a login, once, and by name."""

import asyncio

import msgspec
from sqlalchemy import Connection

from api.answering import Somebody, caller_for, mark_of, somebody
from api.channels import one_line
from api.http.access import Caller, Right
from api.http.scope import Scoped
from api.links import Link, LinkRefused, Purpose
from api.watch import Change, Watch
from ingest.clock import Now
from ingest.desk import Order
from ingest.ledger import queries
from ingest.ledger.answers import Asked, asked
from ingest.ledger.commit import Acknowledged, Answered, Commit, Handled
from ingest.ledger.links import Used, used_link
from ingest.ledger.queries import AlertRow
from ingest.people import Person, Post
from rules.alerts import State, Transition


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A link that is good, and what it is about."""

    link: Link
    asked: Asked
    row: AlertRow
    used: Used | None
    who: Somebody
    members: tuple[str, ...]
    """Names of those who may answer for a post."""

    @property
    def person(self) -> Person | None:
        return self.who if isinstance(self.who, Person) else None

    @property
    def takes_over(self) -> bool:
        """Whether to answer is to take over what was handed over."""
        return self.asked.transition == Transition.HANDED and self.row.state == State.FIRING

    @property
    def waits(self) -> bool:
        """Whether there is still something to answer, by this link."""
        if self.used is not None:
            return False
        return self.row.acknowledged_at is None or (
            self.takes_over and self.row.handler_since is None
        )

    def caller(self, name: str) -> Caller:
        return caller_for(self.who, self.asked.channel, name)


class Answers:
    """Opens links, and does what they are for. `wall` is the time of people."""

    def __init__(self, watch: Watch, wall: Now) -> None:
        self._watch, self._wall = watch, wall
        self._one_by_one = asyncio.Lock()
        """Whoever is second finds the link used, and is told by whom."""

    async def open(self, token: str) -> Opened | LinkRefused:
        """Return what a link is about, or why it opens nothing."""
        watch = self._watch
        link = watch.links.read(token, Purpose.ALERT, self._wall())
        if isinstance(link, LinkRefused):
            return link

        def ask(c: Connection) -> tuple[Asked, AlertRow, Used | None] | None:
            found = asked(c, link.subject)
            if found is None or mark_of(found.idempotency_key) != link.to:
                return None
            row = queries.get_alert(c, found.alert)
            return None if row is None else (found, row, used_link(c, link.id))

        found = await watch.ledger.read(ask)
        if found is None:  # an older ledger was put in the place of this one
            return LinkRefused.WRONG
        question, row, used = found
        who = somebody(watch.directory, question.recipient) if question.recipient else None
        gone = who is None and (question.recipient or question.channel not in watch.house)
        caller = caller_for(who, question.channel)
        sees = caller.may(Right.ACKNOWLEDGE) and caller.sees_alert(row.site, row.scope)
        if gone or not sees:
            return LinkRefused.ENDED
        members = tuple(self._members(who)) if isinstance(who, Post) else ()
        return Opened(link=link, asked=question, row=row, used=used, who=who, members=members)

    def scoped(self, opened: Opened, name: str) -> Scoped:
        """Return the watch as whoever answers may see it."""
        return Scoped(self._watch, opened.caller(name))

    def name_in(self, opened: Opened, typed: str, chosen: str = "") -> str:
        """Return what somebody says they are called; empty: nothing that can be a name."""
        return chosen if chosen in opened.members else one_line(typed)

    async def answer(self, opened: Opened, name: str) -> bool:
        """Acknowledge, or take over what was handed over; False: somebody was faster."""
        async with self._one_by_one:
            again = await self._watch.ledger.read(
                lambda c: (used_link(c, opened.link.id), queries.get_alert(c, opened.row.id))
            )
            used, row = again
            if row is None or not msgspec.structs.replace(opened, used=used, row=row).waits:
                return False
            await self._watch.desk.ask(self._order(opened, opened.caller(name)))
        self._watch.changes.tell(Change(opened.row.site, alerts=True))
        return True

    def _order(self, opened: Opened, caller: Caller) -> Order[None]:
        row, who = opened.row, caller.name

        def do(batch: Commit) -> None:
            now = batch.now
            self._watch.engine.acknowledge(row.episode, now)
            taken = Handled(row.episode, now, who, "", "") if opened.takes_over else None
            what = "alert.taken" if opened.takes_over else "alert.acknowledged"
            batch.answered.append(
                Answered(
                    link=opened.link.id,
                    at=now,
                    who=who,
                    acknowledged=Acknowledged(row.episode, now, who, ""),
                    handled=taken,
                    audited=caller.deed(what, now, about=str(row.id), place=row.site),
                )
            )

        return do

    def _members(self, post: Post) -> list[str]:
        known = (self._watch.directory.people.get(each) for each in post.members)
        return [person.name for person in known if person is not None and person.active]
