"""A duty-post check (查岗): somebody was asked whether they are there, and what came of it.

Who is asked when is decided in rules/duty_checks.py; asking and waiting is done in
api/post_checks/; what is kept of it is in ingest/ledger/post_checks.py.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from ingest.people import EVERYWHERE
from rules.alerts import Alert, State
from rules.verdict import Severity

RULE = "post_check"
"""What stands in a notice where an alarm has its rule."""
ANSWER_WITHIN = timedelta(minutes=3)
"""The time in which a nearby fire post has to be at the place (docs/duty-checks.md): whoever
needs longer to press a button is not at the desk."""
ANSWERABLE_FOR = timedelta(hours=12)
"""A shift: for so long an answer is still written down, though it changes nothing."""


class CheckState(StrEnum):
    ASKED = "asked"
    """It waits for an answer, in time or late."""
    ANSWERED = "answered"
    """In time."""
    LATE = "late"
    """Answered after it was due, and before it counted as missed."""
    MISSED = "missed"


class About(StrEnum):
    """What a message says."""

    ASKED = "asked"
    MISSED = "missed"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One try to tell somebody, and what became of it."""

    at: datetime
    to: str
    """`post:{id}` or `person:{id}`."""
    channel: str
    """`{via}:{id}`."""
    about: About
    ok: bool
    """The transport has confirmed it."""
    detail: str
    """Its receipt, or why there is none."""


class PostCheck(msgspec.Struct, frozen=True, kw_only=True):
    id: int = 0
    """0: not written down yet."""
    post: str
    area: str
    """That of the post when it was asked."""
    asked_by: str = ""
    """Who began it by hand; empty: the plan."""
    asked_at: datetime
    due_at: datetime
    """An answer by then is in time."""
    state: CheckState = CheckState.ASKED
    answered_at: datetime | None = None
    answered_by: str = ""
    """A person's id, a token's name, or `post:{id}`: whoever sat at the desk."""
    told: tuple[Told, ...] = ()

    @property
    def answer_s(self) -> float | None:
        """Return the seconds from question to answer; None: nobody has answered."""
        if self.answered_at is None:
            return None
        return (self.answered_at - self.asked_at).total_seconds()

    @property
    def is_heard(self) -> bool:
        """Say whether any transport has confirmed the question."""
        return any(each.ok and each.about is About.ASKED for each in self.told)


def answered(check: PostCheck, who: str, at: datetime) -> PostCheck:
    """Return the check with an answer. The first one stays; what was missed stays missed."""
    if check.answered_at is not None or at - check.asked_at > ANSWERABLE_FOR:
        return check
    state = check.state
    if state is CheckState.ASKED:
        state = CheckState.ANSWERED if at <= check.due_at else CheckState.LATE
    return replace(check, state=state, answered_at=at, answered_by=who)


def missed(check: PostCheck) -> PostCheck:
    """Return the check as missed, unless somebody has answered."""
    if check.state is not CheckState.ASKED:
        return check
    return replace(check, state=CheckState.MISSED)


def alarms_wait(alerts: Iterable[Alert], area: str) -> bool:
    """Say whether danger in an area waits for somebody to acknowledge it.

    Then nobody is asked whether they are there: they have better things to do. Warnings do
    not count, for some of them last for weeks.
    """
    return any(
        alert.state is State.FIRING
        and alert.acknowledged_at is None
        and alert.told is not None
        and alert.told.rank >= Severity.CRITICAL.rank
        and (area == EVERYWHERE or not alert.site or alert.site.startswith(f"{area}/"))
        for alert in alerts
    )
