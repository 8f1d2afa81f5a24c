"""The live view of the simulator: what is done to devices, what came of it, how it looks."""

import asyncio
import io
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
from datetime import datetime, timedelta
from fcntl import ioctl
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from api.backtest.scoring import Score
from api.backtest.truth import read_truth
from api.score.asking import alarms_of
from api.score.report import Asked, scored
from api.tokens import read_tokens
from ingest.clock import utc_now
from simulator.answers import Alarm, Answers, concerns, outcome
from simulator.choosing import Scene
from simulator.faults import FAULTS
from simulator.faults.charges import LongCharge
from simulator.faults.contacts import PlugBounce
from simulator.faults.network import CarrierOutage
from simulator.improvising import Deed
from simulator.keys import keys_in
from simulator.limits import Limits
from simulator.meddling import CHOICES, NOW, MeddledPlayer
from simulator.scene import Subject
from simulator.view_words import WORDS, Words
from simulator.village import Site, Village
from simulator.watch import app, quicker, village_now
from simulator.watching import picture
from tests.brokers import Mosquitto
from tests.processes import ROOT, ServiceProcess, eventually, service
from tests.simulated import NOON, quiet

pytest_plugins = ["tests.system_fixtures"]

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PILE, OTHER, SENSOR = "town/north/pile-01", "town/north/pile-02", "town/north/smoke-01"
SITE = "town/north"
BY_KEY = {choice.key: choice.fault for choice in CHOICES}


def village(sites: int = 1) -> Village:
    names = ("north", *(f"site-{n}" for n in range(1, sites)))
    return quiet(*(Site("town", n, n, n, 2, 1, 30.0, 120.0) for n in names))


# --- what came of it ----------------------------------------------------------------------


def deed(key: str = "o") -> Deed:
    scene = scene_of(1, "en")
    scene.channel = 3
    subject = scene.whom(BY_KEY[key])
    assert subject is not None
    return Deed.of(scene.player.village, BY_KEY[key], subject, NOON, 0)


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
    assert outcome(deed("p"), [outage]).alarm == outage


def test_an_alarm_that_must_not_come_of_it_is_named_unless_something_else_is_its_cause() -> (
    None
):
    bouncing = Deed.of(*plug_bounce())
    false = alarm(30)
    assert outcome(bouncing, [false]).wrong == false
    assert outcome(bouncing, [false], [bouncing, deed()]).wrong is None
    assert outcome(bouncing, [alarm(30, "long_charge")]).wrong is None


def plug_bounce() -> tuple[Village, PlugBounce, Subject, datetime, int]:
    here = village()
    return here, PlugBounce(at=NOW, came_before="5 s"), Subject(here.sites[0], PILE, 3), NOON, 0


# --- how it looks -------------------------------------------------------------------------


def shown(scene: Scene, now: datetime, height: int = 24, width: int = 80) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, no_color=True, force_terminal=False)
    console.print(picture(scene, now, 3, height))
    return out.getvalue().splitlines()


def scene_of(sites: int, language: str) -> Scene:
    made = MeddledPlayer(village(sites))
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
        scene.channel = 1 + number % 10
        subject = scene.whom(choice.fault)
        assert subject is not None
        scene.player.do(choice.fault, subject, now + number * SECOND)
    scene.notice = "something"
    scene.answers.alarms = {1: alarm(200)}
    lines = shown(scene, now + MINUTE)
    assert len(lines) <= 24
    assert max(map(cell_len, lines)) <= 80
    text = "\n".join(lines)
    for choice in CHOICES:
        assert f"{choice.key} {scene.say.fault(choice.fault)}" in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_all_faults_are_a_page_to_choose_from(language: str) -> None:
    scene = scene_of(1, language)
    scene.menu = 0
    names = [scene.say.fault(fault) for fault in scene.faults]
    assert {type(fault) for fault in scene.faults} == {*FAULTS.values()}
    for key in ["down"] * 20 + ["left", "right", "up"]:
        lines = shown(scene, NOON + 3 * MINUTE)
        assert len(lines) <= 24
        assert max(map(cell_len, lines)) <= 80
        chosen = scene.faults[scene.menu]
        assert f"> {scene.say.fault(chosen)}" in "\n".join(lines)
        assert all(name in "\n".join(lines) for name in names)
        assert scene.move(key)
    assert scene.channel == 1, "arrows choose in the page alone"
    assert not scene.move("enter")


