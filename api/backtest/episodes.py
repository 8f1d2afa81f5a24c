"""What would have fired: alerts, from firing to their end, as a list."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from rules.alerts import Alert, AlertKey, Change, Transition


class Episode(msgspec.Struct, kw_only=True):
    """One alert, from firing to its end."""

    rule: str
    severity: str
    """The highest that it reached."""
    site: str
    """Empty: it concerns several."""
    device: str | None
    """None: it is about the site, or `scope`."""
    channel: int | None
    scope: str = ""
    """The group that it is about, if it is no device: "site:area/site", "carrier:name"."""
    fired_at: datetime
    told_at: datetime | None = None
    """When people would have heard of it; None: never, and `withheld` says why."""
    withheld: str = ""
    resolved_at: datetime | None = None
    """None: it was still firing at the end."""
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    notifications: int | None = None
    """Messages that people had about it; None: nobody counted, as in a backtest."""

    @property
    def subject(self) -> str:
        """Return who it is about, in a word."""
        if self.device is None:
            return self.scope
        return self.device if self.channel is None else f"{self.device} #{self.channel}"


class Episodes:
    """Collects episodes from the changes that an engine returns."""

    def __init__(self) -> None:
        self.all: list[Episode] = []
        """In the order in which they fired."""
        self._open: dict[AlertKey, Episode] = {}

    def note(self, changes: Iterable[Change], now: datetime) -> None:
        for alert, transition in changes:
            if transition is Transition.FIRING:
                self._begin(alert, now)
            elif alert.key in self._open:
                self._go_on(alert, now)
                if transition is Transition.RESOLVED:
                    self._open.pop(alert.key).resolved_at = now

    def per_rule(self) -> dict[str, int]:
        return dict(sorted(Counter(each.rule for each in self.all).items()))

    def per_site(self) -> dict[str, int]:
        return dict(sorted(Counter(each.site for each in self.all).items()))

    def _begin(self, alert: Alert, now: datetime) -> None:
        rule, device, channel, group = alert.key
        episode = Episode(
            rule=rule,
            severity=alert.severity,
            site=alert.site,
            device=device,
            channel=channel,
            scope="" if group is None else str(group),
            fired_at=now,
        )
        self._open[alert.key] = episode
        self.all.append(episode)
        self._go_on(alert, now)

    def _go_on(self, alert: Alert, now: datetime) -> None:
        """Take over what became of it; evidence is the worst that was seen."""
        episode, evidence = self._open[alert.key], alert.evidence
        episode.severity, episode.withheld = alert.severity, alert.withheld
        episode.measured, episode.limit = evidence.measured, evidence.limit
        episode.unit = evidence.unit
        if alert.told is not None and episode.told_at is None:
            episode.told_at = now
