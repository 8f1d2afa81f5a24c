"""How the service is doing, what it counted, and what it refused."""

import base64
from datetime import datetime

from api.http.shapes.shape import Shape, shown
from api.watch import Part
from ingest.ledger.queries import QuarantineRow


class Refused(Shape):
    """A message that was not used. `payload` holds its first bytes, as `encoding` says."""

    id: int
    received_at: datetime
    topic: str
    reason: str
    detail: str
    size: int
    payload: str
    encoding: str

    @classmethod
    def of(cls, row: QuarantineRow) -> "Refused":
        payload, encoding = readable(row.payload)
        return cls(
            id=row.id,
            received_at=row.received_at,
            topic=row.topic,
            reason=row.reason,
            detail=row.detail,
            size=row.size,
            payload=payload,
            encoding=encoding,
        )


class Quarantine(Shape):
    """Newest first."""

    refused: list[Refused]
    next_before_id: int | None

    model_config = shown({"refused": [], "next_before_id": None})


def readable(payload: bytes) -> tuple[str, str]:
    """Return the payload and how it is written: `text` if it can be read, else `base64`."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = "\0"
    if all(char.isprintable() or char in "\t\r\n" for char in text):
        return text, "text"
    return base64.b64encode(payload).decode(), "base64"


class PartHealth(Shape):
    name: str
    ok: bool
    reason: str
    since: datetime | None
    vital: bool

    @classmethod
    def of(cls, part: Part) -> "PartHealth":
        return cls(**{name: getattr(part, name) for name in cls.model_fields})


class Live(Shape):
    live: bool = True

    model_config = shown({"live": True})


class Ready(Shape):
    """Ready if every vital part is well; the others are named all the same."""

    ready: bool
    parts: list[PartHealth]

    model_config = shown({"ready": True, "parts": []})


class RuleCount(Shape):
    rule: str
    state: str
    count: int


class Summary(Shape):
    """Counts since the ledger began."""

    tallies: dict[str, int]
    alerts: list[RuleCount]

    model_config = shown(
        {
            "tallies": {"messages": 120_000, "readings": 480_000, "refused:not_json": 3},
            "alerts": [{"rule": "overload", "state": "resolved", "count": 4}],
        }
    )
