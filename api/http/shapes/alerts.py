"""Alerts, their explanations and their logs."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Shape, shown
from api.text import Explanation
from ingest.ledger.queries import AlertRow, DeliveryRow, EventRow
from rules.alerts import Alert as OpenAlert
from rules.verdict import Evidence


class Measured(Shape):
    """What was measured against which limit."""

    measured: float | None
    limit: float | None
    unit: str
    since: datetime | None
    until: datetime | None
    detail: str

    @classmethod
    def of(cls, evidence: Evidence) -> "Measured":
        return cls(
            measured=evidence.measured,
            limit=evidence.limit,
            unit=evidence.unit,
            since=evidence.since,
            until=evidence.until,
            detail=evidence.detail,
        )


ALERT: dict[str, JsonValue] = {
    "id": 17,
    "rule": "overload",
    "device": "xuhui/renmin-lu/pile-1",
    "scope": "",
    "channel": 3,
    "site": "xuhui/renmin-lu",
    "severity": "critical",
    "state": "firing",
    "began_at": WHEN,
    "fired_at": WHEN,
    "resolved_at": None,
    "evidence": {
        "measured": 1203.0,
        "limit": 1000.0,
        "unit": "W",
        "since": WHEN,
        "until": None,
        "detail": "",
    },
    "acknowledged_at": None,
    "acknowledged_by": None,
    "note": "",
    "withheld": "",
    "flaps": False,
    "tier": 1,
    "drill": False,
    "handler": "",
    "handler_since": None,
}


class Alert(Shape):
    """One episode. A pending one has no id yet, and may vanish without a trace."""

    id: int | None
    rule: str
    device: str
    """Empty: it concerns a whole group, which `scope` names."""
    scope: str
    """"site:{area}/{site}", "carrier:{name}" or "all:"; empty: one device."""
    channel: int | None
    site: str
    """Empty: it concerns several."""
    severity: str
    state: str
    began_at: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    evidence: Measured
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str
    withheld: str
    """Why people are not told of it, as "inhibited:{rule}" or "silenced:{id}"; empty: they
    are."""
    flaps: bool
    """It comes and goes, and ends only when it has been quiet for long."""
    tier: int
    """How far it has escalated while nobody acknowledged it; 1: not at all."""
    drill: bool
    """It was ordered, to see whether people are told; nothing is wrong."""
    handler: str
    """Who has taken it over; or, without `handler_since`, who is asked to; empty: nobody."""
    handler_since: datetime | None

    model_config = shown(ALERT)

    @classmethod
    def of(cls, alert: AlertRow) -> "Alert":
        names = [name for name in cls.model_fields if name != "evidence"]
        values = {name: getattr(alert, name) for name in names}
        return cls(evidence=Measured.of(alert.evidence), **values)

    @classmethod
    def of_pending(cls, alert: OpenAlert) -> "Alert":
        return cls(
            id=None,
            rule=alert.key.rule,
            device=alert.key.device or "",
            scope="" if alert.key.group is None else str(alert.key.group),
            channel=alert.key.channel,
            site=alert.site,
            severity=alert.severity,
            state=alert.state,
            began_at=alert.began_at,
            fired_at=None,
            resolved_at=None,
            evidence=Measured.of(alert.evidence),
            acknowledged_at=None,
            acknowledged_by=None,
            note="",
            withheld=alert.withheld,
            flaps=alert.flaps,
            tier=alert.tier,
            drill=alert.drill,
            handler="",
            handler_since=None,
        )


class Alerts(Shape):
    """Newest first."""

    alerts: list[Alert]
    next_before_id: int | None
    """Ask again with `before_id` set to this for the next page; null: this was the last."""

    model_config = shown({"alerts": [ALERT], "next_before_id": None})


class Words(Shape):
    """The alert explained in one language."""

    title: str
    text: str
    where: str
    measured: str
    limit: str
    began: str
    basis: str
    advice: str
    remarks: list[str]
    """That it comes and goes, that nobody acknowledges it, that people are not told."""

    @classmethod
    def of(cls, words: Explanation) -> "Words":
        values = {name: getattr(words, name) for name in cls.model_fields}
        return cls(**values | {"remarks": list(words.remarks)})


class LogLine(Shape):
    at: datetime
    what: str
    who: str
    detail: str

    @classmethod
    def of(cls, event: EventRow) -> "LogLine":
        return cls(at=event.at, what=event.what, who=event.who, detail=event.detail)


class Delivery(Shape):
    """One notification, and in `reason` why it is where it is."""

    id: int
    transition: str
    channel: str
    recipient: str
    """`person:{id}` or `post:{id}`; empty: whoever reads this channel of the settings."""
    tier: int
    state: str
    reason: str
    attempts: int
    created_at: datetime
    next_at: datetime
    told_at: datetime | None
    receipt: str
    spilled_from: int | None
    """The notification whose way failed before this one was taken."""
    digest: int | None
    """What is told together has the same."""

    @classmethod
    def of(cls, delivery: DeliveryRow) -> "Delivery":
        return cls(**{name: getattr(delivery, name) for name in cls.model_fields})


class AlertInFull(Shape):
    alert: Alert
    explanation: dict[str, Words]
    """By language: zh, en."""
    log: list[LogLine]
    deliveries: list[Delivery]

    model_config = shown(
        {
            "alert": ALERT,
            "explanation": {},
            "log": [{"at": WHEN, "what": "firing", "who": "chargewatch", "detail": ""}],
            "deliveries": [],
        }
    )
