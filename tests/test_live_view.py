"""The live view of the simulator: what is done to devices, what came of it, how it looks."""

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from api.backtest.truth import read_truth
from api.score.asking import alarms_of
from api.score.report import Asked, scored
from api.tokens import read_tokens
from ingest.clock import utc_now
from ingest.codecs.native import Native
from ingest.wire import Message, Profile, Rejected, Said
from rules.readings import Kind, Reading
from simulator.answers import Alarm, Answers, concerns, outcome
from simulator.emissions import Emission
from simulator.ills import Ill
from simulator.keys import keys_in
from simulator.meddling import CHOICES, Choice, Deed, MeddledPlayer
from simulator.piles import PilePlan
from simulator.smoke_sensors import SensorPlan
from simulator.view_words import WORDS, Words
from simulator.village import Area, Site, Village
from simulator.watch import app, quicker, village_now
from simulator.watching import Scene, picture
from tests.brokers import Mosquitto
from tests.processes import ROOT, ServiceProcess, eventually, service

pytest_plugins = ["tests.system_fixtures"]

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PILE, OTHER, SENSOR = "town/north/pile-01", "town/north/pile-02", "town/north/smoke-01"
SITE = "town/north"
BY_KEY = {choice.key: choice for choice in CHOICES}


def village(sites: int = 1) -> Village:
    names = [f"site-{n}" for n in range(1, sites)]
    places = tuple(Site("town", n, n, n, 2, 1, 30.0, 120.0) for n in ("north", *names))
    return Village(
        scenario="a quiet one",
        seed=7,
        starts=NOON,
        lasts=timedelta(hours=4),
        zone="Asia/Shanghai",
        areas=(Area("town", "镇", "Town"),),
        sites=places,
        piles=tuple(PilePlan(id=name) for each in places for name in each.pile_ids()),
        sensors=tuple(SensorPlan(id=name) for each in places for name in each.sensor_ids()),
    )


@pytest.fixture
def player() -> MeddledPlayer:
    made = MeddledPlayer(village().devices())
    for _ in made.play(NOON + 2 * MINUTE):
        """It has begun."""
    return made


def understood(emission: Emission) -> Said | Rejected:
    native = Native()
    name = native.address(emission.topic, ())
    assert isinstance(name, str)
    said = native.decode(
        Message(emission.topic, emission.payload, emission.at), name, Profile()
    )
    assert isinstance(said, Said | Rejected)
    return said


def readings(said: list[Emission], device: str, channel: int | None) -> Iterator[Reading]:
    for emission in said:
        if emission.device == device and emission.topic.endswith("/telemetry"):
            found = understood(emission)
            assert isinstance(found, Said)
            yield from (each for each in found.readings if each.channel == channel)


def done(player: MeddledPlayer, key: str, device: str = PILE) -> list[Emission]:
    """Do something, and return all that is said in the five minutes after it."""
    said = player.do(BY_KEY[key], device, 3, NOON + 2 * MINUTE)
    return [*said, *player.play(NOON + 7 * MINUTE)]


# --- what is done -------------------------------------------------------------------------


def test_an_overload_shows_a_second_bike_at_that_socket_and_at_no_other(
    player: MeddledPlayer,
) -> None:
    said = done(player, "o")
    third = list(readings(said, PILE, 3))
    assert all((each.power_w or 0) > 1000 and each.relay_on for each in third)
    energies = [each.energy_kwh or 0 for each in third]
    assert energies == sorted(energies)
    assert energies[-1] - energies[0] == pytest.approx(1.06 * 270 / 3600, rel=0.2)
    assert all((each.power_w or 0) < 20 for each in readings(said, PILE, 4))
    assert all((each.power_w or 0) < 20 for each in readings(said, OTHER, 3))


