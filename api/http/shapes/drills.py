"""A drill, and how far it came."""

from collections.abc import Sequence
from datetime import datetime

from api.drills import Progress, Station, stuck_at
from api.http.shapes.alerts import Delivery
from api.http.shapes.shape import WHEN, Shape, shown
from ingest.ledger.queries import DeliveryRow


class Drill(Shape):
    """Each moment is null until its station is reached."""

    id: str
    site: str
    who: str
    episode: str
    """That of its alert; empty until it is decided."""
    began_at: datetime
    published_at: datetime | None
    """The broker has confirmed it."""
    heard_at: datetime | None
    """It came back from the broker."""
    decided_at: datetime | None
    committed_at: datetime | None
    deliveries: list[Delivery]
    over_at: datetime | None
    stuck_at: Station | None
    """The first station that it has not reached; null: it is complete."""
    failure: str
    """Why it goes no further, if the broker is the reason."""

    model_config = shown(
        {
            "id": "9f2c41aa",
            "site": "xuhui/renmin-lu",
            "who": "admin",
            "episode": "",
            "began_at": WHEN,
            "published_at": None,
            "heard_at": None,
            "decided_at": None,
            "committed_at": None,
            "deliveries": [],
            "over_at": None,
            "stuck_at": "published",
            "failure": "",
        }
    )

    @classmethod
    def of(cls, progress: Progress, told: Sequence[DeliveryRow]) -> "Drill":
        values = {name: getattr(progress, name) for name in Progress.__struct_fields__}
        return cls(
            deliveries=[Delivery.of(row) for row in told],
            stuck_at=stuck_at(progress, told),
            **values,
        )
