"""Silences, maintenance windows, and hazards that were found afterwards."""

from datetime import datetime

from api.http.shapes.alerts import Measured
from api.http.shapes.shape import WHEN, Shape, shown
from api.text import LANGUAGES, Texts, hazard_text
from ingest.ledger.hazards import HazardRow
from ingest.ledger.silences import SilenceRow
from ingest.registry import Registry
from rules.silences import SilenceKind


class Silence(Shape):
    """What people do not want to hear of, from `starts` until just before `ends`."""

    id: int
    kind: SilenceKind
    owner: str
    reason: str
    site: str
    """Empty: `device` says where."""
    device: str
    channel: int | None
    rule: str
    """Empty: every rule."""
    starts: datetime
    ends: datetime
    in_force: bool
    created_at: datetime
    created_by: str
    ended_by: str
    """Who ended it early; empty: nobody."""

    model_config = shown(
        {
            "id": 4,
            "kind": "maintenance",
            "owner": "Wang Li, 138 0000 0000",
            "reason": "new detectors are tested with smoke",
            "site": "",
            "device": "xuhui/renmin-lu/smoke-1",
            "channel": None,
            "rule": "",
            "starts": WHEN,
            "ends": WHEN,
            "in_force": True,
            "created_at": WHEN,
            "created_by": "admin",
            "ended_by": "",
        }
    )

    @classmethod
    def of(cls, row: SilenceRow, now: datetime) -> "Silence":
        made = row.silence
        names = ("kind", "owner", "reason", "site", "device", "channel", "rule")
        return cls(
            id=int(made.id),
            **{name: getattr(made, name) for name in names},
            starts=made.starts,
            ends=made.ends,
            in_force=made.starts <= now < made.ends,
            created_at=row.created_at,
            created_by=row.created_by,
            ended_by=row.ended_by,
        )


class Silences(Shape):
    silences: list[Silence]

    model_config = shown({"silences": []})


class Hazard(Shape):
    """A breach that late data showed. It raised no alarm: it was over when it was known."""

    id: int
    rule: str
    device: str
    channel: int | None
    site: str
    began_at: datetime
    ended_at: datetime
    """The last late reading that showed it."""
    found_at: datetime
    evidence: Measured
    words: dict[str, str]
    """By language: zh, en."""

    @classmethod
    def of(cls, row: HazardRow, registry: Registry) -> "Hazard":
        names = [name for name in cls.model_fields if name not in {"evidence", "words"}]
        words = {lang: hazard_text(row, registry, Texts.of(lang)) for lang in LANGUAGES}
        values = {name: getattr(row, name) for name in names}
        return cls(evidence=Measured.of(row.evidence), words=words, **values)


class Hazards(Shape):
    """The last found first."""

    hazards: list[Hazard]
    next_before_id: int | None

    model_config = shown({"hazards": [], "next_before_id": None})
