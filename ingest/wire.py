"""The words between the broker and the rules: a message, what a codec makes of it, refusals.

A codec is one file in ingest/codecs/ that knows one dialect. It is pure: it reads no clock
and keeps no state. Two questions are asked of it, `address` once per topic (the answer is
cached) and `decode` for each message.
"""

from collections.abc import Container
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from rules.readings import Kind, Reading

PAYLOAD_BYTES_MAX = 64 * 1024
"""A pile of 16 sockets says all it knows in 4 KiB; nothing honest comes near this."""

NAME_CHARS_MAX = 128


class Message(msgspec.Struct, frozen=True, gc=False):
    """A publication as it arrived. `again`: the broker has sent it before."""

    topic: str
    payload: bytes
    received_at: datetime
    retained: bool = False
    again: bool = False


class Refusal(StrEnum):
    """Why a message is kept in quarantine instead of the history."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_TOPIC = "unknown_topic"
    BAD_NAME = "bad_name"
    NOT_ITS_OWN = "not_its_own"
    RETAINED_OLD = "retained_old"
    CLOCK_WRONG = "clock_wrong"
    """The readings are kept all the same, under their time of arrival."""
    TOO_MANY_DEVICES = "too_many_devices"


class Rejected(msgspec.Struct, frozen=True):
    """A message that cannot be used. It is a value, no exception: bad input is normal."""

    reason: Refusal
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


class Ignored(msgspec.Struct, frozen=True):
    """A message that is in order and says nothing about a device: a command, discovery."""

    why: str


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A device's answer to the command with this id: carried out, or why not."""

    id: str
    ok: bool
    detail: str = ""


class Said(msgspec.Struct, frozen=True, gc=False):
    """What a codec understood. `at` is the device's own claim, believed or not elsewhere.

    `identity` is given where the device numbers its messages, else None.
    """

    readings: tuple[Reading, ...]
    at: datetime | None = None
    identity: str | None = None
    buffered: bool = False
    """The device says itself that it had kept this message back."""
    presence_only: bool = False
    """A birth or a last will, which is meant to be retained."""
    reply: Reply | None = None


class Profile(msgspec.Struct, frozen=True):
    """What a codec may know of the device that speaks: from the registry, or a guess."""

    kind: Kind = Kind.UNKNOWN
    zone: ZoneInfo = ZoneInfo("Asia/Shanghai")


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """An order to switch one socket, on its way into a dialect.

    `channel` is None where the whole device is one socket; `sockets` is how many it has.
    """

    id: str
    on: bool
    channel: int | None
    sockets: int
    expires_at: datetime


class Codec(Protocol):
    """One dialect. `name` is the word for it in the registry and on the command line."""

    @property
    def name(self) -> str: ...

    @property
    def filters(self) -> tuple[str, ...]:
        """The topic filters to subscribe to."""
        ...

    @property
    def urgent_filters(self) -> tuple[str, ...]:
        """Those of `filters` that carry safety events only, for the fast lane."""
        ...

    @property
    def names_matter(self) -> bool:
        """Say whether a topic's address depends on which names are known."""
        ...

    def address(self, topic: str, known: Container[str]) -> str | Rejected | Ignored | None:
        """Return the speaking device's name in this dialect, or None: not my topic.

        `known` holds the registered names, for dialects whose topics are ambiguous.
        """
        ...

    def decode(
        self, message: Message, name: str, profile: Profile
    ) -> Said | Rejected | Ignored:
        """Understand a message whose topic is `name`'s; never raises, whatever the bytes."""
        ...

    def command(self, name: str, switch: Switch) -> tuple[str, bytes] | None:
        """Return the topic and the payload that switch a socket; None: it cannot be said."""
        ...


def bad_name(name: str) -> str | None:
    """Say what is wrong with a device-supplied name, if anything.

    Names go into topics, databases, pages and messages to people: control characters and
    the wildcards of MQTT are refused at the door, everything else is escaped where used.
    """
    if not name or name != name.strip():
        return "empty, or blank at an end"
    if len(name) > NAME_CHARS_MAX:
        return f"longer than {NAME_CHARS_MAX} characters"
    if not name.isprintable():
        return "contains a control character"
    if any(char in name for char in "+#"):
        return "contains + or #"
    return None