def test_smoke_is_said_at_once_and_with_every_report_until_it_is_over(
    player: MeddledPlayer,
) -> None:
    said = player.do(BY_KEY["s"], SENSOR, 1, NOON + 2 * MINUTE)
    [event] = [each for each in said if each.topic.endswith("/event")]
    assert event.at == NOON + 2 * MINUTE
    found = understood(event)
    assert isinstance(found, Said)
    assert found.readings[0].smoke_alarm is True
    later = list(player.play(NOON + 12 * MINUTE))
    assert [each.smoke_alarm for each in readings(later, SENSOR, None)] == [True, True]
    [deed] = player.open_deeds()
    over = player.end(deed, NOON + 13 * MINUTE)
    found = understood(over[-1])
    assert isinstance(found, Said)
    assert found.readings[0].smoke_alarm is False
    well = list(player.play(NOON + 20 * MINUTE))
    assert not any(each.smoke_alarm for each in readings(well, SENSOR, None))


@pytest.mark.parametrize("key", ["l", "d"])
def test_a_device_that_is_silenced_says_nothing_and_obeys_nothing(
    player: MeddledPlayer, key: str
) -> None:
    said = done(player, key)
    mine = [each for each in said if each.device == PILE]
    order = json.dumps({"id": "1", "command": "report_now"}).encode()
    answers = player.obey(f"chargewatch/v1/{PILE}/command", order, NOON + 8 * MINUTE)
    assert not any(each.device == PILE for each in answers)
    if key == "l":
        assert mine == []
    else:
        [will] = mine
        assert will.retain
        assert json.loads(will.payload)["online"] is False
    assert any(each.device == OTHER for each in said)


def test_a_power_cut_silences_a_whole_site_and_ends(player: MeddledPlayer) -> None:
    assert done(player, "p") == []
    [deed] = player.open_deeds()
    player.end(deed, NOON + 8 * MINUTE)
    said = {each.device for each in player.play(NOON + 14 * MINUTE)}
    assert said == {PILE, OTHER, SENSOR}


def test_a_welded_relay_says_off_and_current_flows(player: MeddledPlayer) -> None:
    third = list(readings(done(player, "w"), PILE, 3))
    assert all(each.relay_on is False and (each.power_w or 0) > 200 for each in third)


def test_a_contact_gets_hotter_and_hotter(player: MeddledPlayer) -> None:
    found = [each.device_temperature_c or 0 for each in readings(done(player, "h"), PILE, 3)]
    assert found[-1] > found[0] + 50
    assert found[-1] < 120


def test_a_clock_at_1970_runs_on_from_there(player: MeddledPlayer) -> None:
    mine = [each for each in done(player, "c") if each.device == PILE]
    found = [understood(each) for each in mine]
    times = [each.at for each in found if isinstance(each, Said) and each.at is not None]
    assert {each.year for each in times} == {1970}
    assert times == sorted(times)


def test_a_battery_is_low_and_half_a_message_is_no_message(player: MeddledPlayer) -> None:
    low = list(readings(done(player, "b", SENSOR), SENSOR, None))
    assert [each.battery_pct for each in low] == [4.0] * len(low)
    player.do(BY_KEY["g"], OTHER, 1, NOON + 8 * MINUTE)
    half = [each for each in player.play(NOON + 9 * MINUTE) if each.device == OTHER]
    assert half
    assert all(isinstance(understood(each), Rejected) for each in half)


def test_several_things_may_be_the_matter_and_end_one_by_one(player: MeddledPlayer) -> None:
    player.do(BY_KEY["o"], PILE, 3, NOON + 2 * MINUTE)
    player.do(BY_KEY["h"], PILE, 4, NOON + 2 * MINUTE)
    first, second = player.open_deeds()
    player.end(first, NOON + 4 * MINUTE)
    player.end(first, NOON + 4 * MINUTE)
    said = list(player.play(NOON + 6 * MINUTE))
    assert all((each.power_w or 0) < 20 for each in readings(said, PILE, 3))
    assert any((each.device_temperature_c or 0) > 60 for each in readings(said, PILE, 4))
    assert list(player.open_deeds()) == [second]