def test_it_says_what_came_of_it_in_words_and_marks() -> None:
    scene, now = scene_of(1, "en"), NOON + 3 * MINUTE
    scene.channel = 3
    subject = scene.whom(BY_KEY["o"])
    assert subject is not None
    scene.player.do(BY_KEY["o"], subject, now)
    for _ in scene.player.play(now + 12 * SECOND):
        """Time passes."""
    waiting = "\n".join(shown(scene, now + 12 * SECOND))
    assert "… nothing after 12 s, reports in" in waiting
    assert "> town/north" in waiting
    assert re.search(r"#3  charging  \d\.\d\d A  22\d\.\d V  2\d\.\d °C  0\.0\d+ kWh", waiting)
    came = alarm(180 + 31)
    scene.answers.alarms = {1: came}
    assert "! overload +31.0 s / not told" in "\n".join(shown(scene, now + MINUTE))
    came.told_at = came.fired_at + SECOND
    assert "✓ overload +31.0 / +32.0 s" in "\n".join(shown(scene, now + MINUTE))
    came.resolved_at = came.fired_at + 99 * SECOND
    assert "✓ overload +31.0 / +32.0 / +130 s" in "\n".join(shown(scene, now + MINUTE))


def test_a_socket_that_is_switched_off_has_a_mark() -> None:
    scene, now = scene_of(1, "en"), NOON + 3 * MINUTE
    assert "×" not in "\n".join(shown(scene, now))
    order = b'{"id":"1","command":"switch_off","channel":1}'
    scene.player.obey(f"chargewatch/v1/{PILE}/command", order, now)
    text = "\n".join(shown(scene, now))
    assert re.search(r">#1 +\d W×", text)
    assert "#1  cut" in text


def test_a_trap_says_that_no_alarm_is_due_and_names_one_that_comes() -> None:
    scene, now = scene_of(1, "en"), NOON + 3 * MINUTE
    _, fault, subject, _, _ = plug_bounce()
    scene.player.do(fault, subject, now)
    assert "– no alarm is due" in "\n".join(shown(scene, now + MINUTE))
    scene.answers.alarms = {1: alarm(180 + 40)}
    assert "✗ a false overload +40.0 s" in "\n".join(shown(scene, now + MINUTE))


def test_an_alarm_that_is_due_much_later_is_said_to_be_due_then() -> None:
    scene, now = scene_of(1, "en"), NOON + 3 * MINUTE
    long = LongCharge(at=NOW, battery="lead-acid 72 V 32 Ah", charge=0.0)
    early = msgspec.structs.replace(scene.player.village, limits=Limits(charge="2 h"))
    scene.player.village = early
    subject = scene.whom(long)
    assert subject is not None
    scene.player.do(long, subject, now)
    assert "… nothing after 30 s, due from 14:03" in "\n".join(shown(scene, now + 30 * SECOND))


def test_nobody_is_befallen_by_what_there_is_not_here() -> None:
    scene = scene_of(1, "en")
    assert scene.whom(CarrierOutage(at=NOW)) is None
    lonely = msgspec.structs.replace(village().sites[0], sensors=0)
    bare = msgspec.structs.replace(village(), sites=(lonely,), sensors=())
    without = Scene(MeddledPlayer(bare), scene.answers, "", scene.zone, scene.say)
    assert without.whom(BY_KEY["s"]) is None
    assert without.whom(BY_KEY["o"]) == Subject(lonely, PILE, 1)


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
    assert {f"fault.{name}" for name in FAULTS} <= WORDS.keys()
    assert {f"target.{kind.target}" for kind in FAULTS.values()} <= WORDS.keys()
    assert len({choice.key for choice in CHOICES} | set("aexq")) == len(CHOICES) + 4


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
        self.shows_like(re.escape(words), within_s)

    def shows_like(self, words: str, within_s: float = 60.0) -> None:
        until = time.monotonic() + within_s
        while not re.search(words, self.text):
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
    """Yield a service that agrees with the village, and believes an overload sooner."""
    sites, policy = tmp_path / "sites.toml", tmp_path / "policy.toml"
    words = ["--sites", "2", "--sites-toml", str(sites), "--policy-toml", str(policy)]
    written = CliRunner().invoke(app, words)
    assert written.exit_code == 0, written.output
    overload = "[default.overload]\n"
    limits = policy.read_text(encoding="utf-8")
    assert overload in limits
    sooner = f'{overload}hold = "5 s"\nkeep_firing = "1 s"\n'
    policy.write_text(limits.replace(overload, sooner), encoding="utf-8")
    with service(tmp_path, broker, sites=sites, policy=policy) as made:
        made.begin()
        yield made


