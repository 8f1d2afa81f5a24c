"""Tells a Prometheus Alertmanager (API v2), for sites that have their routes and rotas there.

An Alertmanager keeps nothing over a restart and ends what it does not hear of again. So
what fires is said again every minute, and said to last a day: if we are gone, it goes on.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
import structlog

from api.channels import ANSWER_WITHIN, UNLIMITED, DeliveryFailed, Limits, Notice, one_line
from api.channels.posting import Post, json_headers, unanswered
from ingest.clock import Now
from rules.alerts import Transition
from rules.verdict import Severity

AGAIN_EVERY_S = 60.0
LASTS = timedelta(days=1)
"""Silence of ours is no all-clear."""
TOGETHER_MAX = 200
"""Alerts in one post when all are said again: well under a megabyte."""
TEXT_CHARS_MAX = 4_000

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Alertmanager:
    """One Alertmanager, or the address of several that share their work."""

    name: str = "alertmanager"
    limits: ClassVar[Limits] = UNLIMITED
    post: Post
    """To …/api/v2/alerts."""
    token: str | None = field(default=None, repr=False)
    now: Now = field(repr=False)
    answer_within: timedelta = ANSWER_WITHIN
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """An end must not be overtaken by a repetition that was on its way before it."""

    async def send(self, notice: Notice) -> str:
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()), self._one_by_one:
                return await self._say(alerts(notice, self.now()), json_headers(notice))
        except TimeoutError as error:
            raise unanswered(self.answer_within) from error

    async def say_again(self, firing: Callable[[], Sequence[Notice]]) -> int:
        """Say all that fires now; return how many that were. Raises DeliveryFailed."""
        async with self._one_by_one:
            notices = firing()
            now, headers = self.now(), {"Content-Type": "application/json"}
            for start in range(0, len(notices), TOGETHER_MAX):
                some = notices[start : start + TOGETHER_MAX]
                await self._say([alert_of(notice, now) for notice in some], headers)
        return len(notices)

    async def keep_saying(
        self, firing: Callable[[], Sequence[Notice]], every_s: float = AGAIN_EVERY_S
    ) -> None:
        """Say all that fires again and again, for ever."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.say_again(firing)
            except DeliveryFailed as failure:
                log.warning("alertmanager.not_told_again", reason=failure.reason)

    async def _say(self, said: Sequence[dict[str, object]], headers: dict[str, str]) -> str:
        if self.token is not None:
            headers = {**headers, "Authorization": f"Bearer {self.token}"}
        return await self.post.told(msgspec.json.encode(said), headers, self.now())


def alerts(notice: Notice, now: datetime) -> list[dict[str, object]]:
    """Return what to say of one notice.

    The severity is a label, for routes go by it; so with another severity it is another alert
    to Alertmanager, and the one before it has to be ended.
    """
    said = [alert_of(notice, now)]
    if notice.transition is Transition.RAISED:
        before = (each for each in Severity if each.rank < notice.severity.rank)
        said += [alert_of(notice, now, severity=each, over=True) for each in before]
    return said


def alert_of(
    notice: Notice, now: datetime, *, severity: Severity | None = None, over: bool = False
) -> dict[str, object]:
    over = over or notice.transition is Transition.RESOLVED
    labels = {
        "alertname": notice.rule,
        "severity": str(severity or notice.severity),
        "area": notice.area,
        "site": notice.site,
        "device": notice.device,
        "socket": "" if notice.channel is None else str(notice.channel),
        "subject": notice.episode.partition("@")[2].rpartition("@")[0],  # a carrier, say
        "drill": "true" if notice.drill else "",
        "source": "chargewatch",
    }
    return {
        # An empty label is none to Prometheus.
        "labels": {name: one_line(value) for name, value in labels.items() if value},
        "annotations": {
            "summary": one_line(notice.title),
            "description": notice.text[:TEXT_CHARS_MAX],
            "episode": one_line(notice.episode),
        },
        "startsAt": notice.began_at,
        "endsAt": now if over else now + LASTS,
        "generatorURL": notice.console_url,
    }
