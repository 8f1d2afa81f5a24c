"""What Prometheus may know of us, and the delay of alarms, which we answer for."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from api.delivery import DeliveryHealth, LaneHealth
from api.lane_metrics import Lanes
from api.sampling import Counts
from ingest.clock import Now
from ingest.influx_writing import Losses
from ingest.ledger.commit import Commit
from ingest.mqtt import Link
from rules.alerts import Transition

DELAY_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
WAITING_MAX = 10_000


class Metrics:
    """The counters of one service; fed by the commits and by those who tell people."""

    def __init__(self, speed: float) -> None:
        self.registry = CollectorRegistry()
        self.delays_s: list[float] = []
        """Of the last alarms, from arrival to the first telling, in real seconds."""
        self._speed = speed
        self._told_at: deque[tuple[datetime, float]] = deque(maxlen=WAITING_MAX)
        self._sums = dict.fromkeys(("messages", "readings", "refused", "repeated"), 0)
        self._delivery = DeliveryHealth()
        self._arrived: dict[str, datetime] = {}
        self._messages = self._counter("messages", "Messages understood")
        self._readings = self._counter("readings", "Readings kept")
        self._refused = self._counter("refused", "Messages in quarantine", ["reason"])
        self._repeated = self._counter("repeated", "Messages that had been here before")
        self._ignored = self._counter("ignored", "Messages that say nothing about a device")
        self._samples_dropped = self._counter(
            "samples_dropped", "Points of what the service saw that InfluxDB did not take"
        )
        self._not_told = self._counter(
            "notifications_not_told",
            "Whom a route names and who was not told, and alarms that reached no person",
            ["reason"],
        )
        self._answers = self._counter("answers", "Answers over MQTT", ["outcome"])
        self._changes = self._counter("alerts", "Alarms raised and ended", ["rule", "state"])
        self._batch = Histogram(
            "chargewatch_batch_messages",
            "Messages in one commit",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self._delay = Histogram(
            "chargewatch_alarm_delay_seconds",
            "From the arrival of the deciding message to the first telling",
            buckets=DELAY_BUCKETS_S,
            registry=self.registry,
        )

    def watch(
        self,
        links: Iterable[Link],
        delivery: DeliveryHealth,
        losses: Losses,
        lanes: Callable[[], Mapping[str, LaneHealth]],
        now: Now,
    ) -> None:
        """Add what is read when it is asked for."""
        self._delivery = delivery
        self.registry.register(Lanes(lanes, now))
        connected = Gauge(
            "chargewatch_broker_connected",
            "Whether a session with the broker is up",
            ["session"],
            registry=self.registry,
        )
        for link in links:
            connected.labels(link.client_id).set_function(partial(_is_up, link))
        for name in ("told", "tries_failed", "given_up", "spilled", "digests"):
            gauge = Gauge(
                f"chargewatch_notifications_{name}",
                "Since the service started",
                registry=self.registry,
            )
            gauge.set_function(partial(getattr, delivery, name))
        for name, what in (("refused", "refuses"), ("expired", "no longer keeps")):
            gauge = Gauge(
                f"chargewatch_history_{name}",
                f"Points that InfluxDB {what}, since the service started",
                registry=self.registry,
            )
            gauge.set_function(partial(getattr, losses, name))

    def committed(self, batch: Commit) -> None:
        """Count a batch that is on disk."""
        messages = len(batch.reports)
        readings = sum(len(report.readings) for report in batch.reports)
        self._messages.inc(messages)
        self._readings.inc(readings)
        for name, count in (
            ("messages", messages),
            ("readings", readings),
            ("refused", len(batch.refused)),
            ("repeated", batch.repeated),
        ):
            self._sums[name] += count
        self._repeated.inc(batch.repeated)
        self._ignored.inc(batch.ignored)
        for refused in batch.refused:
            self._refused.labels(refused.reason).inc()
        for told in batch.to_tell:
            if told.not_told is not None:
                self._not_told.labels(told.not_told).inc()
        for alert, transition in batch.changes:
            if alert.drill:
                continue
            self._changes.labels(alert.key.rule, transition).inc()
            is_told = transition is Transition.FIRING and not alert.withheld
            if is_told and len(self._arrived) < WAITING_MAX:
                self._arrived[alert.episode] = batch.arrived[alert.episode]
        if messages:
            self._batch.observe(messages)

    def told(self, episode: str, now: datetime) -> None:
        """Note that somebody was told of an alarm, for the first time or again."""
        arrived = self._arrived.pop(episode, None)
        if arrived is not None:
            delay_s = (now - arrived).total_seconds() / self._speed
            self._delay.observe(delay_s)
            self.delays_s.append(delay_s)
            del self.delays_s[:-WAITING_MAX]
            self._told_at.append((now, delay_s))

    def answered(self, outcome: str) -> None:
        """Count an answer over MQTT."""
        self._answers.labels(outcome).inc()

    def sample_dropped(self, points: int) -> None:
        """Count points that were sampled and could not be written."""
        self._samples_dropped.inc(points)

    def counts(self, now: datetime) -> Counts:
        """Return what was counted since the service started."""
        delivery = self._delivery
        return Counts(
            at=now,
            **self._sums,
            told=delivery.told,
            tries_failed=delivery.tries_failed,
            given_up=delivery.given_up,
        )

    def delays_since(self, since: datetime) -> tuple[float, ...]:
        """Return the delays of alarms that were first told since then, the last 10,000."""
        return tuple(delay_s for at, delay_s in self._told_at if at >= since)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"chargewatch_{name}", what, list(labels), registry=self.registry)


def _is_up(link: Link) -> float:
    return float(link.connected)
