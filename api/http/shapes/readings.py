"""Readings of the past."""

from datetime import datetime

from api.http.shapes.shape import WHEN, Shape, Value, shown
from ingest.history import Bin, Row
from rules.readings import QUANTITIES


class Readings(Shape):
    """Oldest first; `complete` is false if the limit cut the rest off."""

    class One(Shape):
        """What one message said."""

        at: datetime
        received_at: datetime
        values: dict[str, Value]

        @classmethod
        def of(cls, row: Row) -> "Readings.One":
            said = {name: getattr(row.reading, name) for name in QUANTITIES}
            values = {name: value for name, value in said.items() if value is not None}
            return cls(at=row.at, received_at=row.received_at, values=values)

    device: str
    channel: int | None
    readings: list[One]
    complete: bool

    model_config = shown(
        {
            "device": "xuhui/renmin-lu/pile-1",
            "channel": 1,
            "readings": [{"at": WHEN, "received_at": WHEN, "values": {"power_w": 312.5}}],
            "complete": True,
        }
    )


class Bins(Shape):
    """One number for each step that holds a value, [at, at + step_s)."""

    class One(Shape):
        """The number for one step."""

        at: datetime
        value: float

        @classmethod
        def of(cls, found: Bin) -> "Bins.One":
            return cls(at=found.at, value=found.value)

    device: str
    channel: int | None
    quantity: str
    how: str
    step_s: int
    bins: list[One]

    model_config = shown(
        {
            "device": "xuhui/renmin-lu/pile-1",
            "channel": 1,
            "quantity": "power_w",
            "how": "mean",
            "step_s": 3600,
            "bins": [{"at": WHEN, "value": 287.4}],
        }
    )
