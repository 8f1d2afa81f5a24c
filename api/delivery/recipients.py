"""By which channel somebody is reached now: the directory may change at any time."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from api.channels import Channel
from api.channels.lanes import Lane
from api.channels.ways import WayNotSetUp, name_of
from ingest.errors import ChargewatchError
from ingest.ledger.outbox import FIRST, Reason
from ingest.people import Directory, Person, Post, Via, Way


class Unreachable(ChargewatchError):
    """There is nobody, or no such way to reach them."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason, self.detail = reason, detail or str(reason)


class Reachable(msgspec.Struct, frozen=True, kw_only=True):
    """How one message gets to its recipient."""

    channel: Channel
    lane: Lane
    language: str


class Made(Protocol):
    """A channel that knows its lane."""

    @property
    def lane(self) -> Lane: ...

    @property
    def channel(self) -> Channel: ...


ChannelFor = Callable[[Way, str], Made]
"""Makes a channel of a way of `person:{id}` or `post:{id}`; raises WayNotSetUp."""


class Recipients:
    """The channels of the settings, and the ways of people and posts."""

    def __init__(
        self,
        channels: Iterable[Channel],
        lane_of: Callable[[Channel], Lane],
        language: str,
        directory: Directory,
        channel_for: ChannelFor,
    ) -> None:
        self._house = {
            channel.name: Reachable(channel=channel, lane=lane_of(channel), language=language)
            for channel in channels
        }
        self._directory, self._channel_for = directory, channel_for

    @property
    def house(self) -> tuple[str, ...]:
        """The names of the channels of the settings."""
        return tuple(self._house)

    def reached(self, channel: str, recipient: str) -> Reachable:
        """Return how to reach somebody by the channel of that name. Raises Unreachable."""
        if not recipient:
            if channel not in self._house:
                raise Unreachable(Reason.NO_SUCH_CHANNEL)
            return self._house[channel]
        somebody = self._somebody(recipient)
        via = channel.partition(":")[0]
        way = next((way for way in somebody.ways if way.via == via), None)
        if way is None:
            raise Unreachable(Reason.NO_SUCH_WAY)
        try:
            made = self._channel_for(way, recipient)
        except WayNotSetUp as error:
            raise Unreachable(Reason.WAY_NOT_SET_UP, str(error)) from error
        return Reachable(channel=made.channel, lane=made.lane, language=somebody.language)

    def others(self, channel: str, recipient: str, urgency: int) -> list[str]:
        """Return the names of the recipient's other channels, in the order of their wish.

        Nobody is called for what is no danger.
        """
        try:
            ways = self._somebody(recipient).ways if recipient else ()
        except Unreachable:
            return []
        silent = urgency != FIRST
        names = [
            name_of(way.via, recipient) for way in ways if not (silent and way.via is Via.VOICE)
        ]
        return [name for name in names if name != channel]

    def _somebody(self, recipient: str) -> Person | Post:
        kind, _, number = recipient.partition(":")
        known = self._directory.people if kind == "person" else self._directory.posts
        somebody = known.get(number)
        if somebody is None or not somebody.active:
            raise Unreachable(Reason.NO_SUCH_RECIPIENT)
        return somebody


def is_no_call(channel: str, recipient: str, urgency: int) -> bool:
    """Say whether somebody would be called for what is not worth it."""
    return bool(recipient) and channel.startswith(f"{Via.VOICE}:") and urgency != FIRST
