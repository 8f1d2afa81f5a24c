"""Drills: an alarm that is none, and goes the whole way of one.

The mark comes from us, never from a message. Whoever orders a drill registers it here, with a
number that cannot be guessed, before its message is published on the reserved topics; a message
there that nobody ordered is refused, and one on any other topic can never be a drill.

A drill is judged by the real rules, in an engine of its own that knows a single detector. So it
cannot touch what is known of any real place: it counts for no group, holds back no alert, cuts
nothing, and is in no history.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ingest.codecs.native import Native
from ingest.ledger.commit import Commit
from ingest.wire import Ignored, Message, Profile, Refusal, Rejected, Said
from rules.alerts import Alert, Change, Group, GroupKind, State, Transition
from rules.catalog import rules_in_force
from rules.cut_log import Logged
from rules.engine import Engine
from rules.places import DRILL_AREA, DRILL_DEVICE
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Reading, Report

TOPICS = f"chargewatch/v1/{DRILL_AREA}/"
"""Reserved: no device may be called so. Our own subscription to events covers them."""
ALL_TOPICS = f"{TOPICS}drill/+/event"
"""What the service must be allowed to say at the broker."""
LONGEST = timedelta(seconds=60)
"""A drill whose end is not heard by then ends by itself."""

_codec = Native()


class Drill(msgspec.Struct, frozen=True):
    """One that was ordered: by whom, for which site, and until when it may be heard."""

    nonce: str
    site: str
    who: str
    ends_at: datetime

    @property
    def topic(self) -> str:
        return f"{TOPICS}drill/{self.nonce}/event"


class _Running(NamedTuple):
    """A drill that lasts, and who judges it."""

    drill: Drill
    engine: Engine
    taken: set[str]
    """Identities of its messages that were here."""


class Drills:
    """Belongs to the task that owns the engine; there is at most one drill at a time."""

    def __init__(self) -> None:
        self._running: _Running | None = None

    def begin(self, drill: Drill, batch: Commit) -> None:
        """Expect a drill's messages from now on; one that still lasts ends."""
        self._end(batch)
        engine = Engine(*rules_in_force(), _Somewhere(drill.site))
        self._running = _Running(drill, engine, set())

    def take(self, message: Message, batch: Commit) -> Rejected | None:
        """Judge a message on the reserved topics; refuse one that nobody ordered."""
        running = self._running
        if running is None or message.topic != running.drill.topic or message.retained:
            return Rejected(Refusal.NOT_ITS_OWN, "nobody ordered this drill")
        said = _codec.decode(message, DRILL_DEVICE, Profile(Kind.SMOKE))
        if not isinstance(said, Said):
            why = said.why if isinstance(said, Ignored) else said.detail
            return Rejected(Refusal.NOT_ITS_OWN, f"not what a drill says: {why}")
        identity = said.identity or ""
        if identity in running.taken:
            batch.repeated += 1
            return None
        running.taken.add(identity)
        _judge(running, said.readings, message.received_at, batch)
        return None

    def advance(self, batch: Commit) -> None:
        """End a drill whose time is up."""
        if self._running is not None and batch.now >= self._running.drill.ends_at:
            self._end(batch)

    def next_deadline(self) -> datetime | None:
        return None if self._running is None else self._running.drill.ends_at

    def _end(self, batch: Commit) -> None:
        running, self._running = self._running, None
        if running is not None and running.engine.has_alerts(DRILL_DEVICE):
            _judge(running, (Reading(smoke_alarm=False),), batch.now, batch)


def _judge(
    running: _Running, said: tuple[Reading, ...], heard_at: datetime, batch: Commit
) -> None:
    """Let the rules judge what was said; whatever comes of it is marked as a drill."""
    drill = running.drill
    report = Report(
        device=DRILL_DEVICE,
        at=heard_at,
        received_at=heard_at,
        identity=drill.nonce,
        readings=said,
    )
    for alert, transition in running.engine.observe(report, batch.now):
        marked = replace(alert, drill=True)
        batch.changes.append(Change(marked, transition))
        batch.arrived[marked.episode] = heard_at
        if transition is Transition.FIRING:
            batch.log.append(Logged(marked.episode, batch.now, "drill", drill.who, ""))


def ended(alerts: list[Alert], now: datetime) -> list[Change]:
    """Return the end of drills that a restart cut short: their engine is gone."""
    over = (replace(alert, state=State.RESOLVED, since=now) for alert in alerts)
    return [Change(alert, Transition.RESOLVED) for alert in over]


class _Somewhere(msgspec.Struct, frozen=True):
    """The only place that a drill's engine knows: one detector, and the built-in limits."""

    site: str

    def profile_of(self, device: DeviceId) -> DeviceProfile:
        return DeviceProfile(id=device, site=self.site, kind=Kind.SMOKE)

    def policy_of(self, device: DeviceId) -> Policy:  # noqa: ARG002
        return Policy()

    def group_policy_of(self, group: Group) -> Policy:  # noqa: ARG002
        return Policy()

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        return (Group(GroupKind.SITE, site),)
