"""Asks a running service for its alarms, page by page, and for who was told of each."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from api.score.told import Alarms, AlertLine, Watched, in_order
from ingest.errors import ChargewatchError

PAGE = 1000
PAGES_MAX = 1000
AT_ONCE = 8
"""Alerts that are asked about at a time: a service has other things to do."""
PATIENCE_S = 30.0
TOLD, RESOLVED = "told", "resolved"

T = TypeVar("T")


class ServiceSilent(ChargewatchError):
    """The service does not answer, or not with what was asked for."""


class _Delivery(msgspec.Struct, frozen=True):
    transition: str
    state: str
    reason: str
    told_at: datetime | None


class _Alert(AlertLine, frozen=True, kw_only=True):
    id: int | None


class _Page(msgspec.Struct, frozen=True):
    alerts: list[_Alert]
    next_before_id: int | None


class _InFull(msgspec.Struct, frozen=True):
    alert: _Alert
    deliveries: list[_Delivery]


class _Sites(msgspec.Struct, frozen=True):
    sites: list[msgspec.Raw]


async def alarms_of(
    url: str, token: str, begins: datetime | None, ends: datetime | None
) -> Alarms:
    """Return all alarms that fired in a time, and how many sites there are."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ServiceSilent(f"not http://host:port or https://host: {url}")
    async with httpx.AsyncClient(
        base_url=url.rstrip("/") + "/api/v1",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=PATIENCE_S,
    ) as client:
        service = _Service(client)
        listed = await service.listed(begins, ends)
        sites = await service.ask("/sites", _Sites)
        told = await service.in_full(listed)
    watched = Watched(begins=begins, ends=ends, sites=len(sites.sites))
    return Alarms(watched=watched, episodes=in_order(told))


class _Service:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def ask(self, path: str, kind: type[T], **query: str) -> T:
        try:
            answer = await self._client.get(path, params=query)
        except httpx.HTTPError as error:
            raise ServiceSilent(
                f"{self._client.base_url}: {error or type(error).__name__}"
            ) from error
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise ServiceSilent(
                f"{answer.url}: HTTP {answer.status_code}; give a token that may read, in"
                " CHARGEWATCH_TOKEN or with --token-file"
            )
        if not answer.is_success:
            raise ServiceSilent(f"{answer.url}: HTTP {answer.status_code}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ServiceSilent(f"{answer.url}: no answer of chargewatch: {error}") from error

    async def listed(self, begins: datetime | None, ends: datetime | None) -> list[_Alert]:
        query = {"limit": str(PAGE), "drill": "false"}
        if begins is not None:
            query["since"] = begins.isoformat()
        if ends is not None:
            query["until"] = ends.isoformat()
        found: list[_Alert] = []
        for _ in range(PAGES_MAX):
            page = await self.ask("/alerts", _Page, **query)
            found += page.alerts
            if page.next_before_id is None:
                return found
            query["before_id"] = str(page.next_before_id)
        raise ServiceSilent(f"more than {PAGES_MAX * PAGE} alerts: ask for a shorter time")

    async def in_full(self, listed: Sequence[_Alert]) -> list[AlertLine]:
        return list(await asyncio.gather(*map(self._told, listed)))

    async def _told(self, alert: _Alert) -> AlertLine:
        """Return the alarm with when people first had it, and how many messages that took."""
        async with self._gate:
            full = await self.ask(f"/alerts/{alert.id}", _InFull)
        had = [each for each in full.deliveries if each.state == TOLD and each.told_at]
        first = min(
            (each.told_at for each in had if each.transition != RESOLVED and each.told_at),
            default=None,
        )
        why = "" if first else alert.withheld or _reason(full.deliveries)
        return msgspec.structs.replace(
            alert, told_at=first, notifications=len(had), withheld=why
        )


def _reason(deliveries: Sequence[_Delivery]) -> str:
    """Say why nobody was told."""
    return next((each.reason for each in deliveries), "nobody_to_tell")
