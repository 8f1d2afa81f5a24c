"""Takes a duty-post check to the desk, and word of a missed one to the managers.

This does not go through the outbox: a question that arrives an hour late, or in a digest, is no
question. But the providers' budgets are the same ones, and alarms go first.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from msgspec.structs import replace

from api.channels import DeliveryFailed, one_line
from api.channels.lanes import Lane
from api.channels.ways import name_of
from api.delivery.books import Books
from api.delivery.recipients import Recipients, Unreachable
from api.post_checks.words import CheckWords
from ingest.clock import Now
from ingest.ledger.post_checks import change_check
from ingest.people import Directory, Person, Role, Via, Way
from ingest.post_checks import About, PostCheck, Told

TRIES_MAX = 3
"""By each way, each to be confirmed within 10 s, as GB/T 26875.3 has it."""
PAUSES_S = (2.0, 5.0)
"""Before the second try, and before the third."""

LetPass = Callable[[Lane], bool]
"""Says whether a lane may send a message that is no alarm now, and counts it."""
Going = Callable[[], bool]
"""Says whether there is still any point in it."""

log = structlog.get_logger()


class Messenger:
    """Tells desks and managers by their ways, and writes down each try."""

    def __init__(  # noqa: PLR0913  (it stands between all of these)
        self,
        books: Books,
        directory: Directory,
        recipients: Recipients,
        words: CheckWords,
        let_pass: LetPass,
        *,
        now: Now,
    ) -> None:
        self._books, self._directory = books, directory
        self._recipients, self._words = recipients, words
        self._let_pass, self._now = let_pass, now

    async def ask(self, check: PostCheck, going: Going, *, all_ways: bool) -> None:
        """Ask a desk by the first of its ways that works; or by all that were not used yet.

        Of a desk without ways the members on duty are asked, each by their own.
        """
        for to, ways in asked_for(self._directory, check.post, self._now()):
            for way in ways:
                arrived = await self._told(check, to, way, About.ASKED, going)
                if arrived and not all_ways:
                    break

    async def tell_managers(self, check: PostCheck) -> None:
        """Tell the managers, each once and by one way, that a post did not answer."""
        for person in managers_of(self._directory, check.area, self._now()):
            to = f"person:{person.id}"
            for way in person.ways:
                silent = way.via is not Via.VOICE  # it is no danger: nobody is called
                if silent and await self._told(check, to, way, About.MISSED, _always):
                    break

    async def _told(
        self, check: PostCheck, to: str, way: Way, about: About, going: Going
    ) -> bool:
        """Try one way, up to three times; say whether its transport has confirmed it.

        `check` says what was tried before, perhaps by another process.
        """
        channel = name_of(way.via, to)
        before = [each for each in check.told if (each.channel, each.about) == (channel, about)]
        if any(each.ok for each in before):
            return True
        for number in range(len(before), TRIES_MAX):
            if number:
                await asyncio.sleep(PAUSES_S[number - 1])
            if not going():
                return False
            failure = await self._failure(check, to, channel, about)
            if failure is None:
                return True
            if failure.permanent:
                return False
        return False

    async def _failure(
        self, check: PostCheck, to: str, channel: str, about: About
    ) -> DeliveryFailed | None:
        """Try once and write it down; return why it failed, None if it did not."""
        at, failure, receipt = self._now(), None, ""
        try:
            receipt = await self._sent(check, to, channel, about)
        except Unreachable as error:
            failure = DeliveryFailed(error.detail, permanent=True)
        except DeliveryFailed as error:
            failure = error
        except Exception as fault:  # ours: one channel's bug must not stop the others
            log.exception("channel.broken", channel=channel)
            reason = f"fault in the channel: {type(fault).__name__}"
            failure = DeliveryFailed(reason, permanent=True)
        told = Told(
            at=at,
            to=to,
            channel=channel,
            about=about,
            ok=failure is None,
            detail=one_line(failure.reason if failure else receipt),
        )
        log.info("check.told", check=check.id, channel=channel, about=str(about), ok=told.ok)
        await self._books.note(lambda c: change_check(c, check.id, lambda it: _noted(it, told)))
        return failure

    async def _sent(self, check: PostCheck, to: str, channel: str, about: About) -> str:
        reached = self._recipients.reached(channel, to)
        if not self._let_pass(reached.lane):
            raise DeliveryFailed("alarms go first", permanent=False)
        notice = self._words.notice(check, about, to, channel, reached.language)
        return await reached.channel.send(notice)


def asked_for(
    directory: Directory, post_id: str, now: datetime
) -> list[tuple[str, Sequence[Way]]]:
    """Return who is asked whether somebody is at a post, each with their ways."""
    post = directory.posts.get(post_id)
    if post is None:
        return []
    if post.ways:
        return [(f"post:{post.id}", post.ways)]
    members = (directory.people.get(each) for each in post.members)
    return [
        (f"person:{member.id}", member.ways)
        for member in members
        if member is not None and member.active and member.on_duty(now)
    ]


def managers_of(directory: Directory, area: str, now: datetime) -> list[Person]:
    """Return the managers who answer for an area and are on duty; all, if nobody is."""
    theirs = [
        person
        for person in directory.people.values()
        if person.active and person.role is Role.MANAGER and person.answers_for(area)
    ]
    return [person for person in theirs if person.on_duty(now)] or theirs


def _noted(check: PostCheck, told: Told) -> PostCheck:
    return replace(check, told=(*check.told, told))


def _always() -> bool:
    return True
