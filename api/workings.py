"""How the service does inside: sessions with the broker, lanes, history, disk."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from api.delivery import DeliveryHealth, LaneHealth
from ingest.history_writer import HistoryHealth
from ingest.mqtt import Link, LinkState


class LinkNow(msgspec.Struct, frozen=True, kw_only=True):
    """One session with the broker."""

    name: str
    state: LinkState
    reason: str
    since: datetime
    connections: int
    """How often it was made since the service started."""
    lost: int
    """How often the broker knew nothing of it any more."""
    malformed: int


class Workings(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever serves the service wants to know, at one moment."""

    data_dir: Path
    links: tuple[LinkNow, ...] = ()
    lanes: Mapping[str, LaneHealth] = {}
    failing: Mapping[str, str] = {}
    """Channels and lanes whose last try failed, and why."""
    history: HistoryHealth | None = None


def workings_of(
    links: Sequence[Link],
    lanes: Mapping[str, LaneHealth],
    delivery: DeliveryHealth,
    history: HistoryHealth | None,
    data_dir: Path,
) -> Workings:
    """Return how they all do now."""
    return Workings(
        data_dir=data_dir,
        links=tuple(
            LinkNow(
                name=link.client_id,
                state=link.state,
                reason="" if link.connected else link.reason,
                since=link.since,
                connections=link.counts.connections,
                lost=link.counts.sessions_lost,
                malformed=link.counts.malformed,
            )
            for link in links
        ),
        lanes=dict(lanes),
        failing=dict(delivery.failing),
        history=history,
    )
