"""What people did, as it is shown."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Shape, shown
from ingest.ledger.audit import AuditLine

_EXAMPLE: dict[str, JsonValue] = {
    "id": 17,
    "at": WHEN,
    "who": "li",
    "via": "console",
    "what": "alert.acknowledged",
    "about": "4711",
    "area": "xuhui",
    "detail": "patrol is on its way",
}


class Deed(Shape):
    """One line: who did what, by which way (console, api, link, mqtt, command, plan)."""

    id: int
    at: datetime
    who: str
    via: str
    what: str
    about: str
    area: str
    """Empty: everybody's business, or nobody's."""
    detail: str

    model_config = shown(_EXAMPLE)

    @classmethod
    def of(cls, line: AuditLine) -> "Deed":
        return cls(**{name: getattr(line, name) for name in cls.model_fields})


class Deeds(Shape):
    """Newest first."""

    deeds: list[Deed]
    next_before_id: int | None
    """Ask for the next page with it; null: that was all."""

    model_config = shown({"deeds": [_EXAMPLE], "next_before_id": None})
