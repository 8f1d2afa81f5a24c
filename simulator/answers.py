"""What a service says of what was done to its devices: asked over its API, as anybody may."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
import msgspec

from simulator.improvising import Deed

PATIENCE_S = 5.0
AT_MOST = 200
EARLIER = timedelta(seconds=5)
"""So much earlier than it was done an alarm may have fired: clocks differ."""
TOLD, RESOLVED = "told", "resolved"

T = TypeVar("T")


class Alarm(msgspec.Struct, kw_only=True):
    """An alert of the API, as far as it matters here."""

    id: int
    rule: str
    site: str
    device: str = ""
    channel: int | None = None
    fired_at: datetime
    resolved_at: datetime | None = None
    withheld: str = ""
    told_at: datetime | None = None
    """When somebody first had it; it takes a question of its own."""


class _Page(msgspec.Struct):
    alerts: list[Alarm]


class _Delivery(msgspec.Struct):
    transition: str
    state: str
    told_at: datetime | None = None


class _InFull(msgspec.Struct):
    deliveries: list[_Delivery]


class Answers:
    """Asks again and again. `trouble` says why there is no answer, if there is none."""

    def __init__(self, url: str, token: str) -> None:
        self.trouble = "" if url else "no service"
        self.alarms: dict[int, Alarm] = {}
        self._client = httpx.AsyncClient(
            base_url=(url or "http://127.0.0.1").rstrip("/") + "/api/v1",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=PATIENCE_S,
        )
        self._asks = bool(url)

    async def ask(self, deeds: Iterable[Deed]) -> None:
        """Ask for the alarms since the first deed, and who was told of those about one."""
        deeds = list(deeds)
        if not self._asks:
            return
        try:
            if not deeds:
                await self._get("/alerts", _Page, limit="1")
            else:
                since = min(deed.since for deed in deeds) - EARLIER
                query = {"since": since.isoformat(), "limit": str(AT_MOST), "drill": "false"}
                recent = await self._get("/alerts", _Page, **query)
                still = await self._get("/alerts", _Page, state="firing", limit=str(AT_MOST))
                for alarm in (*recent.alerts, *still.alerts):
                    known = self.alarms.get(alarm.id)
                    alarm.told_at = known.told_at if known else None
                    self.alarms[alarm.id] = alarm
                await self._ask_who_was_told(deeds)
        except httpx.HTTPStatusError as error:
            self.trouble = f"HTTP {error.response.status_code}"
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            self.trouble = str(error) or type(error).__name__
        else:
            self.trouble = ""

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask_who_was_told(self, deeds: list[Deed]) -> None:
        for alarm in self.alarms.values():
            if alarm.told_at is None and any(concerns(alarm, deed) for deed in deeds):
                full = await self._get(f"/alerts/{alarm.id}", _InFull)
                alarm.told_at = min(
                    (
                        each.told_at
                        for each in full.deliveries
                        if each.state == TOLD
                        and each.transition != RESOLVED
                        and each.told_at is not None
                    ),
                    default=None,
                )

    async def _get(self, path: str, kind: type[T], **query: str) -> T:
        answer = await self._client.get(path, params=query)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one deed."""

    alarm: Alarm | None
    """The first that was expected."""
    others: tuple[str, ...] = ()
    """Rules that fired about it, too."""
    wrong: Alarm | None = None
    """One that must not have come of it."""
    already: Alarm | None = None
    """An expected one that was firing before: a second is not due."""


def outcome(deed: Deed, alarms: Iterable[Alarm], deeds: Iterable[Deed] = ()) -> Outcome:
    """Return the alarm that came of a deed, and what else was said of its subject since.

    What came of another of `deeds` is not laid at its door.
    """
    others = [each for each in deeds if each is not deed]
    alarms = sorted(alarms, key=lambda each: each.fired_at)
    about = [each for each in alarms if concerns(each, deed)]
    first = next((each for each in about if each.rule in deed.expected), None)
    before = (
        each
        for each in alarms
        if each.rule in deed.expected
        and is_of(each, deed)
        and each.fired_at < deed.since - EARLIER
        and (each.resolved_at is None or each.resolved_at > deed.since)
    )
    return Outcome(
        alarm=first,
        others=tuple(dict.fromkeys(each.rule for each in about if each is not first)),
        wrong=next((each for each in about if _is_wrong(each, deed, others)), None),
        already=next(before, None),
    )


def concerns(alarm: Alarm, deed: Deed) -> bool:
    """Say whether an alarm is about somebody to whom it was done, and not from before."""
    return is_of(alarm, deed) and alarm.fired_at >= deed.since - EARLIER


def _is_wrong(alarm: Alarm, deed: Deed, others: Iterable[Deed]) -> bool:
    return alarm.rule in deed.must_not and not any(
        alarm.rule in each.expected and concerns(alarm, each) for each in others
    )


def is_of(alarm: Alarm, deed: Deed) -> bool:
    device, channel = deed.place
    if alarm.site not in deed.sites or (alarm.device and device not in {"", alarm.device}):
        return False
    return alarm.channel is None or channel in {None, alarm.channel}
