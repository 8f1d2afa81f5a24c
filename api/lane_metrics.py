"""What Prometheus may know of the lanes; they come and go, so they are asked for each time."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.delivery import LaneHealth
from ingest.clock import Now


class Lanes(Collector):
    def __init__(self, lanes: Callable[[], Mapping[str, LaneHealth]], now: Now) -> None:
        self._lanes, self._now = lanes, now

    def collect(self) -> Iterable[GaugeMetricFamily]:
        lanes, now = self._lanes(), self._now()

        def gauge(name: str, what: str, of: Callable[[LaneHealth], float | None]) -> Gauge:
            return _gauge(name, what, {lane: of(health) for lane, health in lanes.items()})

        yield gauge("waiting", "Notifications that wait", lambda lane: lane.waiting)
        yield gauge(
            "oldest_seconds",
            "How long the oldest of them has waited",
            lambda lane: _since(lane.oldest_at, now),
        )
        yield gauge(
            "failing_seconds",
            "How long the lane has failed; 0: it works",
            lambda lane: _since(lane.failing_since, now),
        )
        yield gauge(
            "budget_left",
            "Messages that the provider takes within this minute",
            lambda lane: lane.budget_left,
        )
        yield gauge(
            "digests_waiting",
            "Digests that were made and are not told yet",
            lambda lane: lane.digests,
        )


Gauge = GaugeMetricFamily


def _gauge(name: str, what: str, values: Mapping[str, float | None]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"chargewatch_lane_{name}", what, labels=["lane"])
    for lane, value in values.items():
        if value is not None:
            family.add_metric([lane], value)
    return family


def _since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