def test_a_village_to_which_nothing_is_done_says_what_it_would_have_said() -> None:
    meddled = MeddledPlayer(village().devices())
    from simulator.player import Player  # noqa: PLC0415  (only here beside the other)

    plain = Player(village().devices())
    assert list(meddled.play(NOON + 10 * MINUTE)) == list(plain.play(NOON + 10 * MINUTE))
    assert meddled.said > 0


# --- what came of it ----------------------------------------------------------------------


def deed(key: str = "o", channel: int | None = 3) -> Deed:
    choice: Choice = BY_KEY[key]
    ill: Ill = choice.ill(since=NOON, channel=channel)
    return Deed(ill=ill, choice=choice, devices=(PILE,), site=SITE)


def alarm(
    after_s: float = 30, rule: str = "overload", device: str = PILE, channel: int | None = 3
) -> Alarm:
    at = NOON + after_s * SECOND
    return Alarm(id=1, rule=rule, site=SITE, device=device, channel=channel, fired_at=at)


@pytest.mark.parametrize(
    "other",
    [
        alarm(-60),
        alarm(device=OTHER),
        alarm(channel=4),
        Alarm(id=1, rule="overload", site="town/south", device="", fired_at=NOON),
    ],
)
def test_an_alarm_about_something_else_did_not_come_of_it(other: Alarm) -> None:
    assert not concerns(other, deed())
    assert outcome(deed(), [other]).alarm is None


def test_the_first_expected_alarm_is_what_came_of_it_and_the_others_are_named() -> None:
    warm, first, second = alarm(10, "warm"), alarm(30), alarm(60)
    found = outcome(deed(), [second, warm, first])
    assert (found.alarm, found.others) == (first, ("warm", "overload"))


def test_an_alarm_that_was_firing_before_is_said_to_have_been() -> None:
    found = outcome(deed(), [alarm(-600)])
    assert (found.alarm, found.already) == (None, alarm(-600))
    over = alarm(-600)
    over.resolved_at = NOON - MINUTE
    assert outcome(deed(), [over]).already is None


def test_an_alarm_of_the_whole_site_counts() -> None:
    outage = alarm(60, "site_outage", device="", channel=None)
    assert outcome(deed("p", None), [outage]).alarm == outage


# --- how it looks -------------------------------------------------------------------------


def shown(scene: Scene, now: datetime, height: int = 24, width: int = 80) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, no_color=True, force_terminal=False)
    console.print(picture(scene, now, 3, height))
    return out.getvalue().splitlines()


def scene_of(sites: int, language: str) -> Scene:
    made = MeddledPlayer(village(sites).devices())
    for _ in made.play(NOON + 2 * MINUTE):
        """It has begun."""
    answers = Answers("http://127.0.0.1:1", "")
    return Scene(
        made, answers, "http://127.0.0.1:1", ZoneInfo("Asia/Shanghai"), Words(language)
    )


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("sites", [1, 40])
def test_everything_fits_a_terminal_of_80_by_24(sites: int, language: str) -> None:
    scene, now = scene_of(sites, language), NOON + 3 * MINUTE
    for number, choice in enumerate(CHOICES * 2):
        device = scene.whom(choice)
        assert device is not None
        scene.player.do(choice, device, 1, now + number * SECOND)
    scene.notice = "something"
    scene.answers.alarms = {1: alarm(200)}
    lines = shown(scene, now + MINUTE)
    assert len(lines) <= 24
    assert max(map(cell_len, lines)) <= 80
    text = "\n".join(lines)
    for choice in CHOICES:
        assert f"{choice.key} {scene.say('ill.' + choice.ill(since=NOON).name)}" in text