def whole_truth(running: ServiceProcess, token: str, truth: Path) -> Score:
    """Return the score of the service by what was true in the village."""
    api = f"http://127.0.0.1:{running.port}"
    alarms = asyncio.run(alarms_of(api, token, None, None))
    return scored(alarms, read_truth(truth), Asked()).report.score


def test_an_overload_by_key_is_told_cut_and_over_and_all_of_that_is_seen(
    running: ServiceProcess, broker: Mosquitto, tmp_path: Path
) -> None:
    [token] = [each for each in read_tokens(running.data) if each.name == "admin"]
    truth = tmp_path / "truth.jsonl"
    words = ["--sites", "2", "--broker", broker.url, "--beat", "2", "--language", "en"]
    words += ["--api", f"http://127.0.0.1:{running.port}", "--truth", str(truth)]
    with terminal(words, {"CHARGEWATCH_TOKEN": token.secret}) as screen:
        screen.shows("● service")
        screen.shows("W ")
        screen.press("o")
        screen.shows("✓ overload +")
        assert re.search(r"✓ overload \+\d+\.\d / \+\d+\.\d s", screen.text)
        screen.shows("0.014 kWh")  # which takes so long that it is an overload by any measure
        [alert] = running.alerts(rule="overload")
        running.post("/cut", device=alert["device"], channel=alert["channel"], reason="test")
        screen.shows("W×")
        screen.shows_like(r"✓ overload \+\d+\.\d / \+\d+\.\d / \+\d+(\.\d)? s")
        screen.press("q")
        assert screen.process.wait(20) == 0
    incidents = [each for each in read_truth(truth) if each.device == alert["device"]]
    [overload] = [each for each in incidents if each.kind == "overload"]
    [step] = [each for each in incidents if each.kind == "two_on_one_socket"]
    assert overload.expected_rules == ("overload",)
    assert overload.ends is not None
    assert step.ends is not None
    assert overload.ends < step.ends, "the order ended it, before the tester pulled the plug"
    score = whole_truth(running, token.secret, truth)
    assert (score.found, score.recall, score.false_alarms) == (1, 1.0, 0)


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
        assert re.search(r"✓ smoke \+\d+\.\d / \+\d+\.\d s", screen.text)
        assert "\x1b[3" not in screen.text.replace("\x1b[3J", ""), "no colours were asked for"
        screen.press("q")
        assert screen.process.wait(20) == 0
        assert termios.tcgetattr(screen.slave) == screen.before
    eventually(
        "what was done was put right",
        lambda: all(each["state"] == "resolved" for each in running.alerts(rule="smoke")),
        20,
    )
    score = whole_truth(running, token.secret, truth)
    assert (score.incidents, score.recall) == (1, 1.0), "what was done is a truth to score by"
    assert score.delay_s is not None
    assert score.delay_s.max < 30


def test_a_fault_is_chosen_from_all_of_them_and_one_socket_has_one_at_a_time(
    broker: Mosquitto,
) -> None:
    words = ["--sites", "1", "--broker", broker.url, "--language", "en"]
    with terminal(words, {}) as screen:
        screen.shows("Nothing has been done yet.")
        screen.press("a")
        screen.shows("> a bike")
        screen.shows("a socket: quiet-1/site-001/pile-01 #1")
        screen.press("z")  # back
        screen.press("a\x1b[C\x1b[C\r")
        screen.shows_like(r"brown-out +site-001/")
        screen.press("a\r")
        screen.shows_like(r"a bike +site-001/pile-01 #1 +… nothing after")
        screen.press("o")
        screen.shows("! this socket has one already: end it first (e)")
        screen.press("eo")
        screen.shows_like(r"overload +site-001/pile-01 #1 +… nothing after")
        screen.press("q")
        assert screen.process.wait(20) == 0


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


def test_a_bridge_is_no_site() -> None:
    plain = village()
    sensors = (msgspec.structs.replace(each, skin="zigbee2mqtt") for each in plain.sensors)
    player = MeddledPlayer(msgspec.structs.replace(plain, sensors=tuple(sensors)))
    scene = Scene(player, Answers("", ""), "", ZoneInfo("Asia/Shanghai"), Words("en"))
    assert scene.sites == ["town/north"]
