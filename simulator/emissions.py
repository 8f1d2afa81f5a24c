"""What devices say on its way to the broker, and the chance that decides what they say."""

from datetime import datetime
from random import Random

import msgspec


class Emission(msgspec.Struct, frozen=True):
    """One message on its way to the broker, at a virtual moment (UTC)."""

    at: datetime
    device: str
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    last_will: bool = False
    """The broker says this one, because the device's connection has broken."""


def stream(seed: int, device: str, purpose: str = "") -> Random:
    """Return the random stream of one device: of nobody else's, and the same for ever."""
    return Random(f"{seed}/{device}/{purpose}" if purpose else f"{seed}/{device}")  # noqa: S311
