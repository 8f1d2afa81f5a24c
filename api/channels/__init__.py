"""The ways of telling people and their machines: one file for each.

A channel says one thing to one address, once per call. Whom to tell, what, when and how
often is decided elsewhere; a channel only reports what became of it. It may be called again
with the same notice after a crash, and passes the idempotency key on for that reason.
"""

from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from ingest.errors import ChargewatchError
from rules.alerts import Transition
from rules.verdict import Severity

ANSWER_WITHIN = timedelta(seconds=10)
"""A transport must confirm within 10 s (GB/T 26875.3); later counts as not at all."""

RETRY_AFTER_MAX = timedelta(hours=1)
"""The longest pause that a receiver may ask for."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell one recipient, with its words already in the recipient's language.

    Texts may hold names that came from devices: each channel escapes for its own medium.
    """

    idempotency_key: str
    """The same whenever the same thing is told to the same recipient."""
    episode: str
    transition: Transition
    """FIRING, RAISED or RESOLVED."""
    rule: str
    severity: Severity
    area: str
    site: str
    device: str
    """Empty: the whole site, or (without a site) several."""
    channel: int | None
    """The socket, counted from 1; None: the whole device."""
    at: datetime
    """When the alert made this transition (UTC)."""
    began_at: datetime
    language: str
    """Of the texts: a key of `api.text.LANGUAGES`."""
    title: str
    text: str
    evidence: dict[str, Any]
    console_url: str
    answer_url: str = ""
    """Opens without a login, answers once, and says who; empty: there is nothing to answer."""
    drill: bool = False
    """Nothing is wrong: it was ordered, to see whether people are told."""


class DeliveryFailed(ChargewatchError):
    """A channel could not deliver. It is tried again, unless that is `permanent`ly useless.

    `retry_after` is what the receiver asked for, at most RETRY_AFTER_MAX; None: no wish.
    """

    def __init__(
        self, reason: str, *, permanent: bool, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.retry_after = retry_after


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider takes; None: it says nothing of that."""

    bytes_max: int | None = None
    """The largest message. The channel itself cuts to it."""
    per_minute: int | None = None
    """Messages. Whoever hands them to the channel is to keep to it."""


UNLIMITED = Limits()


class Channel(Protocol):
    """One way to one address. `name` is what people and the outbox call it."""

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    async def send(self, notice: Notice) -> str:
        """Tell it, and return the receiver's confirmation in a few words.

        Raises DeliveryFailed, at the latest after ANSWER_WITHIN.
        """
        ...


def one_line(text: str, chars_max: int = 200) -> str:
    """Return `text` without line breaks and control characters, and not too long."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:chars_max]
