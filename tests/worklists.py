"""What a channel without limits would be told now, straight from the ledger."""

from datetime import datetime

import sqlalchemy as sa

from api.channels.lanes import Lane
from api.delivery.planning import plan
from api.delivery.plans import LaneNow
from ingest.ledger import outbox
from ingest.ledger.outbox import URGENCIES, Due


def waiting(connection: sa.Connection, channel: str) -> list[Due]:
    found = [
        item
        for urgency in URGENCIES
        for item in outbox.waiting_after(connection, urgency, 0, 100)
    ]
    return [item for item in found if item.channel == channel]


def due(connection: sa.Connection, channel: str, now: datetime) -> list[Due]:
    lane = LaneNow(lane=Lane(name=channel))
    made = plan(waiting(connection, channel), [], lane, {}, (), now)
    return [parcel.items[0] for parcel in made.send]


def next_due_at(connection: sa.Connection, channel: str, now: datetime) -> datetime | None:
    lane = LaneNow(lane=Lane(name=channel))
    return plan(waiting(connection, channel), [], lane, {}, (), now).wake_at


def was_told(connection: sa.Connection, channel: str) -> bool:
    """Say whether whoever waits for an end on this channel was told of the beginning."""
    return any(
        outbox.before_the_end(connection, item).told for item in waiting(connection, channel)
    )
