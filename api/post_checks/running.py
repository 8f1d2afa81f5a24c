"""Asks duty posts whether somebody is there, and sees each check to its end.

What is under way is in the ledger before anybody is told, so a new process goes on with it: it
asks nobody twice, and forgets nothing. A check whose time ran out while the service was down
has its time anew, for nobody could answer.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from msgspec.structs import replace

from api.delivery.books import Books
from api.post_checks.messages import Messenger
from api.post_checks.metrics import CheckMetrics
from ingest.clock import Now
from ingest.errors import ChargewatchError
from ingest.ledger import post_checks as kept
from ingest.ledger.audit import Audited
from ingest.ledger.links import use_link
from ingest.ledger.store import Ledger, LedgerUnavailable
from ingest.people import Directory, Post
from ingest.post_checks import CheckState, PostCheck, answered, missed
from rules.duty_checks import PUT_OFF_MAX, Plan, owed

PUT_OFF = timedelta(minutes=15)
"""How long a check is put off for an alarm, again and again while one waits: whoever has just
acknowledged is on the way."""
LOOK_FOR_ALARMS = timedelta(seconds=30)
LEDGER_AGAIN = timedelta(minutes=1)
LOOK_AGAIN = timedelta(minutes=10)
"""The directory may have changed, or the clock was set."""
TOLD_FOR = timedelta(hours=1)
"""For so long a new process goes on telling managers of what was missed before."""
OURS, BY_PLAN = "chargewatch", "plan"
"""Who does what nobody does by hand, and by which way, in the log of deeds."""
_LABEL = b"chargewatch duty checks 1"

log = structlog.get_logger()


class NoSuchPost(ChargewatchError):
    """There is no post of that id in service."""


class CheckUnderWay(ChargewatchError):
    """The post is being asked already."""


class AlarmsWait(ChargewatchError):
    """Danger in the area waits for somebody: they have better things to do."""


class PostChecks:
    """Whoever asks the posts; `open` are the checks that wait for an answer, by number."""

    def __init__(  # noqa: PLR0913  (it is where these meet)
        self,
        *,
        ledger: Ledger,
        directory: Directory,
        messenger: Messenger,
        alarms_wait: Callable[[str], bool],
        changed: Callable[[], None],
        metrics: CheckMetrics,
        seed: bytes,
        within: timedelta,
        now: Now,
        speed: float,
    ) -> None:
        """`within` is the time to answer; `changed` is told when pages are out of date."""
        self.open: dict[int, PostCheck] = {}
        self._ledger, self._books = ledger, Books(ledger)
        self._directory, self._messenger = directory, messenger
        self._alarms_wait, self._changed, self._metrics = alarms_wait, changed, metrics
        self._seed, self._within, self._now, self._speed = seed, within, now, speed
        self._asked: dict[str, datetime] = {}
        """When each post was asked last."""
        self._plans: dict[str, tuple[Plan, datetime]] = {}
        """The plans in force, and since when they are known."""
        self._not_before: dict[str, datetime] = {}
        self._waiting: dict[int, asyncio.Event] = {}
        """For each open check, what is set when it is answered."""
        self._to_carry: list[PostCheck] = []
        self._beginning = asyncio.Lock()
        self._wake = asyncio.Event()

    # --- what others may do ------------------------------------------------------------

    async def begin(self, post_id: str, deed: Audited) -> PostCheck:
        """Ask a post now, by hand; `deed` is who wants that, and how.

        Raises NoSuchPost, CheckUnderWay, AlarmsWait, or LedgerUnavailable.
        """
        post = self._directory.posts.get(post_id)
        if post is None or not post.active:
            raise NoSuchPost("there is no such post in service")
        async with self._beginning:
            if any(check.post == post_id for check in self.open.values()):
                raise CheckUnderWay("this post is being asked just now")
            if self._alarms_wait(post.area):
                raise AlarmsWait("an alarm in this area waits to be acknowledged")
            return await self._begin(post, deed.who, deed)

    async def answer(self, number: int, deed: Audited, link: str = "") -> PostCheck | None:
        """Note that somebody is there, and who; None: there is no such check.

        The first answer stays. `link` is used up by it. Raises LedgerUnavailable.
        """
        at, known = self._now(), await self._ledger.read(lambda c: kept.get_check(c, number))
        if known is None:
            return None
        noted = replace(deed, about=str(number), area=known.area, detail=known.post)

        def note(connection: sa.Connection) -> PostCheck | None:
            if link and not use_link(connection, link, deed.who, at):
                return kept.get_check(connection, number)
            return kept.change_check(
                connection, number, lambda it: answered(it, deed.who, at), noted
            )

        check = await self._ledger.write(note)
        if check is not None and check.state is not CheckState.ASKED:
            self._close(check)
        return check

    # --- the run -----------------------------------------------------------------------

    async def run(self) -> None:
        """Ask whenever it is time, for ever."""
        await self._take_up()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                again = await self._ask_who_is_due()
                while self._to_carry:
                    check = self._to_carry.pop(0)
                    tasks.create_task(self._carry(check), name=f"check {check.id}")
                await self._set_until(self._wake, again)

    async def _take_up(self) -> None:
        """Go on where the last process stopped."""
        now = self._now()
        self._asked |= await self._books.asked(kept.last_asked)
        wanted = kept.CheckFilter(state=CheckState.ASKED)
        for check in await self._books.asked(
            lambda c: kept.find_checks(c, wanted, kept.READ_MAX)
        ):
            if check.id not in self.open:
                self._follow(await self._prolonged(check))
        wanted = kept.CheckFilter(state=CheckState.MISSED, since=now - TOLD_FOR)
        for check in await self._books.asked(
            lambda c: kept.find_checks(c, wanted, kept.READ_MAX)
        ):
            self._to_carry.append(check)
        self._take_plans(now - PUT_OFF_MAX)

    async def _prolonged(self, check: PostCheck) -> PostCheck:
        """Give a check its time to be answered anew: so far nobody could."""
        due_at = max(check.due_at, self._now() + self._within * self._speed)
        changed = await self._books.note(
            lambda c: kept.change_check(c, check.id, lambda it: replace(it, due_at=due_at))
        )
        if changed is not None and check.id in self.open:
            self.open[check.id] = changed
        return changed or check

    async def _ask_who_is_due(self) -> datetime:
        """Ask all whose moment has come; return when to look again."""
        now = self._now()
        self._take_plans(now)
        again = now + LOOK_AGAIN * self._speed
        for post_id, (plan, since) in list(self._plans.items()):
            waits = self._not_before.get(post_id, now) > now
            if not waits and owed(plan, self._asked.get(post_id), since, now):
                await self._ask_by_plan(post_id, now)
            again = min(again, plan.next_after(now) or again)
            if (put_off := self._not_before.get(post_id, now)) > now:
                again = min(again, put_off)
            await asyncio.sleep(0)  # to draw a plan takes a millisecond: alarms go in between
        return again

    def _take_plans(self, now: datetime) -> None:
        """Take over which posts there are now; for a new plan nothing is made up for."""
        plans = {}
        for post in self._directory.posts.values():
            if post.active and post.checks_per_week > 0:
                plan = self._plan_of(post)
                known = self._plans.get(post.id)
                plans[post.id] = known if known and known[0] == plan else (plan, now)
        self._plans = plans

    def _plan_of(self, post: Post) -> Plan:
        return Plan(
            seed=self._seed,
            post=post.id,
            per_week=post.checks_per_week,
            hours=post.check_hours,
        )

    async def _ask_by_plan(self, post_id: str, now: datetime) -> None:
        post = self._directory.posts.get(post_id)
        if post is None:
            return  # gone, a moment ago
        if self._alarms_wait(post.area):
            self._not_before[post.id] = now + PUT_OFF * self._speed
            log.info("check.put_off", post=post.id)
            return
        deed = Audited(at=now, who=OURS, via=BY_PLAN, what="check.asked")
        async with self._beginning:
            if any(check.post == post.id for check in self.open.values()):
                return  # by hand, a moment ago
            try:
                await self._begin(post, "", deed)
            except LedgerUnavailable as error:
                self._not_before[post.id] = now + LEDGER_AGAIN * self._speed
                log.warning("check.not_begun", post=post.id, reason=str(error))

    async def _begin(self, post: Post, asked_by: str, deed: Audited) -> PostCheck:
        now = self._now()
        wanted = PostCheck(
            post=post.id,
            area=post.area,
            asked_by=asked_by,
            asked_at=now,
            due_at=now + self._within * self._speed,
        )
        noted = replace(deed, area=post.area, detail=post.id)
        check = await self._ledger.write(lambda c: kept.begin_check(c, wanted, noted))
        self._asked[post.id] = now
        log.info("check.asked", check=check.id, post=post.id, by=asked_by or "plan")
        self._follow(check)
        self._changed()
        return check

    def _follow(self, check: PostCheck) -> None:
        """See a check to its end."""
        if check.id in self.open:
            return
        self.open[check.id], self._waiting[check.id] = check, asyncio.Event()
        self._to_carry.append(check)
        self._wake.set()

    # --- one check ---------------------------------------------------------------------

    async def _carry(self, check: PostCheck) -> None:
        """Ask by one way, then by the others, then tell the manager: until somebody answers."""
        if check.state is CheckState.ASKED:
            if not check.is_heard:
                await self._messenger.ask(check, self._goes_on(check), all_ways=False)
            if await self._is_answered(check, timedelta(0)):
                return
            now_is = await self._read(check)
            await self._messenger.ask(now_is, self._goes_on(check), all_ways=True)
            if await self._is_answered(check, self._within * self._speed):
                return
            await self._miss(check)
        now_is = await self._read(check)
        if now_is.state is CheckState.MISSED:
            await self._messenger.tell_managers(now_is)

    def _goes_on(self, check: PostCheck) -> Callable[[], bool]:
        return lambda: check.id in self.open

    async def _read(self, check: PostCheck) -> PostCheck:
        return await self._books.asked(lambda c: kept.get_check(c, check.id)) or check

    async def _is_answered(self, check: PostCheck, grace: timedelta) -> bool:
        """Wait until it is answered or was due so long; an alarm stops the clock."""
        event = self._waiting.get(check.id) or asyncio.Event()
        while (now_is := self.open.get(check.id)) is not None:
            now, over_at = self._now(), now_is.due_at + grace
            if self._alarms_wait(now_is.area):
                await self._prolonged(now_is)
            elif now >= over_at:
                return False
            next_look = now + LOOK_FOR_ALARMS * self._speed
            await self._set_until(event, min(over_at, next_look))
        return True

    async def _miss(self, check: PostCheck) -> None:
        deed = Audited(
            at=self._now(),
            who=OURS,
            via=BY_PLAN,
            what="check.missed",
            about=str(check.id),
            area=check.area,
            detail=check.post,
        )
        now_is = await self._books.note(lambda c: kept.change_check(c, check.id, missed, deed))
        if now_is is not None and check.id in self.open:
            log.warning("check.missed", check=check.id, post=check.post)
            self._close(now_is)

    def _close(self, check: PostCheck) -> None:
        """Let go of a check that waits no longer, whoever saw to that."""
        if self.open.pop(check.id, None) is None:
            return
        self._waiting.pop(check.id).set()
        waited_s = check.answer_s
        self._metrics.ended(check.state, None if waited_s is None else waited_s / self._speed)
        self._changed()

    async def _set_until(self, event: asyncio.Event, until: datetime) -> None:
        """Wait for an event until a moment of `now`."""
        wait_s = (until - self._now()).total_seconds() / self._speed
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await event.wait()
        except TimeoutError:
            return


def seed_from(secret: bytes) -> bytes:
    """Return the seed of the plans, made of a secret that never leaves this machine."""
    return hmac.new(secret, _LABEL, hashlib.sha256).digest()
