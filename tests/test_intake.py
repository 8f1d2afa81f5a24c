"""What a batch of messages causes: everything in one commit, nothing lost, nothing twice."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import registry as registry_module
from ingest.codecs import all_codecs
from ingest.intake import Intake
from ingest.journal import unpacked
from ingest.ledger.commit import Commit, Stored, ToTell, identity_in_all
from ingest.registry import Area, Device, Name, Registry, Site
from ingest.replay import GENERATION, Seen
from ingest.wire import Message, Refusal
from rules.alerts import Change, State
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.readings import ClockState, DeviceId, Kind, Standing
from rules.schedule import Schedule

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PILE, SMOKE = DeviceId("town/north/pile-1"), DeviceId("town/north/smoke-1")
TELEMETRY = f"chargewatch/v1/{PILE}/telemetry"
EVENT = f"chargewatch/v1/{SMOKE}/event"
STATUS = f"chargewatch/v1/{PILE}/status"
AMENDED = Refusal.CLOCK_WRONG


def known() -> Registry:
    registry = Registry([], [], [])
    always = Schedule("Asia/Shanghai", ())
    registry.declare(
        [Area(id="town", name=Name("镇", "Town"))],
        [Site(id="town/north", area="town", name=Name("北", "North"), schedule=always)],
        [
            Device(id=PILE, site="town/north", dialect="native", name=PILE, kind=Kind.CHARGER),
            Device(id=SMOKE, site="town/north", dialect="native", name=SMOKE, kind=Kind.SMOKE),
        ],
        NOON,
    )
    list(registry.take_news())
    return registry


class World:
    def __init__(self) -> None:
        self.registry = known()
        self.engine = Engine(*rules_in_force(), self.registry)
        self.seen = Seen()
        self.intake = Intake(all_codecs(), self.registry, self.engine, self.seen, announce)

    def digest(self, *messages: Message, now: datetime = NOON) -> Commit:
        return self.intake.digest(messages, now)


def announce(change: Change, _now: datetime) -> list[ToTell]:
    alert = change.alert
    key = f"{alert.episode}:{alert.state}:log"
    return [ToTell(key, alert.episode, alert.state, "log", 0, alert)]


def message(  # noqa: PLR0913  (a message has this many parts)
    topic: str,
    body: Any,
    *,
    at: datetime = NOON,
    retained: bool = False,
    again: bool = False,
    raw: bool = False,
) -> Message:
    payload = body if raw else json.dumps(body).encode()
    return Message(topic, payload, at, retained, again)


def watts(power_w: float, **more: object) -> dict[str, object]:
    return {"readings": [{"channel": 1, "power_w": power_w}], **more}


def reasons(batch: Commit) -> list[str]:
    return [refused.reason for refused in batch.refused]


# --- what is refused ------------------------------------------------------------------

REFUSED: dict[str, tuple[str, bytes, Refusal]] = {
    "what is not UTF-8": (
        TELEMETRY,
        b'{"readings":[{"fault":"\xff"}]}',
        Refusal.NOT_UTF8,
    ),
    "a megabyte": (TELEMETRY, b" " * 1024 * 1024, Refusal.TOO_LARGE),
    "one byte too many": (TELEMETRY, b" " * (64 * 1024 + 1), Refusal.TOO_LARGE),
    "a nest": (TELEMETRY, b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", Refusal.TOO_DEEP),
    "half a message": (TELEMETRY, b'{"readings":[{', Refusal.NOT_JSON),
    "not a number": (TELEMETRY, b'{"readings":[{"power_w":NaN}]}', Refusal.NOT_JSON),
    "infinity": (TELEMETRY, b'{"readings":[{"power_w":1e999}]}', Refusal.WRONG_TYPE),
    "a word for a number": (TELEMETRY, b'{"readings":[{"power_w":"1"}]}', Refusal.WRONG_TYPE),
    "no readings": (TELEMETRY, b"{}", Refusal.WRONG_TYPE),
    "socket 0": (TELEMETRY, b'{"readings":[{"channel":0}]}', Refusal.WRONG_TYPE),
    "a time without a zone": (
        TELEMETRY,
        b'{"readings":[],"at":"2026-01-05T12:00:00"}',
        Refusal.WRONG_TYPE,
    ),
    "one who speaks for another": (
        TELEMETRY,
        b'{"device":"pile-2","readings":[]}',
        Refusal.NOT_ITS_OWN,
    ),
    "a newline in a name": (
        "chargewatch/v1/town/north/pile\n1/telemetry",
        b'{"readings":[]}',
        Refusal.BAD_NAME,
    ),
    "a name of nothing": ("chargewatch/v1/town//x/telemetry", b"{}", Refusal.BAD_NAME),
    "a branch that is none": (
        f"chargewatch/v1/{PILE}/telemetri",
        b"{}",
        Refusal.UNKNOWN_TOPIC,
    ),
    "a topic of nobody": ("toasters/t1", b"{}", Refusal.UNKNOWN_TOPIC),
}


@pytest.mark.parametrize(("topic", "payload", "reason"), REFUSED.values(), ids=REFUSED)
def test_refuses(topic: str, payload: bytes, reason: Refusal) -> None:
    batch = World().digest(message(topic, payload, raw=True))
    [refused] = batch.refused
    assert (refused.reason, refused.topic) == (reason, topic)
    assert (batch.reports, batch.changes, batch.states) == ([], [], [])
    assert batch.registered == []


def test_refuses_what_the_broker_kept_since_nobody_knows_when() -> None:
    old = (NOON - timedelta(minutes=16)).isoformat()
    batch = World().digest(
        message(TELEMETRY, watts(1), retained=True),
        message(TELEMETRY, watts(2, at=old), retained=True),
        message(EVENT, {"event": "smoke"}, retained=True),
    )
    assert reasons(batch) == [Refusal.RETAINED_OLD] * 3
    assert batch.changes == []


def test_refuses_strangers_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "DEVICES_MAX", 2)
    batch = World().digest(
        *(message(f"chargewatch/v1/a/b/{n}/telemetry", watts(1)) for n in range(4)),
        message(TELEMETRY, watts(1)),
    )
    assert reasons(batch) == [Refusal.TOO_MANY_DEVICES] * 2
    assert len(batch.reports) == 3


def test_ignores_what_is_in_order_and_says_nothing() -> None:
    batch = World().digest(
        message(f"chargewatch/v1/{PILE}/command", {"id": "1"}),
        message(STATUS, b"", raw=True, retained=True),
        message("zigbee2mqtt/bridge/state", {"state": "online"}),
    )
    assert (batch.ignored, batch.reports, batch.refused) == (3, [], [])


# --- clocks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        "1970-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
        "2000-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
    ],
)
def test_a_wrong_clock_is_amended_and_said_once(claim: str) -> None:
    world = World()
    first = world.digest(message(TELEMETRY, watts(1, at=claim, boot="b", seq=1)))
    assert reasons(first) == [AMENDED]
    [report] = first.reports
    assert (report.at, report.clock) == (NOON, ClockState.WRONG)
    [kept] = unpacked(first.journal)
    assert kept.claimed_at is not None
    second = world.digest(message(TELEMETRY, watts(2, at=claim, boot="b", seq=2)))
    assert reasons(second) == []
    assert len(second.reports) == 1


def test_what_is_late_is_kept_and_judged_by_nobody() -> None:
    hour_ago = (NOON - timedelta(hours=1)).isoformat()
    batch = World().digest(message(TELEMETRY, watts(9000, at=hour_ago, buffered=True)))
    [report] = batch.reports
    assert (report.standing, report.at) == (Standing.LATE, NOON - timedelta(hours=1))
    assert batch.changes == []


# --- what is repeated -----------------------------------------------------------------


def test_a_numbered_message_counts_once() -> None:
    world = World()
    one = watts(1, boot="b", seq=7)
    assert len(world.digest(message(TELEMETRY, one)).reports) == 1
    batch = world.digest(message(TELEMETRY, one), message(TELEMETRY, watts(1, boot="b", seq=8)))
    assert (batch.repeated, len(batch.reports)) == (1, 1)


def test_a_number_begins_anew_with_a_new_boot_or_another_device() -> None:
    other = "chargewatch/v1/town/north/pile-2/telemetry"
    batch = World().digest(
        message(TELEMETRY, watts(1, boot="b", seq=0)),
        message(TELEMETRY, watts(1, boot="c", seq=0)),
        message(other, watts(1, boot="b", seq=0)),
    )
    assert (batch.repeated, len(batch.reports)) == (0, 3)


def test_a_message_with_a_time_and_no_number_counts_once() -> None:
    body = watts(1, at=NOON.isoformat())
    batch = World().digest(message(TELEMETRY, body), message(TELEMETRY, body))
    assert (batch.repeated, len(batch.reports)) == (1, 1)


def test_equal_words_without_a_time_count_each_unless_the_broker_says_that_it_repeats() -> None:
    world = World()
    batch = world.digest(message(TELEMETRY, watts(1)), message(TELEMETRY, watts(1)))
    assert (batch.repeated, len(batch.reports)) == (0, 2)
    batch = world.digest(message(TELEMETRY, watts(1), again=True))
    assert (batch.repeated, len(batch.reports)) == (1, 0)


def test_smoke_that_the_device_does_not_show_any_more_is_never_taken_for_a_repetition() -> None:
    smoke, none = {"event": "smoke"}, {"event": "smoke", "active": False}
    topic = TELEMETRY.replace("telemetry", "event")
    world = World()
    world.digest(message(topic, smoke), message(topic, none))
    batch = world.digest(message(topic, smoke, again=True))
    assert (batch.repeated, len(batch.reports)) == (0, 1)
    batch = world.digest(message(topic, smoke, again=True))
    assert (batch.repeated, len(batch.reports)) == (1, 0)


def test_a_message_that_the_broker_repeats_counts_if_it_was_never_here() -> None:
    batch = World().digest(message(TELEMETRY, watts(1), again=True))
    assert (batch.repeated, len(batch.reports)) == (0, 1)


def test_a_refused_message_is_kept_once_though_the_broker_repeats_it() -> None:
    world = World()
    assert len(world.digest(message(TELEMETRY, "no object")).refused) == 1
    batch = world.digest(message(TELEMETRY, "no object", again=True))
    assert (batch.repeated, batch.refused) == (1, [])


def test_a_message_that_was_refused_and_is_taken_when_it_comes_again_counts_once() -> None:
    world, old = World(), watts(1, at="1970-01-01T00:00:00Z")
    assert reasons(world.digest(message(TELEMETRY, old, retained=True))) == ["retained_old"]
    batch = world.digest(message(TELEMETRY, old, again=True))
    assert (len(batch.reports), batch.repeated, reasons(batch)) == (1, 0, [AMENDED])


def test_what_was_seen_before_a_restart_is_recognised_after_it() -> None:
    world = World()
    first = world.digest(message(TELEMETRY, watts(1, boot="b", seq=7)))
    later = World()
    for report in first.reports:
        later.seen.add(identity_in_all(report.device, report.identity))
    batch = later.digest(message(TELEMETRY, watts(1, boot="b", seq=7)))
    assert (batch.repeated, batch.reports) == (1, [])


def test_a_generation_of_messages_is_remembered_and_memory_is_bounded() -> None:
    seen = Seen(str(n) for n in range(5 * GENERATION))
    assert all(str(n) in seen for n in range(4 * GENERATION, 5 * GENERATION))
    assert "0" not in seen
    assert len(seen._young) + len(seen._old) <= 2 * GENERATION


# --- what a batch causes --------------------------------------------------------------


def test_nothing_but_time_is_an_empty_batch() -> None:
    batch = World().digest()
    assert batch.is_empty
    assert batch.journal == b""


def test_smoke_fires_and_everything_about_it_is_in_one_commit() -> None:
    batch = World().digest(message(EVENT, {"event": "smoke"}), now=NOON + SECOND)
    [(alert, _)] = batch.changes
    assert (alert.key.rule, alert.state, alert.since) == ("smoke", State.FIRING, NOON + SECOND)
    assert batch.arrived == {alert.episode: NOON}
    assert [told.alert for told in batch.to_tell] == [alert]
    [(device, blob)] = batch.states
    stored = msgspec.msgpack.decode(blob, type=Stored)
    assert (device, stored.state and stored.state.id, stored.alerts) == (SMOKE, SMOKE, (alert,))
    assert [report.device for report in unpacked(batch.journal)] == [SMOKE]


def test_a_deadline_that_passed_between_two_batches_is_in_the_second() -> None:
    world = World()
    assert world.digest(message(TELEMETRY, watts(1200))).changes == []
    batch = world.digest(now=NOON + 30 * SECOND)
    [(alert, _)] = batch.changes
    assert (alert.key.rule, alert.state) == ("overload", State.FIRING)
    assert not batch.is_empty
    assert [device for device, _ in batch.states] == [PILE]
    assert world.digest(now=NOON + 31 * SECOND).is_empty


def test_two_batches_do_not_share_what_they_hold() -> None:
    world = World()
    first = world.digest(message(TELEMETRY, watts(100)))
    packed = dict(first.states)
    second = world.digest(message(TELEMETRY, watts(200, at=NOON.isoformat())))
    assert dict(first.states) == packed
    assert dict(first.states) != dict(second.states)
    assert (len(first.reports), len(second.reports)) == (1, 1)


def test_smoke_that_comes_and_goes_within_a_batch_is_two_alerts() -> None:
    bodies = [{"event": "smoke", "active": active} for active in (True, False, True)]
    batch = World().digest(*(message(EVENT, body) for body in bodies))
    assert [alert.state for alert, _ in batch.changes] == ["firing", "resolved", "firing"]
    assert batch.changes[0].alert.episode != batch.changes[2].alert.episode
    assert len({told.idempotency_key for told in batch.to_tell}) == 3


def test_a_session_is_in_the_commit_of_the_reading_that_ended_it() -> None:
    world = World()
    for minute, power_w in enumerate((195, 195, 195, 0)):
        at = NOON + minute * MINUTE
        assert not world.digest(message(TELEMETRY, watts(power_w), at=at), now=at).sessions
    last = NOON + 4 * MINUTE
    batch = world.digest(message(TELEMETRY, watts(0.1), at=last), now=last)
    [session] = batch.sessions
    assert (session.device, session.channel, session.site) == (PILE, 1, "town/north")
    assert (session.began_at, session.ended_at) == (NOON, NOON + 3 * MINUTE)
    assert [report.received_at for report in unpacked(batch.journal)] == [last]


# --- strangers and names --------------------------------------------------------------


def test_a_stranger_is_entered_as_undeclared_with_its_place_and_watched() -> None:
    world = World()
    batch = world.digest(message("chargewatch/v1/town/south/s-9/event", {"event": "smoke"}))
    stranger = world.registry.devices[DeviceId("town/south/s-9")]
    assert (stranger.declared, stranger.kind, stranger.site) == (
        False,
        Kind.SMOKE,
        "town/south",
    )
    assert [type(entry) for entry in batch.registered] == [Site, Device, Device]
    assert batch.registered[-1] == stranger
    assert [alert.key.device for alert, _ in batch.changes] == [stranger.id]


def test_a_stranger_who_says_nothing_that_can_be_read_is_not_entered() -> None:
    batch = World().digest(message("chargewatch/v1/town/south/s-9/event", {"event": "x"}))
    assert reasons(batch) == [Refusal.WRONG_TYPE]
    assert batch.registered == []


def test_sockets_are_learnt_once() -> None:
    world = World()
    assert len(world.digest(message(TELEMETRY, watts(1))).registered) == 1
    assert world.registry.devices[PILE].sockets == {1}
    assert world.digest(message(TELEMETRY, watts(2))).registered == []


def test_a_topic_is_understood_anew_when_its_device_becomes_known() -> None:
    world = World()
    attribute = message("zigbee2mqtt/Hall/smoke", b"true", raw=True)
    assert reasons(world.digest(attribute)) != []
    world.digest(message("zigbee2mqtt/Hall", {"smoke": False, "battery": 90}))
    batch = world.digest(attribute)
    hall = DeviceId("undeclared/zigbee2mqtt/Hall")
    assert [report.device for report in batch.reports] == [hall]
    assert [(alert.key.rule, alert.key.device) for alert, _ in batch.changes] == [
        ("smoke", hall)
    ]


# --- whatever comes -------------------------------------------------------------------

LEVELS = (
    "chargewatch v1 zigbee2mqtt tele stat SENSOR STATE LWT telemetry event status command"
    " bridge availability smoke + #"
)
KEYS = (
    "readings at boot seq buffered event active channel power_w smoke_alarm online smoke"
    " battery power state fault last_seen ENERGY Power Time detail device temperature_c"
)
levels = st.sampled_from(LEVELS.split()) | st.text(max_size=8)
topics = (
    st.sampled_from([TELEMETRY, EVENT, STATUS, "zigbee2mqtt/Hall", "tele/plug/SENSOR"])
    | st.lists(levels, max_size=7).map("/".join)
    | st.text(max_size=30)
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["ON", "online", "\ud800", "2026-01-05T12:00:00+08:00", "1e400"])
)
keys = st.sampled_from(KEYS.split())
bodies = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=12,
)
claims = st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat())
honest = st.builds(
    lambda power_w, at, seq, buffered: watts(power_w, at=at, seq=seq, buffered=buffered),
    st.floats(-10, 5000),
    claims | st.just(NOON.isoformat()),
    st.integers(0, 5),
    st.booleans(),
)
events = st.builds(
    lambda event, active, at: {"event": event, "active": active, "at": at},
    st.sampled_from(["smoke", "heat", "fault", "plugged"]),
    st.booleans(),
    claims,
)
payloads = (
    st.binary(max_size=40)
    | bodies.map(lambda body: json.dumps(body).encode())
    | honest.map(lambda body: json.dumps(body).encode())
    | events.map(lambda body: json.dumps(body).encode())
)
batches = st.lists(
    st.lists(st.builds(Message, topics, payloads, st.just(NOON), st.booleans(), st.booleans())),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(batches, st.booleans())
def test_every_message_is_accounted_for_exactly_once_whatever_it_holds(
    several: list[list[Message]], twice: bool
) -> None:
    world, now = World(), NOON
    for messages in several:
        for _ in range(1 + twice):
            now += MINUTE
            batch = world.digest(*messages, now=now)
            refused = [each for each in batch.refused if each.reason != AMENDED]
            booked = len(batch.reports) + len(refused) + batch.ignored + batch.repeated
            assert booked == len(messages)
            assert len(batch.refused) - len(refused) <= len(batch.reports)
            kept = unpacked(batch.journal) if batch.journal else ()
            assert len(kept) == len(batch.reports)
            for _, blob in batch.states:
                msgspec.msgpack.decode(blob, type=Stored)
            assert all(isinstance(entry, Area | Site | Device) for entry in batch.registered)
