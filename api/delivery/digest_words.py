"""What a digest says: how many of what and where, the worst by name, and where to look."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from api.channels import Notice
from api.text import Texts, alert_title
from api.text.explaining import area_name, zone_of
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, Due
from ingest.registry import Registry
from rules.alerts import Alert, Transition
from rules.verdict import Severity

FIRE_RULES = frozenset({"fire", "smoke"})
NAMED_MAX = 10
"""Alarms that are named; the others are counted."""
COUNTED_MAX = 8
"""Rules and areas that are named in the counts."""


class _Told(msgspec.Struct, frozen=True):
    """One alarm of a digest: the newest that is known of it here."""

    alert: Alert
    over: bool

    @property
    def place(self) -> tuple[bool, int, int, float]:
        """What tells the worse: not over, its level, fire, how old it is."""
        alert = self.alert
        fire = alert.key.rule in FIRE_RULES
        return (self.over, -alert.severity.rank, -int(fire), alert.began_at.timestamp())


def digest_notice(
    digest: Digest, items: Sequence[Due], registry: Registry, say: Texts, console_url: str
) -> Notice:
    """Return a digest in the words of one language; `items` are what it has to tell of."""
    newest = {item.episode: item for item in sorted(items, key=lambda item: item.id)}
    told = sorted(
        (_Told(item.alert, item.transition == Transition.RESOLVED) for item in newest.values()),
        key=lambda each: each.place,
    )
    alerts = [each.alert for each in told]
    lasting = [each.alert for each in told if not each.over]
    areas = {alert.site.partition("/")[0] for alert in alerts}
    return Notice(
        idempotency_key=digest.idempotency_key,
        episode=digest.idempotency_key,
        transition=Transition.FIRING if lasting else Transition.RESOLVED,
        rule="digest",
        severity=max((alert.severity for alert in lasting or alerts), key=_rank),
        area=areas.pop() if len(areas) == 1 else "",
        site="",
        device="",
        channel=None,
        at=digest.made_at,
        began_at=min(alert.began_at for alert in alerts),
        language=say.lang,
        title=_title(digest, told, say),
        text="\n".join(_lines(told, registry, say)),
        evidence={"alarms": len(alerts), "over": len(alerts) - len(lasting)},
        console_url=console_url,
        drill=all(alert.drill for alert in alerts),
    )


def _title(digest: Digest, told: Sequence[_Told], say: Texts) -> str:
    over = sum(each.over for each in told)
    fires = sum(each.alert.key.rule in FIRE_RULES and not each.over for each in told)
    if digest.urgency != FIRST or over == len(told):
        return say("digest.title.rest", count=say.number(len(told)), over=say.number(over))
    kind = "fire" if fires else "danger"
    count = say.number(len(told))
    return say(f"digest.title.{kind}", count=count, fires=say.number(fires))


def _lines(told: Sequence[_Told], registry: Registry, say: Texts) -> Iterable[str]:
    alerts = [each.alert for each in told]
    kinds = Counter((alert.key.rule, alert.severity) for alert in alerts)
    yield say(
        "digest.what",
        counts=_counts(
            {
                say(
                    "digest.kind",
                    rule=say.word("rule", f"{rule}.name"),
                    severity=say.word("severity", severity),
                ): count
                for (rule, severity), count in kinds.items()
            },
            say,
        ),
    )
    areas = Counter(area_name(registry, alert.site, say) for alert in alerts)
    yield say("digest.where", counts=_counts(areas, say))
    for each in told[:NAMED_MAX]:
        yield say("digest.named", what=_named(each, registry, say))
    if len(told) > NAMED_MAX:
        yield say("digest.more", count=say.number(len(told) - NAMED_MAX))
    yield say("digest.why")


def _named(told: _Told, registry: Registry, say: Texts) -> str:
    alert = told.alert
    title, zone = alert_title(alert, registry, say), zone_of(registry, alert.site)
    began = say.zoned(alert.began_at, zone)
    if told.over:
        ended = say.zoned(alert.since, zone)
        return say("digest.over", title=title, began=began, ended=ended)
    return say("digest.open", title=title, began=began)


def _counts(counted: dict[str, int], say: Texts) -> str:
    """Return the largest counts by name, and what the others come to."""
    largest = Counter(counted).most_common()
    named = [
        say("digest.count", what=what, count=say.number(count))
        for what, count in largest[:COUNTED_MAX]
    ]
    if rest := sum(count for _, count in largest[COUNTED_MAX:]):
        named.append(say("digest.others", count=say.number(rest)))
    return say("digest.comma").join(named)


def _rank(severity: Severity) -> int:
    return severity.rank
