"""What would have fired: alerts, from firing to their end, as a list."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from rules.alerts import Alert, AlertKey, State


class Episode(msgspec.Struct, kw_only=True):
    """One alert that people would have been told of."""

    rule: str
    severity: str
    site: str
    device: str | None
    channel: int | None
    fired_at: datetime
    resolved_at: datetime | None = None
    """None: it was still firing at the end."""
    measured: float | None = None
    limit: float | None = None
    unit: str = ""

    @property
    def subject(self) -> str:
        """Return who it is about, in a word."""
        if self.device is None:
            return self.site
        return self.device if self.channel is None else f"{self.device} #{self.channel}"


class Episodes:
    """Collects episodes from the changes that an engine returns."""

    def __init__(self) -> None:
        self.all: list[Episode] = []
        """In the order in which they fired."""
        self._open: dict[AlertKey, Episode] = {}

    def note(self, changes: Iterable[Alert]) -> None:
        for alert in changes:
            if alert.state is State.FIRING:
                self._begin(alert)
            elif alert.state is State.RESOLVED and alert.key in self._open:
                self._end(alert)

    def per_rule(self) -> dict[str, int]:
        return dict(sorted(Counter(each.rule for each in self.all).items()))

    def per_site(self) -> dict[str, int]:
        return dict(sorted(Counter(each.site for each in self.all).items()))

    def _begin(self, alert: Alert) -> None:
        episode = Episode(
            rule=alert.key.rule,
            severity=alert.severity,
            site=alert.site,
            device=alert.key.device,
            channel=alert.key.channel,
            fired_at=alert.since,
        )
        self._open[alert.key] = episode
        self.all.append(episode)
        _measured(episode, alert)

    def _end(self, alert: Alert) -> None:
        episode = self._open.pop(alert.key)
        episode.resolved_at = alert.since
        _measured(episode, alert)


def _measured(episode: Episode, alert: Alert) -> None:
    """Take over the evidence: at the end of an alert it is the worst that was seen."""
    evidence = alert.evidence
    episode.measured, episode.limit = evidence.measured, evidence.limit
    episode.unit = evidence.unit
