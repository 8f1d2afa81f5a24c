"""Tells by what Apprise knows: Telegram, Matrix, Pushover and some hundred ways more.

Apprise answers yes or no and nothing else. So whatever fails is tried again, and there is no
receipt; a provider for which more counts has a file of its own (decision 025).
"""

import asyncio
import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from api.channels import ANSWER_WITHIN, DeliveryFailed, Limits, Notice
from api.channels.posting import unanswered
from api.channels.wording import Look, addresses_of, fitted, lines_of, look_of, title_of
from ingest.errors import ChargewatchError

AT_ONCE_MAX = 4
"""Threads of one address; what hangs there must not keep the ledger's threads."""
TEXT_BYTES_MAX = 3_500
KINDS = {Look.OVER: "success", Look.WARNING: "warning", Look.DRILL: "info"}


class AppriseUrlWrong(ChargewatchError):
    """Apprise cannot make anything of an address."""


@dataclass(frozen=True, kw_only=True)
class ByApprise:
    """One address, as Apprise writes it."""

    name: str
    service: Any = field(repr=False)
    """Apprise's own; it knows its limits and hides its secrets."""
    answer_within: timedelta = ANSWER_WITHIN
    _threads: ThreadPoolExecutor = field(
        default_factory=partial(ThreadPoolExecutor, AT_ONCE_MAX, "apprise"), repr=False
    )

    @staticmethod
    def of(url: str, answer_within: timedelta = ANSWER_WITHIN) -> "ByApprise":
        """Raises AppriseUrlWrong. The name tells addresses apart and gives none away."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it loads what it has
            from apprise import Apprise  # noqa: PLC0415  (half a second, for those who use it)

            service = Apprise.instantiate(url)
        if service is None:
            scheme = url.partition(":")[0] if "://" in url else "?"
            raise AppriseUrlWrong(
                f"an address in CHARGEWATCH_APPRISE__URLS is wrong: {scheme}://…"
            )
        mark = hashlib.sha256(url.encode()).hexdigest()[:6]
        name = f"{service.service_name} {mark}"
        return ByApprise(name=name, service=service, answer_within=answer_within)

    @property
    def limits(self) -> Limits:
        """Apprise counts characters; as many bytes are never more."""
        return Limits(bytes_max=min(TEXT_BYTES_MAX, self.service.body_maxlen))

    async def send(self, notice: Notice) -> str:
        title, tail = title_of(notice), f"\n{addresses_of(notice)}"
        # Where there is no title Apprise puts it before the text.
        room = min(TEXT_BYTES_MAX, self.service.body_maxlen - len(title) - 2)
        told = partial(
            self.service.notify,
            title=title,
            body=fitted("", "\n".join(lines_of(notice)), tail, room, notice),
            notify_type=KINDS.get(look_of(notice), "failure"),
            body_format="text",
        )
        work = asyncio.get_running_loop().run_in_executor(self._threads, told)
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                taken = await work
        except TimeoutError as error:
            raise unanswered(self.answer_within) from error
        if not taken:
            raise DeliveryFailed("Apprise could not tell, and says no more", permanent=False)
        return "Apprise says that it was taken"
