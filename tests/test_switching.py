"""Orders in the words of each dialect, and what a batch does with orders and answers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest

from ingest.codecs import all_codecs
from ingest.codecs.native import Command, Native
from ingest.codecs.tasmota import Tasmota
from ingest.codecs.zigbee2mqtt import Zigbee2Mqtt
from ingest.desk import HandedIn, Order
from ingest.intake import Intake
from ingest.ledger.commit import Commit
from ingest.replay import Seen
from ingest.switching import Switching
from ingest.wire import Codec, Message, Switch
from rules.alerts import Transition
from rules.catalog import rules_in_force
from rules.cutting import Action, CommandState
from rules.engine import Engine
from rules.latch import Latch
from rules.policies import BUILT_IN, Policies
from tests.test_intake import PILE, known

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND = timedelta(seconds=1)

T = TypeVar("T")


def switch(*, on: bool = False, channel: int | None = 1, sockets: int = 1) -> Switch:
    return Switch(
        id="c-1", on=on, channel=channel, sockets=sockets, expires_at=NOON + 60 * SECOND
    )


# --- dialects ---------------------------------------------------------------------------

SAID: dict[str, tuple[Codec, Switch, tuple[str, str] | None]] = {
    "a plug of Tasmota's": (Tasmota(), switch(), ("cmnd/x/POWER1", "OFF")),
    "a strip of Tasmota's": (
        Tasmota(),
        switch(on=True, channel=3, sockets=4),
        ("cmnd/x/POWER3", "ON"),
    ),
    "a device of Tasmota's that is one socket": (
        Tasmota(),
        switch(channel=None),
        ("cmnd/x/POWER1", "OFF"),
    ),
    "Tasmota with topics of its own": (
        Tasmota(full_topic="village/%topic%/%prefix%/", prefixes=("do", "say", "tell")),
        switch(),
        ("village/x/do/POWER1", "OFF"),
    ),
    "Tasmota whose topics are made of what only the device knows": (
        Tasmota(full_topic="%prefix%/%topic%/%id%/"),
        switch(),
        None,
    ),
    "Tasmota without a prefix for commands": (Tasmota(full_topic="%topic%/"), switch(), None),
    "a plug of Zigbee2MQTT's": (
        Zigbee2Mqtt(),
        switch(),
        ("zigbee2mqtt/x/set", '{"state":"OFF"}'),
    ),
    "a strip of Zigbee2MQTT's": (
        Zigbee2Mqtt(base="z"),
        switch(on=True, channel=2, sockets=4),
        ("z/x/set", '{"state_l2":"ON"}'),
    ),
}


@pytest.mark.parametrize(("codec", "wanted", "said"), SAID.values(), ids=SAID)
def test_an_order_is_said_in_the_words_of(
    codec: Codec, wanted: Switch, said: tuple[str, str] | None
) -> None:
    found = codec.command("x", wanted)
    assert (found and (found[0], found[1].decode())) == said


def test_a_native_device_is_told_the_id_the_socket_and_until_when() -> None:
    found = Native().command("town/north/pile-1", switch(channel=7, sockets=10))
    assert found is not None
    assert found[0] == "chargewatch/v1/town/north/pile-1/command"
    body = msgspec.json.decode(found[1], type=Command)
    assert body == Command("c-1", "switch_off", 7, NOON + 60 * SECOND)


def test_a_native_device_that_is_one_socket_has_it_as_its_first() -> None:
    found = Native().command("town/north/plug-1", switch(on=True, channel=None))
    assert found is not None
    assert json.loads(found[1])["channel"] == 1
    assert json.loads(found[1])["command"] == "switch_on"


@pytest.mark.parametrize("codec", all_codecs(), ids=lambda codec: codec.name)
def test_nobody_reads_our_own_orders_as_the_word_of_a_device(codec: Codec) -> None:
    found = codec.command("town/north/pile-1", switch())
    assert found is not None
    assert not isinstance(codec.address(found[0], ()), str)


# --- batches ----------------------------------------------------------------------------


class World:
    """An intake, and what gives orders to its switching."""

    def __init__(self, policies: Policies = BUILT_IN) -> None:
        registry = known()
        registry.apply(policies)
        self.engine = Engine(*rules_in_force(), registry)
        self.switching = Switching(self.engine, registry)
        self.intake = Intake(
            all_codecs(),
            registry,
            self.engine,
            Seen(),
            lambda *_: (),
            switching=self.switching,
        )
        self.digest(says("telemetry", readings=[{"channel": 1, "power_w": 400}]))

    def digest(self, *messages: Message, after_s: float = 0) -> Commit:
        return self.intake.digest(messages, NOON + after_s * SECOND)

    def carry_out(self, order: Order[T], *messages: Message, after_s: float = 0) -> T:
        """Begin a batch with an order, and return its answer; `batch` is what it caused."""
        handed_in = HandedIn(order)
        self.batch = self.intake.digest(messages, NOON + after_s * SECOND, [handed_in])
        return handed_in.outcome()

    def order(self) -> Commit:
        """Return the batch that has an order to cut socket 1."""
        self.carry_out(
            lambda batch: self.switching.cut(PILE, 1, who="eve", reason="smells", now=batch.now)
        )
        return self.batch


def says(branch: str, *, device: str = PILE, after_s: float = 0, **body: Any) -> Message:
    topic = f"chargewatch/v1/{device}/{branch}"
    return Message(topic, json.dumps(body).encode(), NOON + after_s * SECOND)


def test_an_order_its_latch_and_its_log_are_in_one_commit() -> None:
    world = World()
    batch = world.order()
    [command], [latch] = batch.commands, batch.latches
    assert (command.action, command.state) == (Action.CUT, CommandState.ORDERED)
    assert latch.id == command.id
    assert [(line.what, line.who) for line in batch.log] == [
        ("command_ordered", "eve"),
        ("latched", "eve"),
    ]
    assert [device for device, _ in batch.states] == [PILE]
    assert not batch.is_empty


def test_an_automatic_cut_is_in_the_commit_of_its_alarm() -> None:
    world = World(Policies(default={"cut": {"automatic": True}}))
    readings = [{"channel": 1, "power_w": 1200}]
    for second in (11, 31):
        world.digest(says("telemetry", after_s=second, readings=readings), after_s=second)
    batch = world.digest(after_s=41)
    [change], [command] = batch.changes, batch.commands
    assert change.alert.key.rule == command.reason == "overload"
    assert command.episode == change.alert.episode


def test_an_answer_is_taken_and_the_darkness_after_it_verifies() -> None:
    world = World()
    [command] = world.order().commands
    world.carry_out(lambda _: world.switching.sent(command.id, NOON), after_s=1)
    [command] = world.batch.commands
    assert command.state is CommandState.SENT
    batch = world.digest(says("reply", after_s=2, id=command.id, ok=True), after_s=2)
    assert [each.state for each in batch.commands] == [CommandState.CONFIRMED]
    assert not batch.refused
    dark = says("telemetry", after_s=3, readings=[{"channel": 1, "power_w": 0}])
    assert [each.state for each in world.digest(dark, after_s=3).commands] == [
        CommandState.VERIFIED
    ]


def test_what_a_quick_device_overtook_is_in_the_log_at_its_own_time() -> None:
    world = World()
    [command] = world.order().commands
    world.digest(says("reply", after_s=2, id=command.id, ok=True), after_s=2)
    dark = says("telemetry", after_s=3, readings=[{"channel": 1, "power_w": 0}])
    assert [each.state for each in world.digest(dark, after_s=3).commands] == [
        CommandState.VERIFIED
    ]
    sent_at = NOON + timedelta(seconds=1)
    world.carry_out(lambda _: world.switching.sent(command.id, sent_at), after_s=4)
    assert [(line.what, line.at) for line in world.batch.log] == [("command_sent", sent_at)]
    [command] = world.batch.commands
    assert (command.state, command.attempts) == (CommandState.VERIFIED, 1)


@pytest.mark.parametrize(
    "reply",
    [
        says("reply", id="c-of-somebody-else", ok=True),
        says("reply", device="town/north/pile-2", id="THE ID", ok=True),
        says("reply", id="THE ID"),
        says("reply", id="THE ID", ok="yes"),
    ],
    ids=["another command's", "another device's", "no verdict", "a word"],
)
def test_an_answer_that_is_none_changes_no_command(reply: Message) -> None:
    world = World()
    [command] = world.order().commands
    payload = reply.payload.replace(b"THE ID", command.id.encode())
    batch = world.digest(msgspec.structs.replace(reply, payload=payload))
    assert not batch.commands


def test_an_answer_that_the_broker_has_kept_is_refused() -> None:
    world = World()
    [command] = world.order().commands
    kept = msgspec.structs.replace(says("reply", id=command.id, ok=True), retained=True)
    batch = world.digest(kept)
    assert not batch.commands
    assert [refused.reason for refused in batch.refused] == ["retained_old"]


def test_a_repeated_answer_changes_nothing() -> None:
    world = World()
    [command] = world.order().commands
    said = says("reply", id=command.id, ok=True)
    assert world.digest(said).commands
    assert not world.digest(said, msgspec.structs.replace(said, again=True)).commands


def test_a_deadline_of_a_command_wakes_the_data_path() -> None:
    world = World()
    world.order()
    due = world.intake.next_deadline()
    assert due is not None
    assert due <= NOON + 60 * SECOND
    [command] = world.digest(after_s=60).commands
    assert command.state is CommandState.FAILED


# --- latches ----------------------------------------------------------------------------


def test_a_latch_is_cleared_once_and_by_nobody_who_means_another() -> None:
    world = World()
    [latch] = world.order().latches

    def clear(which: Latch, after_s: float) -> Latch | None:
        return world.carry_out(
            lambda batch: world.switching.clear(
                which, who="eve", reason="looked at", now=batch.now
            ),
            after_s=after_s,
        )

    assert clear(msgspec.structs.replace(latch, id="c-of-before"), 1) is None
    assert world.batch.is_empty
    cleared = clear(latch, 2)
    assert cleared == world.batch.latches[0]
    assert cleared is not None
    assert (cleared.cleared_by, cleared.cleared_at) == ("eve", NOON + 2 * SECOND)
    assert clear(latch, 3) is None


def test_what_an_order_means_for_an_alert_comes_before_what_a_message_of_its_batch_does() -> (
    None
):
    at_once = {"hold": 30 * SECOND, "keep_firing": 0 * SECOND}
    world = World(Policies(default={"overload": at_once}))
    for second in (11, 31):
        too_much = says("telemetry", after_s=second, readings=[{"channel": 1, "power_w": 1200}])
        world.digest(too_much, after_s=second)
    world.carry_out(
        lambda batch: world.switching.cut(PILE, 1, who="eve", reason="smells", now=batch.now),
        says("telemetry", after_s=41, readings=[{"channel": 1, "power_w": 0}]),
        after_s=41,
    )
    assert [(each.alert.key.rule, each.transition) for each in world.batch.changes] == [
        ("overload", Transition.FIRING),
        ("overload", Transition.RESOLVED),
    ]
