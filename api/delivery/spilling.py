"""When a notification goes to the recipient's next way as well, because this one fails.

After GB/T 26875.3: a transport confirms within 10 s, and has three tries. That nobody answers
is something else (rules/escalation.py): here nobody was even told.
"""

from datetime import datetime, timedelta

from api.delivery.plans import LaneNow
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, Due

TRIES = 3
PAUSE_TOO_LONG = timedelta(seconds=30)
"""What danger waits for a provider that asked for a pause."""
PATIENCE = timedelta(minutes=10)
"""What all else waits for a way that fails."""


def to_spill(item: Due | Digest, lane: LaneNow, now: datetime) -> bool:
    """Say whether what waits is to be told by another way too."""
    if not item.recipient:
        return False
    paused = lane.paused_until is not None and lane.paused_until > now
    if item.urgency == FIRST:
        too_long = lane.paused_until is not None and lane.paused_until > now + PAUSE_TOO_LONG
        return item.attempts >= TRIES or lane.is_down or too_long
    since = item.made_at if isinstance(item, Digest) else item.created_at
    return now - since >= PATIENCE and (item.attempts > 0 or lane.is_down or paused)
