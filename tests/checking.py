"""Duty-post checks in virtual time: a town whose desks are asked, and what they do then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest

from api.channels.lanes import Lane
from api.channels.ways import WayNotSetUp
from api.delivery import Recipients
from api.delivery.books import Books
from api.delivery.recipients import Made
from api.post_checks import CheckMetrics, CheckWords, Messenger, PostChecks, seed_from
from ingest.clock import Now
from ingest.ledger import post_checks as kept
from ingest.ledger.audit import Audited, AuditLine, audit_lines
from ingest.ledger.store import Ledger
from ingest.people import Directory, Person, Post, Role, Via, Way
from ingest.post_checks import ANSWER_WITHIN, PostCheck, alarms_wait
from ingest.registry import Name
from rules.engine import Engine
from rules.schedule import Schedule
from tests.telling import NOON, Provider, Town, now

SEED = seed_from(b"a secret of this test")
URL = "http://cw.example"


def gate(  # noqa: PLR0913  (a post is many things)
    *ways: Via,
    id: str = "gate",  # noqa: A002
    area: str = "east",
    members: tuple[str, ...] = (),
    per_week: float = 0.0,
    hours: Schedule | None = None,
    active: bool = True,
) -> Post:
    return Post(
        id=id,
        name=Name("东门岗", "East gate"),
        area=area,
        members=members,
        ways=tuple(Way(via=via, address=id) for via in ways),
        language="en",
        checks_per_week=per_week,
        check_hours=hours,
        active=active,
    )


def manager(
    name: str,
    *ways: Via,
    areas: frozenset[str] = frozenset({"east"}),
    duty: Schedule | None = None,
) -> Person:
    return Person(
        id=name,
        name=name.title(),
        role=Role.MANAGER,
        areas=areas,
        language="en",
        ways=tuple(Way(via=via, address=name) for via in ways),
        duty=duty,
        added_at=NOON,
    )


def asks(who: str) -> Audited:
    return Audited(at=NOON, who=who, via="console", what="check.asked")


def says(who: str, via: str = "console") -> Audited:
    return Audited(at=NOON, who=who, via=via, what="check.answered")


def nowhere(way: Way, _: str) -> Made:
    raise WayNotSetUp(f"{way.via}: the settings have no gateway")


def silent_checks(
    ledger: Ledger, directory: Directory, engine: Engine, at: Now, changed: Callable[[], None]
) -> PostChecks:
    """Return checks that tell nobody: their posts are asked on the console alone."""
    recipients = Recipients(
        (),
        lambda channel: Lane(name=channel.name),
        "zh",
        directory,
        nowhere,
    )
    words = CheckWords(URL, lambda *_: "/a/c/link", directory)
    messenger = Messenger(Books(ledger), directory, recipients, words, lambda _: True, now=at)
    return PostChecks(
        ledger=ledger,
        directory=directory,
        messenger=messenger,
        alarms_wait=lambda area: alarms_wait(engine.open_alerts(), area),
        changed=changed,
        metrics=CheckMetrics(CollectorRegistry()),
        seed=SEED,
        within=ANSWER_WITHIN,
        now=at,
        speed=1.0,
    )


class Desks(Town):
    """A town whose posts are asked. It outlives the processes that ask."""

    def __init__(self, ledger: Ledger, *providers: Provider) -> None:
        super().__init__(ledger, *providers)
        self.alarms: set[str] = set()
        """Areas in which danger waits for somebody."""
        self.lane_is_free = True
        self.pages_told = 0
        self.counts = CollectorRegistry()
        self.seed = SEED

    def put(self, *posts: Post) -> None:
        self.directory.posts |= {post.id: post for post in posts}

    def employ(self, *people: Person) -> None:
        self.directory.people |= {person.id: person for person in people}

    def process(self) -> PostChecks:
        """Return what a new process of the service would ask with."""
        recipients = Recipients(
            (), lambda channel: Lane(name=channel.name), "en", self.directory, self.channel_for
        )
        words = CheckWords(URL, lambda check, to: f"/a/c/link-{check.id}-{to}", self.directory)
        messenger = Messenger(
            Books(self.ledger),
            self.directory,
            recipients,
            words,
            lambda _: self.lane_is_free,
            now=now,
        )
        self.counts = CollectorRegistry()
        return PostChecks(
            ledger=self.ledger,
            directory=self.directory,
            messenger=messenger,
            alarms_wait=self.alarms.__contains__,
            changed=self._page_is_old,
            metrics=CheckMetrics(self.counts),
            seed=self.seed,
            within=ANSWER_WITHIN,
            now=now,
            speed=1.0,
        )

    def _page_is_old(self) -> None:
        self.pages_told += 1

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[PostChecks]:
        """Yield a process that runs; at the end of the block it is killed."""
        checks = self.process()
        task = asyncio.create_task(checks.run())
        await asyncio.sleep(0)
        try:
            yield checks
        finally:
            task.cancel()
            ended = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended[0], asyncio.CancelledError), ended

    async def checks(self) -> list[PostCheck]:
        """Return all checks there are, the oldest first."""
        found = await self.ledger.read(
            lambda c: kept.find_checks(c, kept.CheckFilter(), kept.READ_MAX)
        )
        return found[::-1]

    async def deeds(self) -> list[AuditLine]:
        return (await self.ledger.read(audit_lines))[::-1]

    def heard(self, via: Via) -> list[tuple[timedelta, str, str]]:
        """Return when after noon who was told what by a provider."""
        return [(at - NOON, to, notice.title) for at, to, notice in self.providers[via].heard]

    def counted(self, line: str) -> bool:
        """Say whether the metrics have a line."""
        return line in generate_latest(self.counts).decode().splitlines()
