"""Which messages were here before: those that a broker or a device sends a second time."""

from collections.abc import Iterable

GENERATION = 50_000
"""Between one and two generations are remembered; a broker holds at most two times 4,000
unconfirmed messages for us (ingest/mqtt.py), and restarts read back 100,000."""


class Seen:
    """Remembers the last identities, in bounded memory and constant time."""

    def __init__(self, identities: Iterable[str] = ()) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()
        for identity in identities:
            self.add(identity)

    def __contains__(self, identity: str) -> bool:
        return identity in self._young or identity in self._old

    def add(self, identity: str) -> None:
        self._young.add(identity)
        if len(self._young) >= GENERATION:
            self._old, self._young = self._young, set()
