"""Who is told of what, and in which words."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from api.channels import Channel, Notice, Transition
from api.text import Texts, alert_text, alert_title
from ingest.ledger.commit import ToTell
from ingest.ledger.outbox import Due
from ingest.registry import Registry
from rules.alerts import Alert, State
from rules.rule import Severity

FIRST, LATER, LAST = 0, 1, 2


def router(channels: Sequence[Channel]) -> Callable[[Alert], Iterable[ToTell]]:
    """Return what decides who is told: for now, every channel of every alarm and its end."""
    names = tuple(channel.name for channel in channels)

    def to_tell(alert: Alert) -> Iterable[ToTell]:
        episode = alert.episode
        for name in names:
            yield ToTell(
                idempotency_key=f"{episode}:{alert.state}:{name}",
                episode=episode,
                transition=alert.state,
                channel=name,
                urgency=urgency(alert),
                alert=alert,
            )

    return to_tell


def urgency(alert: Alert) -> int:
    """Return 0 for what goes first: danger before warnings, warnings before good news."""
    if alert.state is not State.FIRING:
        return LAST
    return FIRST if alert.severity is Severity.CRITICAL else LATER


def composer(registry: Registry, say: Texts, console_url: str) -> Callable[[Due], Notice]:
    """Return what puts a notification into words, at the moment it is sent."""

    def compose(item: Due) -> Notice:
        alert = item.alert
        area, _, site = alert.site.partition("/")
        return Notice(
            idempotency_key=item.idempotency_key,
            episode=item.episode,
            transition=Transition(alert.state),
            rule=alert.key.rule,
            severity=alert.severity,
            area=area,
            site=site,
            device=alert.key.device,
            channel=alert.key.channel,
            at=alert.since,
            began_at=alert.began_at,
            title=alert_title(alert, registry, say),
            text=alert_text(alert, registry, say),
            evidence=msgspec.to_builtins(alert.evidence),
            console_url=console_url,
        )

    return compose
