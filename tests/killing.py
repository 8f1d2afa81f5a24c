"""Killing the service while alarms flow, and the account of what everybody was told then."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.accounts import Account, account_of, alerts_of, rows_of, waiting
from tests.brokers import Mosquitto, mosquitto
from tests.processes import ServiceProcess, eventually, service
from tests.providers import MAIL_DOMAIN, SLOW_S, Providers, always_well, moods, providers

Moment = Literal["starting", "catching up", "running", "a digest is on its way"]
ANY_MOMENT: Sequence[Moment] = ("starting", "catching up", "catching up", "running")
FOR_LONG: Sequence[Moment] = (*get_args(Moment), "running", "running")
DIGEST_WITHIN_S = 20.0
RUNS_S = 5.0
"""How long it lives at most once it is ready: some of what it tells is written down by then."""
READY_WITHIN_S = 120.0
"""Some seconds; more where the machine is shared."""
TWIN_EVERY = 7
"""One site of so many has two detectors, whose smoke is a fire."""


def killed(
    watch: ServiceProcess, chance: random.Random, moment: Moment, runs_s: float = 1.0
) -> float:
    """Start the service and kill it at a moment of its life; return how long that was."""
    began = time.monotonic()
    watch.start()
    match moment:
        case "starting":
            time.sleep(chance.uniform(0, 4))
        case "catching up":
            lines = len(watch.log)
            eventually(
                "it takes up what was stored",
                lambda: any("service.taken_up" in line for line in watch.log[lines:]),
                READY_WITHIN_S,
                shown=watch.log_text,
            )
            time.sleep(chance.uniform(0, 0.5))
        case "running":
            watch.wait_ready(READY_WITHIN_S)
            time.sleep(chance.uniform(0, runs_s))
        case _:
            raise ValueError(f"somebody must say when {moment}")
    assert watch.runs, watch.log_text()
    watch.kill()
    return time.monotonic() - began


def killed_while_telling(
    watch: ServiceProcess, chance: random.Random, moment: Moment, town: Providers
) -> float:
    """Kill it once, and begin a new life in the providers' record."""
    if moment == "a digest is on its way":
        began = time.monotonic()
        town.record.digest_came.clear()
        watch.start()
        if town.record.digest_came.wait(DIGEST_WITHIN_S):
            time.sleep(chance.uniform(0, 1.5 * SLOW_S))
        watch.kill()
        lasted = time.monotonic() - began
    else:
        lasted = killed(watch, chance, moment, RUNS_S)
    town.record.life += 1
    return lasted


class Smoke:
    """Detectors that see smoke one after another, and see it gone some seconds later."""

    def __init__(
        self, broker: Mosquitto, rate: float, burns_s: float, sensors_max: int | None
    ) -> None:
        self.sensors: list[str] = []
        """All whose smoke was published."""
        self._rate, self._burns_s, self._sensors_max = rate, burns_s, sensors_max
        self._burning: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._sent: list[paho.MQTTMessageInfo] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(1000)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._smoulder)

    @property
    def fires(self) -> set[str]:
        """Return the sites at which two detectors saw smoke."""
        sites = Counter(sensor.rpartition("/")[0] for sensor in self.sensors)
        return {site for site, sensors in sites.items() if sensors > 1}

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """See no more smoke, have all air clear, and return when the broker has all of it."""
        self._stop.set()
        self._thread.join()
        self._clear(before=time.monotonic() + self._burns_s)
        for each in self._sent:
            each.wait_for_publish(30)
        self._client.disconnect()
        self._client.loop_stop()

    def _smoulder(self) -> None:
        names = _names()
        began = time.monotonic()
        for number in itertools.count():
            if number == self._sensors_max or self._stop.wait(
                max(0.0, began + number / self._rate - time.monotonic())
            ):
                return
            sensor = next(names)
            self.sensors.append(sensor)
            self._burning.append((time.monotonic() + self._burns_s, sensor))
            self._say(sensor, seq=1, active=True)
            self._clear(before=time.monotonic())

    def _clear(self, *, before: float) -> None:
        while self._burning and self._burning[0][0] <= before:
            _, sensor = self._burning.pop(0)
            self._say(sensor, seq=2, active=False)

    def _say(self, sensor: str, *, seq: int, active: bool) -> None:
        said = {"boot": "b1", "seq": seq, "event": "smoke", "active": active}
        topic = f"chargewatch/v1/{sensor}/event"
        self._sent.append(self._client.publish(topic, json.dumps(said), 1))


