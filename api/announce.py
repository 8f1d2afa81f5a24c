"""Who is told of what, and in which words."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from api.channels import Channel, Notice
from api.delivery.digest_words import digest_notice
from api.routing import ALL_WAYS, Case, Routing, routed
from api.text import Texts, alert_text, alert_title
from ingest.intake import Announce
from ingest.ledger.commit import ToTell
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import NOBODY, Due
from ingest.people import Directory, Route, Via
from ingest.registry import Registry
from rules.alerts import Alert, Change, State, Transition
from rules.engine import Engine
from rules.schedule import Calendar
from rules.verdict import Severity

FIRST, LATER, LAST = 0, 1, 2

AnswerUrl = Callable[[Due, str], str]
"""Makes the address that answers a notification, in a language; empty: there is none."""


def announcer(
    channels: Sequence[Channel],
    directory: Directory | None = None,
    set_up: Collection[Via] = ALL_WAYS,
) -> Announce:
    """Return what decides who is told: all channels of the settings, and people by routes.

    Whoever a route names and is not told is written down too, with the reason.
    """
    names = tuple(channel.name for channel in channels)
    people, calendar = directory or Directory(), Calendar()

    def to_tell(change: Change, now: datetime) -> Iterable[ToTell]:
        heard = heard_as(change)
        if heard is None:
            return
        told = _to_tell(change.alert, heard)
        stem = told.idempotency_key
        for name in names:
            yield replace(told, idempotency_key=f"{stem}{name}", channel=name)
        if heard is Transition.RESOLVED:
            if people.people or people.posts:
                yield replace(told, to_all_who_heard=True)
            return
        yield from _to_people(
            told, routed(people, Case.of(change.alert, heard), now, set_up, calendar)
        )

    return to_tell


def handed_to(directory: Directory, alert: Alert, to: str, now: datetime) -> Iterator[ToTell]:
    """Yield the notifications of an alert that is handed over: as if one route led to `to`."""
    route = Route(id="handed", tiers=((to,),))
    only = Directory(directory.people.values(), directory.posts.values(), [route])
    case = replace(Case.of(alert, Transition.HANDED), tier=1)
    routing = replace(routed(only, case, now), reached_nobody=None)
    told = _to_tell(alert, Transition.HANDED)
    moment = int(now.timestamp() * 1_000_000)  # it may be handed to and fro
    stem = told.idempotency_key.removesuffix(":")
    yield from _to_people(replace(told, idempotency_key=f"{stem}-{moment}:"), routing)


def _to_tell(alert: Alert, heard: Transition) -> ToTell:
    """Return what is the same for everybody; the key has a channel at its end."""
    return ToTell(
        idempotency_key=f"{alert.episode}:{key_of(alert, heard)}:",
        episode=alert.episode,
        transition=heard,
        channel="",
        urgency=urgency(alert, heard),
        alert=alert,
        tier=alert.tier,
    )


def _to_people(told: ToTell, routing: Routing) -> Iterator[ToTell]:
    stem = told.idempotency_key
    for each in routing.told:
        yield replace(
            told,
            idempotency_key=f"{stem}{each.channel}",
            channel=each.channel,
            recipient=each.recipient,
            tier=each.tier,
        )
    for other in routing.not_told:
        yield replace(
            told,
            idempotency_key=f"{stem}{other.recipient}",
            recipient=other.recipient,
            tier=other.tier,
            not_told=other.reason,
        )
    if routing.reached_nobody is not None:
        yield replace(
            told,
            idempotency_key=f"{stem}{NOBODY}",
            channel=NOBODY,
            not_told=routing.reached_nobody,
        )


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
    if heard is Transition.REMINDED and alert.reminded_at is not None:
        return f"reminded-{int(alert.reminded_at.timestamp())}"
    return f"escalated-{alert.tier}" if heard is Transition.ESCALATED else heard


def urgency(alert: Alert, heard: Transition) -> int:
    """Return 0 for what goes first: danger, warnings, and then good news and drills.

    Who is reminded of a danger that somebody sees to is not called for it.
    """
    if heard is Transition.RESOLVED or alert.drill:
        return LAST
    if heard is Transition.REMINDED and alert.acknowledged_at is not None:
        return LATER
    return LATER if alert.severity is Severity.WARNING else FIRST


class Composer:
    """Puts notifications into words when they are sent, in their reader's language."""

    def __init__(
        self, registry: Registry, console_url: str, answer_url: AnswerUrl | None = None
    ) -> None:
        self._registry, self._console_url = registry, console_url
        self._answer_url = answer_url or (lambda _item, _language: "")

    def notice(self, item: Due, language: str) -> Notice:
        worded = wording(self._registry, Texts.of(language), self._console_url)
        notice = worded(item.alert, Transition(item.transition), item.idempotency_key)
        return replace(notice, answer_url=self._answer_url(item, language))

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
    if heard in {Transition.FIRING, Transition.RESOLVED}:
        return title
    return say(f"heard.{heard}", title=title)