def test_it_says_what_came_of_it_in_words_and_marks() -> None:
    scene, now = scene_of(1, "en"), NOON + 3 * MINUTE
    scene.player.do(BY_KEY["o"], PILE, 3, now)
    for _ in scene.player.play(now + 12 * SECOND):
        """Time passes."""
    waiting = "\n".join(shown(scene, now + 12 * SECOND))
    assert "… nothing after 12 s, reports in" in waiting
    assert "> town/north" in waiting
    assert "overload" in waiting
    came = alarm(180 + 31)
    scene.answers.alarms = {1: came}
    assert "! overload +31.0 s / not told" in "\n".join(shown(scene, now + MINUTE))
    came.told_at = came.fired_at + SECOND
    assert "✓ overload +31.0 s / +32.0 s" in "\n".join(shown(scene, now + MINUTE))


def test_who_is_chosen_goes_round_and_stays_in_the_village() -> None:
    scene = scene_of(3, "en")
    before = (scene.site, scene.pile, scene.channel)
    for key in ["down"] * 3 + ["tab"] * 2 + ["right"] * 10 + ["left", "right"]:
        assert scene.move(key)
    assert (scene.site, scene.pile, scene.channel) == before
    assert not scene.move("z")


def test_no_service_and_a_service_that_does_not_answer_are_said() -> None:
    scene = scene_of(1, "en")
    asyncio.run(scene.answers.ask([]))
    assert "! the service does not answer" in "\n".join(shown(scene, NOON + 3 * MINUTE))
    scene.url = ""
    assert "no service asked" in "\n".join(shown(scene, NOON + 3 * MINUTE))


def test_every_word_is_there_in_both_languages_with_the_same_values() -> None:
    for chinese, english in WORDS.values():
        assert re.findall(r"{(\w+)", chinese) == re.findall(r"{(\w+)", english)
    assert {f"ill.{choice.ill(since=NOON).name}" for choice in CHOICES} <= WORDS.keys()
    assert len({choice.key for choice in CHOICES} | set("exq")) == len(CHOICES) + 3


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ("o", ["o"]),
        ("O", ["o"]),
        ("\x1b[A\x1b[Bq", ["up", "down", "q"]),
        ("\x1bOC\t\r", ["right", "tab", "enter"]),
        ("s\x1b[200~o", ["s"]),
        ("\x1b", []),
        ("", []),
    ],
)
def test_keys_are_understood_and_other_sequences_do_nothing(said: str, keys: list[str]) -> None:
    assert list(keys_in(said)) == keys


def test_every_kind_of_subject_is_known() -> None:
    assert {choice.at for choice in CHOICES} <= {"socket", "pile", "sensor", "site"}
    assert Kind.CHARGER


# --- in a real terminal -------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal of 80 by 24 with the live view in it."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator.watch", *arguments],
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | environment | {"TERM": "xterm-256color", "NO_COLOR": "1"},
            start_new_session=True,
        )
        self.slave = slave

    def shows(self, words: str, within_s: float = 60.0) -> None:
        until = time.monotonic() + within_s
        while words not in self.text:
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                self.text = (self.text + os.read(self.master, 65536).decode(errors="replace"))[
                    -20_000:
                ]
            if time.monotonic() > until:
                pytest.fail(f"it does not show {words!r}:\n{self.text[-3000:]}")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def terminal(arguments: list[str], environment: dict[str, str]) -> Iterator[Terminal]:
    made = Terminal(arguments, environment)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def running(broker: Mosquitto, tmp_path: Path) -> Iterator[ServiceProcess]:
    sites = tmp_path / "sites.toml"
    written = CliRunner().invoke(app, ["--sites", "2", "--sites-toml", str(sites)])
    assert written.exit_code == 0, written.output
    with service(tmp_path, broker, sites=sites) as made:
        made.begin()
        yield made