def _names() -> Iterator[str]:
    for site in itertools.count():
        for sensor in range(1 if site % TWIN_EVERY else 2):
            yield f"kills/site-{site}/smoke-{sensor}"


@contextmanager
def smoke(
    broker: Mosquitto, *, rate: float, burns_s: float, sensors_max: int | None
) -> Iterator[Smoke]:
    """Yield detectors that have not begun; whatever happens, they end."""
    detectors = Smoke(broker, rate, burns_s, sensors_max)
    try:
        yield detectors
    finally:
        detectors._stop.set()


# --- a whole run ----------------------------------------------------------------------

POLICY = """
[default.fire]
window = "{fire_ends_s} s"
"""
SIGNS_OF_A_CRASH = ("Traceback", "panicked", "never retrieved")
PAUSE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a run is to be."""

    kills: int
    seed: int
    rate: float
    """Detectors a second that see smoke."""
    burns_s: float
    fire_ends_s: float
    """How long after its smoke a fire is over."""
    all_told_within_s: float
    sensors_max: int | None = None


@dataclass(frozen=True)
class Outcome:
    account: Account
    sensors: int
    fires: int
    town: Providers
    not_once: list[str]
    """Detectors and sites of which there is not exactly one alarm."""
    faults: int
    """Signs in the service's log that something went unhandled."""

    @property
    def wrongs(self) -> list[str]:
        faults = [f"{self.faults} unhandled exceptions"] if self.faults else []
        return [*self.account.wrongs, *self.not_once, *faults]


def run(folder: Path, asked: Asked, say: Callable[[str], None]) -> Outcome:
    """Kill the service at random moments while smoke is seen, and add up what was told."""
    chance, temper = random.Random(asked.seed), random.Random(asked.seed)
    policy = folder / "policy.toml"
    policy.write_text(POLICY.format(fire_ends_s=asked.fire_ends_s))
    with (
        mosquitto(folder) as broker,
        providers() as town,
        service(folder, broker, policy=policy, settings=town.settings) as watch,
        smoke(
            broker,
            rate=asked.rate,
            burns_s=asked.burns_s,
            sensors_max=asked.sensors_max,
        ) as detectors,
    ):
        watch.start()
        watch.wait_ready(READY_WITHIN_S)
        watch.kill()  # now the broker knows the sessions
        town.record.mood = moods(temper)
        detectors.begin()
        for number in range(asked.kills):
            moment = chance.choice(FOR_LONG)
            lasted = killed_while_telling(watch, chance, moment, town)
            say(f"{number + 1}: {moment}, after {lasted:.1f} s; {len(town.record.taken)} taken")
        town.record.mood = always_well
        watch.start()
        watch.wait_ready(READY_WITHIN_S)
        detectors.end()
        _settled(watch, detectors, asked.all_told_within_s)
        watch.stop()
        log = "".join(watch.log)
        account = account_of(rows_of(watch.data), town.record.taken, town.channels, MAIL_DOMAIN)
        return Outcome(
            account,
            len(detectors.sensors),
            len(detectors.fires),
            town,
            _not_once(watch, detectors),
            sum(log.count(sign) for sign in SIGNS_OF_A_CRASH),
        )


def _settled(watch: ServiceProcess, detectors: Smoke, within_s: float) -> None:
    """Return when every alarm is over, and everybody was told of it."""
    ends = len(detectors.sensors) + len(detectors.fires)

    def over() -> bool:
        time.sleep(PAUSE_S)
        return sum(state == "resolved" for *_, state in alerts_of(watch.data)) >= ends

    eventually("every alarm is over", over, within_s, shown=watch.log_text)

    def told() -> bool:
        time.sleep(PAUSE_S)
        return not waiting(watch.data)

    eventually("everybody is told", told, within_s, shown=watch.log_text)


def _not_once(watch: ServiceProcess, detectors: Smoke) -> list[str]:
    """Return detectors and sites with more or fewer alarms than one."""
    wanted = Counter([*detectors.sensors, *detectors.fires])
    found = Counter(
        device if rule == "smoke" else site for rule, device, site, _ in alerts_of(watch.data)
    )
    return [f"{each}: {found[each]} alarms" for each in {*wanted, *found} if found[each] != 1]
