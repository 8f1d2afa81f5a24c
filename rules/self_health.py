"""What the service knows of its own hearing and speech: facts only, the policy has the limits.

The shell hands them in (`Engine.note_health`); what it cannot know is None, never zero.
"""

from datetime import datetime, timedelta

import msgspec


class SelfHealth(msgspec.Struct, frozen=True, kw_only=True):
    lag: timedelta = timedelta(0)
    """How long the oldest message of the last batch had waited to be judged."""
    ledger_away: timedelta = timedelta(0)
    """How long the ledger could not be written until just now; 0: it could."""
    broker_dropped: int | None = None
    """How many messages the broker has thrown away in the last ten minutes."""
    history_failing_since: datetime | None = None
    delivery_failing_since: datetime | None = None
    """Since when some channel has tried in vain to tell people."""