def test_a_tester_presses_a_key_and_sees_the_alarm_come(
    running: ServiceProcess, broker: Mosquitto, tmp_path: Path
) -> None:
    [token] = [each for each in read_tokens(running.data) if each.name == "admin"]
    api = f"http://127.0.0.1:{running.port}"
    truth = tmp_path / "truth.jsonl"
    words = ["--sites", "2", "--broker", broker.url, "--api", api, "--language", "en"]
    words += ["--truth", str(truth)]
    with terminal(words, {"CHARGEWATCH_TOKEN": token.secret}) as screen:
        screen.shows("● service")
        screen.press("s")
        screen.shows("✓ smoke +")
        assert re.search(r"✓ smoke \+\d+\.\d s / \+\d+\.\d s", screen.text)
        assert "\x1b[3" not in screen.text.replace("\x1b[3J", ""), "no colours were asked for"
        screen.press("q")
        assert screen.process.wait(20) == 0
        assert termios.tcgetattr(screen.slave) == screen.before
    eventually(
        "what was done was put right",
        lambda: all(each["state"] == "resolved" for each in running.alerts(rule="smoke")),
        20,
    )
    alarms = asyncio.run(alarms_of(api, token.secret, None, None))
    score = scored(alarms, read_truth(truth), Asked()).report.score
    assert (score.incidents, score.recall) == (1, 1.0), "what was done is a truth to score by"
    assert score.delay_s is not None
    assert score.delay_s.max < 30


def test_it_leaves_the_terminal_as_it_was_when_it_is_interrupted(broker: Mosquitto) -> None:
    with terminal(["--sites", "1", "--broker", broker.url], {}) as screen:
        screen.shows("○", 60)
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(20) == 0
        assert termios.tcgetattr(screen.slave) == screen.before


def test_without_a_terminal_it_says_so() -> None:
    said = CliRunner().invoke(app, ["--sites", "1"])
    assert said.exit_code == 2
    assert "needs a terminal" in said.stderr


def test_a_scenario_that_does_not_play_now_says_when_it_does(tmp_path: Path) -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    later = (utc_now() + timedelta(hours=12)).astimezone(shanghai)
    path = tmp_path / "later.toml"
    path.write_text(
        f'starts = "{later:%H:%M}"\nlasts = "1 h"\n'
        '[text]\nzh = "晚一点"\nen = "Later"\n'
        '[[places]]\narea = "later"\ncount = 1\npiles = [1, 1]\nsensors = [1, 1]\n',
        encoding="utf-8",
    )
    with pytest.raises(typer.BadParameter) as caught:
        village_now(str(path), None, 1)
    assert f"later plays from {later:%H:%M} to" in str(caught.value)
    assert "quiet-month plays at any time" in str(caught.value)


def test_the_piles_of_a_bench_report_more_often_than_real_ones() -> None:
    slow = village_now("quiet-month", None, 2)
    assert {plan.beat for plan in quicker(slow, 30).piles} == {30 * SECOND}
    assert quicker(slow, 0) == slow


def test_what_is_done_by_a_key_is_said_in_the_dialect_of_the_device() -> None:
    plain = village()
    dressed = msgspec.structs.replace(
        plain,
        piles=tuple(msgspec.structs.replace(each, skin="tasmota") for each in plain.piles),
        sensors=tuple(
            msgspec.structs.replace(each, skin="zigbee2mqtt") for each in plain.sensors
        ),
    )
    player = MeddledPlayer(dressed.devices())
    for _ in player.play(NOON + 2 * MINUTE):
        """It has begun."""
    [smoke] = player.do(BY_KEY["s"], SENSOR, None, NOON + 2 * MINUTE)
    assert smoke.topic == f"zigbee2mqtt/{SENSOR}"
    assert b'"smoke":true' in smoke.payload
    player.do(BY_KEY["o"], PILE, 3, NOON + 2 * MINUTE)
    said = list(player.play(NOON + 4 * MINUTE))
    [*_, meter] = [e for e in said if e.device == PILE and e.topic.endswith("/SENSOR")]
    assert max(msgspec.json.decode(meter.payload)["ENERGY"]["Power"]) > 1000
    assert player.last[PILE].topic.endswith("/telemetry")  # what the view reads
    scene = Scene(player, Answers("", ""), "", ZoneInfo("Asia/Shanghai"), Words("en"))
    assert "" not in scene.sites  # a bridge is nowhere
