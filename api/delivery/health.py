"""How the telling of people does."""

from datetime import datetime

import msgspec


class DeliveryHealth(msgspec.Struct):
    told: int = 0
    tries_failed: int = 0
    given_up: int = 0
    spilled: int = 0
    digests: int = 0
    """Those that were told."""
    failing: dict[str, str] = {}
    """Channels of the settings, and lanes of people's, whose last try failed, and why."""
    stuck_since: dict[str, datetime] = {}
    """Those that are tried again and again, and since when."""

    def works(self, name: str) -> None:
        self.failing.pop(name, None)
        self.stuck_since.pop(name, None)
