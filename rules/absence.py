"""Which chargers of a group are missed, and which of its sites are dark.

Counted as it changes: a carrier of a hundred thousand chargers that come back one by one
must not be counted anew for each.
"""

from collections import Counter
from datetime import datetime

from rules.readings import DeviceId

DARK_SHARE = 0.5
"""A site is dark while this share of its chargers is missed (ours, as for `site_outage`)."""


def site_of(device: DeviceId) -> str:
    """Return the site that a device's id begins with: area/site/device."""
    return "/".join(device.split("/", 2)[:2])


class Absence:
    """The chargers of a group, how many are missed, and where."""

    def __init__(self) -> None:
        self.chargers = 0
        self.dark_sites: set[str] = set()
        self.since: datetime | None = None
        """When the first of those that are missed was last heard ..."""
        self.until: datetime | None = None
        """... and when the last of them was."""
        self._there: Counter[str] = Counter()
        self._missed_there: Counter[str] = Counter()
        self._missed: set[DeviceId] = set()

    @property
    def missed(self) -> int:
        return len(self._missed)

    @property
    def share(self) -> float:
        """How many of all chargers are missed; 0 if there are none."""
        return len(self._missed) / self.chargers if self.chargers else 0.0

    def expect(self, device: DeviceId) -> None:
        """Count a charger in."""
        self.chargers += 1
        self._count(self._there, site_of(device), 1)

    def dismiss(self, device: DeviceId) -> None:
        """Count a charger out: it is none, or belongs elsewhere."""
        self.found(device)
        self.chargers -= 1
        self._count(self._there, site_of(device), -1)

    def miss(self, device: DeviceId, since: datetime) -> None:
        """Note that a charger is missed; once or twice is the same."""
        if device not in self._missed:
            self.since = min(self.since, since) if self.since else since
            self.until = max(self.until, since) if self.until else since
            self._missed.add(device)
            self._count(self._missed_there, site_of(device), 1)

    def found(self, device: DeviceId) -> None:
        """Note that a charger is not missed, or no more."""
        if device in self._missed:
            self._missed.remove(device)
            self._count(self._missed_there, site_of(device), -1)
            if not self._missed:
                self.since = self.until = None

    def _count(self, counter: Counter[str], site: str, change: int) -> None:
        counter[site] += change
        if not counter[site]:
            del counter[site]
        missed = self._missed_there[site]
        if missed and missed >= DARK_SHARE * self._there[site]:
            self.dark_sites.add(site)
        else:
            self.dark_sites.discard(site)
