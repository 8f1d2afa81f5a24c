"""An InfluxDB in a dict, which can be away, and die after so many writes."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ingest.history import HistoryUnavailable
from ingest.influx_lines import Value
from ingest.influxql import Param, Series
from ingest.measurements import Kept
from tests.test_influx_lines import points

T = TypeVar("T")
Place = tuple[str, tuple[tuple[str, str], ...], int]


class MemoryPoints:
    """Keeps points as InfluxDB does: the last one written on a place is the one there.

    It answers one question: what fields the points of the measurement in it have.
    """

    def __init__(self) -> None:
        self.points: dict[Place, dict[str, Value]] = {}
        self.writes = 0
        self.down = ""
        self.dies_after: int | None = None
        """It takes so many writes more, and then none."""

    async def write(self, kept: Kept, lines: Iterable[bytes]) -> None:
        self._check()
        if self.dies_after is not None:
            if not self.dies_after:
                raise HistoryUnavailable("killed")
            self.dies_after -= 1
        self.writes += 1
        assert kept is Kept.LONG
        for name, tags, fields, time_ns in points(b"\n".join(filter(None, lines))):
            self.points[name, tuple(sorted(tags.items())), time_ns] = fields

    async def read(
        self, statement: str, params: Mapping[str, Param], made: Callable[[list[Series]], T]
    ) -> T:
        self._check()
        assert not params
        return made(
            [
                Series(
                    name=name, columns=["time", *fields], values=[[time_ns, *fields.values()]]
                )
                for (name, _, time_ns), fields in self.points.items()
                if f'"{name}"' in statement
            ]
        )

    def of(self, measurement: str) -> list[tuple[dict[str, str], dict[str, Value], int]]:
        """Return tags, fields and time of the points of a measurement, the oldest first."""
        found = [
            (dict(tags), fields, time_ns)
            for (name, tags, time_ns), fields in self.points.items()
            if name == measurement
        ]
        return sorted(found, key=lambda point: point[2])

    def _check(self) -> None:
        if self.down:
            raise HistoryUnavailable(self.down)
