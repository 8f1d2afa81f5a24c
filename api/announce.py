"""Who is told of what, and in which words."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from api.channels import Channel, Notice
from api.delivery.digest_words import digest_notice
from api.text import Texts, alert_text, alert_title
from ingest.ledger.commit import ToTell
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import Due
from ingest.registry import Registry
from rules.alerts import Alert, Change, State, Transition
from rules.engine import Engine
from rules.verdict import Severity

FIRST, LATER, LAST = 0, 1, 2


def router(channels: Sequence[Channel]) -> Callable[[Change], Iterable[ToTell]]:
    """Return what decides who is told: for now, every channel of all that people hear."""
    names = tuple(channel.name for channel in channels)

    def to_tell(change: Change) -> Iterable[ToTell]:
        alert, heard = change.alert, heard_as(change)
        if heard is None:
            return
        for name in names:
            yield ToTell(
                idempotency_key=f"{alert.episode}:{key_of(alert, heard)}:{name}",
                episode=alert.episode,
                transition=heard,
                channel=name,
                urgency=urgency(alert, heard),
                alert=alert,
            )

    return to_tell


def heard_as(change: Change) -> Transition | None:
    """Return what people hear of a change; None if nothing.

    What was held back is news when it is released; its end is none if it never was.
    """
    alert = change.alert
    if change.transition is Transition.RELEASED:
        return Transition.FIRING
    if change.transition is Transition.RESOLVED:
        return change.transition if alert.told is not None else None
    return None if alert.withheld else change.transition


def key_of(alert: Alert, heard: Transition) -> str:
    """Return what tells this notification from the others of its episode."""
    if heard is Transition.RAISED:
        return f"raised-{alert.severity}"
    return f"escalated-{alert.tier}" if heard is Transition.ESCALATED else heard


def urgency(alert: Alert, heard: Transition) -> int:
    """Return 0 for what goes first: danger, warnings, and then good news and drills."""
    if heard is Transition.RESOLVED or alert.drill:
        return LAST
    return LATER if alert.severity is Severity.WARNING else FIRST


class Composer:
    """Puts notifications into words when they are sent, in their reader's language."""

    def __init__(self, registry: Registry, console_url: str) -> None:
        self._registry, self._console_url = registry, console_url

    def notice(self, item: Due, language: str) -> Notice:
        worded = wording(self._registry, Texts.of(language), self._console_url)
        return worded(item.alert, Transition(item.transition), item.idempotency_key)

    def digest(self, digest: Digest, items: Sequence[Due], language: str) -> Notice:
        say = Texts.of(language)
        return digest_notice(digest, items, self._registry, say, self._console_url)


def wording(
    registry: Registry, say: Texts, console_url: str
) -> Callable[[Alert, Transition, str], Notice]:
    """Return what puts an alert's transition into words, under an idempotency key."""

    def worded(alert: Alert, heard: Transition, key: str) -> Notice:
        area, _, site = alert.site.partition("/")
        return Notice(
            idempotency_key=key,
            episode=alert.episode,
            transition=heard,
            rule=alert.key.rule,
            severity=alert.severity,
            area=area,
            site=site,
            device=alert.key.device or "",
            channel=alert.key.channel,
            at=alert.since,
            began_at=alert.began_at,
            language=say.lang,
            title=title_heard(alert, heard, registry, say),
            text=alert_text(alert, registry, say),
            evidence=msgspec.to_builtins(alert.evidence),
            console_url=console_url,
            drill=alert.drill,
        )

    return worded


def firing_notices(
    engine: Engine, registry: Registry, say: Texts, console_url: str
) -> Callable[[], Sequence[Notice]]:
    """Return what words all that fires now and was told, for who has to hear it repeatedly."""
    worded = wording(registry, say, console_url)

    def firing() -> Sequence[Notice]:
        return [
            worded(alert, Transition.FIRING, alert.episode)
            for alert in engine.open_alerts()
            if alert.state is State.FIRING and alert.told is not None
        ]

    return firing


def title_heard(alert: Alert, heard: Transition, registry: Registry, say: Texts) -> str:
    """Return the alert's title; that it became worse, or nobody answered, goes before it."""
    title = alert_title(alert, registry, say)
    if heard in {Transition.RAISED, Transition.ESCALATED}:
        return say(f"heard.{heard}", title=title)
    return title
