"""Recording and replaying with a real Mosquitto; a recorded village is what was live."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from typer.testing import CliRunner

from api.backtest.recording import Recording
from api.backtest.running import Asked, on_recording
from api.cli import app
from api.ports import free_port
from api.serving import serving
from api.settings import BrokerSettings, HttpSettings, Settings
from api.tape.address import Address
from api.tape.recording import BrokerRefuses, Change, Heard, Recorder, Wanted
from api.tape.replaying import NotPlayed, Played, Replay, Shifting
from api.tape.taken import MqttProperties, Taken, taken_message
from api.tape.writing import Tape
from ingest.clock import Now, utc_now, warped
from ingest.ledger import queries
from ingest.ledger.queries import AlertFilter
from simulator.player import Player
from simulator.publisher import Broker, Publisher
from simulator.village import POLICY_TOML, sites_toml
from simulator.village_evening import village_evening
from tests.brokers import HOST, Mosquitto
from tests.processes import ROOT, eventually

pytest_plugins = ["tests.system_fixtures"]

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
TOPIC = "chargewatch/v1/xuhui/renmin-lu/pile-1/telemetry"
SPEED = 180
SLACK = timedelta(seconds=90)
"""Half a second of real time, for two processes on a busy machine."""


def unchanged(taken: Taken) -> Taken:
    return taken


class Listening:
    """A recorder in a thread of its own."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._stop = threading.Event()
        self._result: list[Heard] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._result.append(self.recorder.run(self._stop.is_set, lambda _: None))

    def listens(self) -> None:
        """Return when it hears all that is published from now on, and has what was kept."""
        eventually(
            "it listens",
            lambda: self.recorder.listening and self.recorder._kept is None,
            10,
        )

    def has(self, count: int) -> None:
        heard = self.recorder.heard
        eventually(
            f"{count} messages are on the tape, after {heard.messages}",
            lambda: heard.messages >= count,
            20,
        )

    def stop(self) -> Heard:
        self._stop.set()
        self._thread.join(20)
        [heard] = self._result
        return heard


@contextmanager
def recording(
    broker: Mosquitto,
    path: Path,
    *,
    now: Now = utc_now,
    change: Change = unchanged,
    mqtt5: bool = True,
) -> Iterator[Listening]:
    wanted = Wanted(topics=("#",), mqtt5=mqtt5)
    recorder = Recorder(Address.of(broker.url), wanted, Tape(path), now, change)
    running = Listening(recorder)
    try:
        yield running
    finally:
        running._stop.set()
        running._thread.join(20)


@contextmanager
def client(broker: Mosquitto) -> Iterator[paho.Client]:
    made = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    made.connect(broker.host, broker.port)
    made.loop_start()
    try:
        yield made
    finally:
        made.disconnect()
        made.loop_stop()


def say(
    broker: Mosquitto,
    *messages: tuple[str, str],
    retain: bool = False,
    properties: Properties | None = None,
) -> None:
    with client(broker) as made:
        sent = [made.publish(t, p, 1, retain, properties) for t, p in messages]
        for each in sent:
            each.wait_for_publish(10)


def read(path: Path) -> list[Taken]:
    return [cast("Taken", each) for each in Recording(path, taken_message).messages()]


# --- recording ----------------------------------------------------------------------------


def test_what_was_kept_what_is_to_be_kept_and_properties_are_on_the_tape(
    broker: Mosquitto, tmp_path: Path
) -> None:
    say(broker, ("a/status", "old"), retain=True)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = [("firmware", "1.2"), ("firmware", "1.3")]
    properties.ContentType = "text/plain"
    with recording(broker, tmp_path / "t.jsonl") as tape:
        tape.listens()
        say(broker, ("a/status", "new"), retain=True)
        say(broker, ("b", "said"), properties=properties)
        tape.has(3)
        heard = tape.stop()
    old, new, said = read(tmp_path / "t.jsonl")
    assert (old.payload, old.retained, old.retain) == (b"old", True, False)
    assert (new.payload, new.retained, new.retain) == (b"new", False, True)
    assert said.properties == MqttProperties(
        content_type="text/plain", user=(("firmware", "1.2"), ("firmware", "1.3"))
    )
    assert abs(said.received_at - utc_now()) < timedelta(seconds=60)
    assert (heard.messages, heard.kept, heard.complete) == (3, 1, True)


