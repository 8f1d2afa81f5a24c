"""What the order and the delay of messages may change, and what they never do.

Rules are judged on our clock, at arrival (decision 003). So this is what is exactly true:

* A message that comes twice, or many times, changes nothing at all, not even by a moment.
* What other devices say, and when it comes, changes no alert of a device or a socket.
* If all that a device says is late by the same time, its alerts are late by that time.
* If it is late by different times, its order kept, the same alerts fire and end in the same
  order, each as late as the message or the deadline that decides it, as long as no run of
  values ends so close to a hold or a clear time that the delays decide which is longer.
* A message that was overtaken by a later one, and is no danger, changes nothing.
* What the device marks as kept back, and what was kept back for longer than the tolerance and
  comes at once, never fires: what is past sirens for nobody. It never ends an alert either.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from api import policy_file
from ingest.codecs import all_codecs
from ingest.intake import Intake
from ingest.registry import Area, Device, Name, Registry, Site
from ingest.replay import Seen
from ingest.timing import BEHIND_MAX
from ingest.wire import Message
from rules.alerts import Change, Transition
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.readings import DeviceId, Kind
from rules.schedule import Schedule

START = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
BEAT = 20 * SECOND
"""Every device speaks that often: all runs of values last a multiple of it, ..."""
POLICY = b"""
[default]
overload.hold = "30 s"
overload.keep_firing = "50 s"
flapping.quiet = "890 s"
escalation.tiers = 1
"""
"""... and no hold or clear time is one, or nearer to one than the 10 s that jitter has."""
JITTER_MAX_S = 9
AT_REST = MINUTE * 20
"""After the last message: by then every deadline has passed."""

PILES = tuple(DeviceId(f"town/north/pile-{number}") for number in (1, 2))
SMOKE = DeviceId("town/south/smoke-1")
LEVELS_W = (100.0, 750.0, 900.0, 1200.0)
"""Clear, between the thresholds, a warning, and a critical one."""


class Sent(NamedTuple):
    """What a device says, when by its clock, and when it arrives."""

    device: DeviceId
    at: datetime
    arrives: datetime
    body: tuple[tuple[str, Any], ...]

    def message(self, arrives: datetime | None = None) -> Message:
        branch = "event" if self.device == SMOKE else "telemetry"
        said = dict(self.body) | {"at": self.at.isoformat()}
        topic = f"chargewatch/v1/{self.device}/{branch}"
        return Message(topic, json.dumps(said).encode(), arrives or self.arrives)


class Heard(NamedTuple):
    """What happened, but for the moment."""

    rule: str
    subject: str
    transition: str
    severity: str


def known() -> Registry:
    registry = Registry([], [], [])
    always_open = Schedule("Asia/Shanghai", ())
    registry.declare(
        [Area(id="town", name=Name("镇", "Town"))],
        [
            Site(id=site, area="town", name=Name("站", "Site"), schedule=always_open)
            for site in ("town/north", "town/south")
        ],
        [
            Device(
                id=device,
                site=device.rpartition("/")[0],
                dialect="native",
                name=device,
                kind=Kind.SMOKE if device == SMOKE else Kind.CHARGER,
                added_at=START,
            )
            for device in (*PILES, SMOKE)
        ],
        START,
    )
    registry.apply(policy_file.parsed(POLICY))
    return registry


def played(sent: Iterable[Sent]) -> list[tuple[datetime, Change]]:
    """Take messages as they arrive, and every deadline at its moment."""
    registry = known()
    engine = Engine(*rules_in_force(), registry)
    intake = Intake(all_codecs(), registry, engine, Seen(), lambda *_: ())
    changes: list[tuple[datetime, Change]] = []

    def pass_time(until: datetime) -> None:
        while (due := engine.next_deadline()) and due <= until:
            changes.extend((due, change) for change in intake.digest([], due).changes)

    now = START
    for each in sorted(sent, key=lambda each: each.arrives):
        pass_time(each.arrives)
        now = each.arrives
        batch = intake.digest([each.message()], now)
        assert not batch.refused
        changes += [(now, change) for change in batch.changes]
    pass_time(now + AT_REST)
    return changes


def heard(changes: Iterable[tuple[datetime, Change]]) -> list[tuple[datetime, Heard]]:
    """Return what happened to devices and sockets; not what is released or escalated,
    which depends on others, or on nobody's having answered.
    """
    own = {Transition.FIRING, Transition.RAISED, Transition.RESOLVED}
    return [
        (
            at,
            Heard(
                change.alert.key.rule,
                f"{change.alert.key.device}:{change.alert.key.channel}",
                change.transition,
                change.alert.severity,
            ),
        )
        for at, change in changes
        if change.alert.key.device is not None and change.transition in own
    ]


def of(device: DeviceId, changes: Iterable[tuple[datetime, Heard]]) -> list[Any]:
    return [each for each in changes if each[1].subject.startswith(f"{device}:")]


def telemetry(device: DeviceId, levels: list[float]) -> list[Sent]:
    """Say each level for as many beats as it is in the list, in time."""
    return [
        Sent(
            device,
            START + number * BEAT,
            START + number * BEAT,
            (("readings", ({"channel": 1, "power_w": power_w},)),),
        )
        for number, power_w in enumerate(levels)
    ]


def smoke(beats: list[bool]) -> list[Sent]:
    return [
        Sent(
            SMOKE,
            START + number * BEAT,
            START + number * BEAT,
            (("event", "smoke"), ("active", active)),
        )
        for number, active in enumerate(beats)
    ]


runs = st.lists(
    st.tuples(st.sampled_from(LEVELS_W), st.integers(1, 5)), min_size=1, max_size=12
)
evenings = runs.map(lambda found: [level for level, beats in found for _ in range(beats)])
streams = st.builds(
    lambda one, two, fumes: [
        *telemetry(PILES[0], one),
        *telemetry(PILES[1], two),
        *smoke(fumes),
    ],
    evenings,
    evenings,
    st.lists(st.booleans(), min_size=1, max_size=10),
)
fewer = settings(max_examples=30)


def test_the_streams_of_these_tests_raise_and_end_alerts() -> None:
    quiet, loud = [100.0] * 6, [900.0] * 3 + [1200.0] * 3
    found = [each for _, each in heard(played(telemetry(PILES[0], loud + quiet)))]
    socket = f"{PILES[0]}:1"
    assert found[:3] == [
        Heard("overload", socket, "firing", "warning"),
        Heard("overload", socket, "raised", "critical"),
        Heard("overload", socket, "resolved", "critical"),
    ]


@given(streams, st.data())
@fewer
def test_messages_that_come_again_change_nothing_at_all(
    sent: list[Sent], data: st.DataObject
) -> None:
    again = data.draw(
        st.lists(st.tuples(st.sampled_from(sent), st.integers(0, 1200)), max_size=20)
    )
    twice = [each._replace(arrives=each.arrives + late_s * SECOND) for each, late_s in again]
    last = max(each.arrives for each in sent)
    twice = [each for each in twice if each.arrives <= last]  # the evening is as long as before
    assert played([*sent, *twice]) == played(sent)


@given(streams, st.integers(0, 600), st.randoms(use_true_random=False))
@fewer
def test_what_others_say_and_when_changes_no_alert_of_a_device(
    sent: list[Sent], late_s: int, random: Any
) -> None:
    alone = [each for each in sent if each.device == PILES[0]]
    moved = [
        each
        if each.device == PILES[0]
        else each._replace(arrives=each.arrives + late_s * SECOND)
        for each in sent
    ]
    until = max(each.arrives for each in alone) + AT_REST
    random.shuffle(moved)
    found = of(PILES[0], heard(played(moved)))
    assert [each for each in found if each[0] <= until] == heard(played(alone))


@given(streams, st.integers(0, 800))
@fewer
def test_what_is_late_by_the_same_time_has_the_same_alerts_that_much_later(
    sent: list[Sent], late_s: int
) -> None:
    late = late_s * SECOND
    assert late < BEHIND_MAX
    moved = [each._replace(arrives=each.arrives + late) for each in sent]
    assert heard(played(moved)) == [(at + late, each) for at, each in heard(played(sent))]


@given(evenings, st.data())
@fewer
def test_what_is_late_by_different_times_has_the_same_alerts_if_its_order_is_kept(
    levels: list[float], data: st.DataObject
) -> None:
    sent = telemetry(PILES[0], levels)
    delays = st.integers(0, JITTER_MAX_S)
    late_s = data.draw(st.lists(delays, min_size=len(sent), max_size=len(sent)))
    moved = [
        each._replace(arrives=each.arrives + seconds * SECOND)
        for each, seconds in zip(sent, late_s, strict=True)
    ]
    before, after = heard(played(sent)), heard(played(moved))
    assert [each for _, each in after] == [each for _, each in before]
    for (was, _), (now, _) in zip(before, after, strict=True):
        assert timedelta(0) <= now - was <= JITTER_MAX_S * SECOND


@given(evenings, st.data())
@fewer
def test_a_message_that_was_overtaken_changes_nothing(
    levels: list[float], data: st.DataObject
) -> None:
    sent = telemetry(PILES[0], [*levels, 100.0, 100.0])
    number = data.draw(st.integers(0, len(sent) - 3))
    overtaken = sent[number]._replace(arrives=sent[number + 1].arrives + 5 * SECOND)
    others = [*sent[:number], *sent[number + 1 :]]
    assert played([*others, overtaken]) == played(others)


@given(evenings, evenings, st.integers(1, 3000))
@fewer
def test_what_the_device_says_was_kept_back_never_fires_and_never_ends_anything(
    live: list[float], kept: list[float], back_s: int
) -> None:
    sent = telemetry(PILES[0], live)
    last = sent[-1].arrives
    buffered = [
        each._replace(
            at=each.at - back_s * SECOND - len(kept) * BEAT,
            arrives=last + (number + 1) * SECOND,
            body=(*each.body, ("buffered", True)),
        )
        for number, each in enumerate(telemetry(PILES[0], kept))
    ]
    assert heard(played([*sent, *buffered])) == heard(played(sent))


@given(evenings, evenings)
@fewer
def test_what_comes_at_once_after_longer_than_the_tolerance_never_fires(
    live: list[float], kept: list[float]
) -> None:
    sent = telemetry(PILES[0], live)
    at_once = sent[-1].arrives + SECOND / 2
    old = [
        each._replace(at=each.at - BEHIND_MAX - len(kept) * BEAT - MINUTE, arrives=at_once)
        for each in telemetry(PILES[0], kept)
    ]
    assert heard(played([*sent, *old])) == heard(played(sent))


@given(st.lists(st.booleans(), min_size=1, max_size=8))
@fewer
def test_smoke_that_was_kept_back_never_fires(beats: list[bool]) -> None:
    live = smoke([False])
    buffered = [
        each._replace(
            at=each.at - timedelta(hours=1),
            arrives=each.arrives + MINUTE,
            body=(*each.body, ("buffered", True)),
        )
        for each in smoke(beats)
    ]
    assert [each for each in heard(played([*live, *buffered])) if each[1].rule == "smoke"] == []
