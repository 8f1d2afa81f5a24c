"""How the service is doing, part by part, in words: for `ready` and for the console."""

from collections.abc import Callable, Sequence

from api.commands import CommandsHealth
from api.delivery import DeliveryHealth
from api.watch import Part
from ingest.history_writer import HistoryHealth
from ingest.influx_writing import Losses
from ingest.mqtt import Link
from ingest.pipeline import PipelineHealth
from rules.self_health import SelfHealth


class Health:
    """Collects what each part says of itself."""

    def __init__(  # noqa: PLR0913  (there are as many parts)
        self,
        links: Sequence[Link],
        pipeline: PipelineHealth,
        delivery: DeliveryHealth,
        policy: Callable[[], Part],
        commands: CommandsHealth,
        *,
        losses: Losses,
        people: Callable[[], Part],
    ) -> None:
        self._links, self._pipeline, self._delivery = links, pipeline, delivery
        self._policy, self._commands, self._losses = policy, commands, losses
        self._people = people
        self._history: HistoryHealth | None = None
        self._followers: dict[str, HistoryHealth] = {}

    @property
    def history(self) -> HistoryHealth | None:
        """How the history is doing; None until it was first heard of."""
        return self._history

    def follower_is(self, name: str, health: HistoryHealth) -> None:
        """Be told how one of those does who write to InfluxDB besides the history."""
        self._followers[name] = health

    def history_is(self, health: HistoryHealth) -> None:
        self._history = health

    def facts(self, broker_dropped: int | None) -> SelfHealth:
        """Return what the rules are to know; the pipeline adds what it knows of itself."""
        history = self._history
        return SelfHealth(
            broker_dropped=broker_dropped,
            history_failing_since=None if history is None or history.ok else history.since,
            delivery_failing_since=min(self._delivery.stuck_since.values(), default=None),
        )

    def parts(self) -> tuple[Part, ...]:
        """Return the parts in the order of the data path.

        The others are not vital. Without the history alarms go on, and it catches up by itself,
        and so do those who write to InfluxDB besides it; a channel that fails is tried again,
        and so is the way to the devices: taking us out of service would mend nothing; with a
        policy file that is wrong the last policy stays in force.
        """
        lost = next((link for link in self._links if not link.connected), None)
        broker = (
            Part("broker", ok=True)
            if lost is None
            else Part(
                "broker", ok=False, reason=f"{lost.state}: {lost.reason}", since=lost.since
            )
        )
        pipeline = self._pipeline
        failing = "; ".join(f"{name}: {why}" for name, why in self._delivery.failing.items())
        return (
            broker,
            Part("ledger", pipeline.ledger_ok, pipeline.ledger_reason, pipeline.since),
            self._history_part(),
            *(
                Part(name, found.ok, found.reason, found.since, vital=False)
                for name, found in self._followers.items()
            ),
            Part("delivery", ok=not failing, reason=failing, vital=False),
            self._people(),
            self._policy(),
            Part(
                "commands",
                ok=not self._commands.reason,
                reason=self._commands.reason,
                since=self._commands.since,
                vital=False,
            ),
        )

    def _history_part(self) -> Part:
        """Say of a history that does its work whether it would not take something for good."""
        history, losses = self._history, self._losses
        if history is not None and not history.ok:
            return Part(
                "history", ok=False, reason=history.reason, since=history.since, vital=False
            )
        if losses.refused:
            reason = f"points that InfluxDB refused for good: {losses.refused}; {losses.reason}"
            return Part("history", ok=False, reason=reason, vital=False)
        return Part(
            "history", ok=True, since=None if history is None else history.since, vital=False
        )