def test_nothing_is_lost_while_the_broker_is_away_if_it_keeps_the_session(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with recording(broker, tmp_path / "t.jsonl.gz") as tape:
        tape.listens()
        say(broker, (TOPIC, "1"))
        tape.has(1)
        broker.stop()
        broker.start()
        say(broker, (TOPIC, "2"))
        tape.has(2)
        heard = tape.stop()
    assert [each.payload for each in read(tmp_path / "t.jsonl.gz")] == [b"1", b"2"]
    assert heard.reconnected == 1
    assert heard.gaps == []


def test_a_session_that_the_broker_lost_is_a_gap_and_is_said(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with recording(broker, tmp_path / "t.jsonl") as tape:
        tape.listens()
        broker.stop()
        (tmp_path / "mosquitto" / "mosquitto.db").unlink()
        broker.start()
        eventually("it is back", lambda: bool(tape.recorder.heard.gaps), 20)
        tape.listens()
        say(broker, (TOPIC, "later"))
        tape.has(1)
        heard = tape.stop()
    assert len(heard.gaps) == 1
    assert not heard.complete


def test_it_leaves_no_session_behind(broker: Mosquitto, tmp_path: Path) -> None:
    with recording(broker, tmp_path / "t.jsonl") as tape:
        tape.listens()
        tape.stop()
    say(broker, (TOPIC, "for nobody"))
    with recording(broker, tmp_path / "u.jsonl") as tape:
        tape.listens()
        assert tape.stop().messages == 0


def test_what_is_to_be_left_out_is_counted_and_acknowledged(
    broker: Mosquitto, tmp_path: Path
) -> None:
    def change(taken: Taken) -> Taken | str:
        return "secret" if taken.topic == "secret" else taken

    with recording(broker, tmp_path / "t.jsonl", change=change) as tape:
        tape.listens()
        say(broker, *[("secret", str(n)) for n in range(50)], ("open", "1"))
        tape.has(1)
        heard = tape.stop()
    assert (heard.messages, heard.left_out) == (1, {"secret": 50})


def test_an_old_broker_is_recorded_too(broker: Mosquitto, tmp_path: Path) -> None:
    with recording(broker, tmp_path / "t.jsonl", mqtt5=False) as tape:
        tape.listens()
        say(broker, (TOPIC, "1"))
        tape.has(1)
        assert tape.stop().complete


def test_a_broker_that_is_not_there_is_said(tmp_path: Path) -> None:
    address = Address.of(f"mqtt://{HOST}:{free_port()}")
    recorder = Recorder(
        address, Wanted(topics=("#",)), Tape(tmp_path / "t"), utc_now, unchanged
    )
    with pytest.raises(BrokerRefuses, match="refused"):
        recorder.run(lambda: False, lambda _: None)


def test_a_flood_is_on_the_tape_to_the_last_message(broker: Mosquitto, tmp_path: Path) -> None:
    count = 1500
    with recording(broker, tmp_path / "t.jsonl.gz") as tape:
        tape.listens()
        say(broker, *[(TOPIC, str(number)) for number in range(count)])
        tape.has(count)
        tape.stop()
    assert [int(each.payload) for each in read(tmp_path / "t.jsonl.gz")] == [*range(count)]


# --- replaying ----------------------------------------------------------------------------


def played(  # noqa: PLR0913  (as wide as a replay)
    broker: Mosquitto,
    tape: list[Taken],
    shifting: Shifting,
    *,
    speed: float = 0,
    now: Now = utc_now,
    everything: bool = False,
) -> Played:
    replay = Replay(Address.of(broker.url), shifting, everything=everything)
    return replay.run(tape, speed, now, lambda: False, lambda _: None)


def at(after_s: float, said: str, topic: str = TOPIC, *, retain: bool = False) -> Taken:
    return Taken(
        topic, said.encode(), NOON + timedelta(seconds=after_s), False, False, 1, retain
    )


def test_a_tape_is_played_in_order_with_its_flags_and_its_properties(
    broker: Mosquitto, tmp_path: Path
) -> None:
    tape = [at(n / 1000, f'{{"readings":[],"seq":{n}}}') for n in range(500)]
    user = MqttProperties(user=(("k", "v"),))
    status = "chargewatch/v1/xuhui/renmin-lu/pile-1/status"
    tape.append(Taken(status, b"{}", NOON + timedelta(seconds=1), False, False, 1, True, user))
    with recording(broker, tmp_path / "t.jsonl") as listening:
        listening.listens()
        done = played(broker, tape, Shifting())
        listening.has(501)
        listening.stop()
    heard = read(tmp_path / "t.jsonl")
    assert done.messages == 501
    assert [(e.topic, e.payload) for e in heard] == [(e.topic, e.payload) for e in tape]
    assert (heard[-1].retain, heard[-1].properties) == (True, user)


def test_orders_and_strangers_are_not_played_unless_everything_is(broker: Mosquitto) -> None:
    tape = [
        at(0, "{}", "chargewatch/v1/a/b/c/command"),
        at(0, "ON", "cmnd/plug/POWER"),
        at(0, "x", "somebody/else"),
        at(0, "9", "$SYS/uptime"),
        at(0, '{"readings":[]}'),
    ]
    done = played(broker, tape, Shifting())
    assert done.messages == 1
    assert done.left_out == {
        "a command": 2,
        "a topic of no dialect": 1,
        "the broker's own": 1,
    }
    assert played(broker, tape, Shifting(), everything=True).messages == 4


def moved(
    broker: Mosquitto, tmp_path: Path, shifting: Shifting, speed: float
) -> list[datetime]:
    """Return the devices' own times as they come in, an hour apart in life."""
    said = ("2026-01-05T03:59:58.000Z", "2026-01-05T04:59:58.000Z")
    tape = [
        at(hour * 3600, json.dumps({"at": own, "readings": []}))
        for hour, own in enumerate(said)
    ]
    with recording(broker, tmp_path / "t.jsonl") as listening:
        listening.listens()
        played(broker, tape, shifting, speed=speed)
        listening.has(2)
        listening.stop()
    heard = [json.loads(each.payload) for each in read(tmp_path / "t.jsonl")]
    return [datetime.fromisoformat(each["at"]) for each in heard]


def test_times_follow_their_message_at_any_speed(broker: Mosquitto, tmp_path: Path) -> None:
    began = utc_now()
    one, other = moved(broker, tmp_path, Shifting(follow=True), speed=7200)
    assert abs(one - began + timedelta(seconds=2)) < timedelta(seconds=10)
    assert other - one == timedelta(seconds=0.5), "an hour at 7200-fold speed"


def test_times_begin_where_they_are_told_to(broker: Mosquitto, tmp_path: Path) -> None:
    to = datetime(2030, 6, 1, tzinfo=UTC)
    one, other = moved(broker, tmp_path, Shifting(to=to), speed=0)
    assert (one, other - one) == (to - timedelta(seconds=2), timedelta(hours=1))


def test_a_tape_is_paced(broker: Mosquitto) -> None:
    tape = [at(number, '{"readings":[]}') for number in range(21)]
    done = played(broker, tape, Shifting(), speed=20)
    assert done.seconds >= 1.0
    assert done.late_ms_p99 < 500


def test_a_broker_that_is_not_there_does_not_play() -> None:
    replay = Replay(Address.of(f"mqtt://{HOST}:{free_port()}"), Shifting())
    with pytest.raises(NotPlayed, match="refused"):
        replay.run([], 1, utc_now, lambda: False, lambda _: None)


# --- the whole way ------------------------------------------------------------------------


def test_a_recorded_village_raises_in_a_backtest_what_it_raised_live(
    broker: Mosquitto, tmp_path: Path
) -> None:
    village = village_evening(7, date(2026, 5, 12))
    until = village.starts + timedelta(minutes=12)
    (tmp_path / "sites.toml").write_text(sites_toml(village), encoding="utf-8")
    (tmp_path / "policy.toml").write_text(POLICY_TOML, encoding="utf-8")
    settings = Settings(
        data_dir=tmp_path / "data",
        sites_file=tmp_path / "sites.toml",
        policy_file=tmp_path / "policy.toml",
        broker=BrokerSettings(host=broker.host, port=broker.port),
        http=HttpSettings(host=HOST, port=free_port()),
    )

    async def live(now: Now, listens: Callable[[], None]) -> list[tuple[str, str, datetime]]:
        async with serving(settings, now, SPEED) as (service, _):
            await asyncio.to_thread(listens)
            publisher = Publisher(Player(village.devices()), Broker.at(broker.url), now, SPEED)
            await publisher.run(until)
            found = await service.ledger.read(
                lambda c: queries.find_alerts(c, AlertFilter(drill=False), 100)
            )
        return sorted((each.rule, each.device, each.fired_at) for each in found)

    now = warped(SPEED, utc_now() + timedelta(seconds=1.5), village.starts)
    with recording(broker, tmp_path / "t.jsonl.gz", now=now) as tape:
        raised = asyncio.run(live(now, tape.listens))
        assert tape.stop().complete
    asked = Asked(in_force=tmp_path / "policy.toml", sites=tmp_path / "sites.toml")
    result = on_recording(asked, tmp_path / "t.jsonl.gz", lambda _share, _now: None)
    again = sorted(
        (each.rule, each.device or "", each.fired_at)
        for each in result.in_force.episodes
        if each.told_at is not None
    )
    assert {each[0] for each in raised} == {"overload", "smoke"}
    assert [each[:2] for each in again] == [each[:2] for each in raised]
    for (*_, one), (*_, other) in zip(raised, again, strict=True):
        assert abs(one - other) < SLACK


# --- as people type it --------------------------------------------------------------------


def test_it_is_recorded_replayed_and_made_anonymous_by_command(
    broker: Mosquitto, tmp_path: Path
) -> None:
    tape, anonymous = tmp_path / "t.jsonl.gz", tmp_path / "a.jsonl"
    words = ("record", tape, "--broker", broker.url, "--max-messages", "2", "--json")
    with subprocess.Popen(
        [ROOT / "chargewatch", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        with client(broker) as made:
            eventually(
                "two are on the tape",
                lambda: (
                    made.publish(TOPIC, '{"readings":[{"power_w":1}]}', 1) is not None
                    and process.poll() is not None
                ),
                30,
            )
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["messages"] >= 2
    assert process.returncode == 0
    again = CliRunner().invoke(
        app, ["replay", str(tape), "--broker", broker.url, "--speed", "0", "--json"]
    )
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["messages"] >= 2
    key = ("--key-file", str(tmp_path / "key"))
    hidden = CliRunner().invoke(app, ["anonymise", str(tape), str(anonymous), *key])
    assert hidden.exit_code == 0, hidden.output
    assert b"renmin" not in anonymous.read_bytes()
    assert b"power_w" in anonymous.read_bytes()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["record", "t.jsonl", "--broker", "http://x"], "not mqtt://host:port"),
        (["record", "t.jsonl", "--broker", f"mqtt://{HOST}:9"], "refused"),
        (["replay", "none.jsonl", "--broker", f"mqtt://{HOST}:9"], "refused"),
        (["replay", "none.jsonl", "--shift", "today"], "today is no ISO instant"),
        (["anonymise", "none.jsonl", "a.jsonl", "--key-file", "key"], "none.jsonl: No such"),
        (["anonymise", "none.jsonl", "a.jsonl", "--key-file", "no/key"], "no/key: No such"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words, env={"COLUMNS": "100"})
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
