"""What Prometheus may know of duty-post checks: how they end, and after how long."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from ingest.post_checks import CheckState

ANSWER_BUCKETS_S = (5, 10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 360, 600, 1800)
ENDS = (CheckState.ANSWERED, CheckState.LATE, CheckState.MISSED)


class CheckMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "chargewatch_post_checks",
            "Duty-post checks that ended, by how",
            ["outcome"],
            registry=registry,
        )
        self._answer_s = Histogram(
            "chargewatch_post_check_answer_seconds",
            "From question to answer, by whether that was in time",
            ["outcome"],
            buckets=ANSWER_BUCKETS_S,
            registry=registry,
        )
        for state in ENDS:  # a counter that is not there cannot be alarmed upon
            self._ended.labels(state)

    def ended(self, state: CheckState, answer_s: float | None) -> None:
        """Count a check that waits no longer."""
        self._ended.labels(state).inc()
        if answer_s is not None:
            self._answer_s.labels(state).observe(answer_s)
