"""Throws rubbish at a real service over a real broker, and counts what becomes of it.

    python benchmarks/fuzz_service.py --seconds 600 [--seed 7] [--json]

Valid messages of all dialects, whole and mutilated, random JSON and random bytes arrive on
random topics below everything the service subscribes to. Every few seconds an honest device
speaks, and must be heard. Ends with status 1 if it ever was not, if an exception went
unhandled, or if the ledger does not account for every single message.
"""

import argparse
import json
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from ingest.codecs import all_codecs  # noqa: E402
from tests.brokers import Mosquitto, mosquitto  # noqa: E402
from tests.processes import ServiceProcess, eventually, service, webhook_receiver  # noqa: E402

CHUNK = 500
CHECK_EVERY_S = 5.0
HEARD_WITHIN_S = 30.0
HONEST = "honest/site/pile-1"
SITES = ROOT / "examples" / "sites.toml"
SIGNS_OF_A_CRASH = ("Traceback", "panicked", "never retrieved")

NATIVE = "chargewatch/v1/fuzz/site/pile-1"
VALID: tuple[tuple[str, bytes], ...] = (
    (
        f"{NATIVE}/telemetry",
        (
            b'{"at": "2026-11-23T14:33:26Z", "boot": "b1", "seq": 7, "readings": ['
            b'{"channel": 1, "power_w": 250.5, "current_a": 1.2, "voltage_v": 229.9,'
            b' "energy_kwh": 3.25, "relay_on": true, "device_temperature_c": 31.0},'
            b' {"battery_pct": 80}]}'
        ),
    ),
    (f"{NATIVE}/event", b'{"event": "smoke", "active": true, "temperature_c": 61.5}'),
    (f"{NATIVE}/event", b'{"event": "smoke", "active": false}'),
    (f"{NATIVE}/event", b'{"event": "plugged", "channel": 2, "detail": "by hand"}'),
    (f"{NATIVE}/status", b'{"online": true, "model": "X10", "firmware": "1", "sockets": 10}'),
    (f"{NATIVE}/status", b'{"online": false}'),
    (
        "tele/plug/SENSOR",
        (
            b'{"Time": "2026-11-23T22:33:26", "ENERGY": {"Total": 3.2, "Power": [120, 7],'
            b' "Voltage": 229, "Current": [0.55, 0.03]}, "ANALOG": {"Temperature": 30.1},'
            b' "DS18B20": {"Temperature": 21.5}, "TempUnit": "C"}'
        ),
    ),
    ("tele/plug/LWT", b"Online"),
    ("tele/plug/STATE", b'{"Time": "2026-11-23T22:33:26", "POWER1": "ON", "POWER2": "OFF"}'),
    ("stat/plug/POWER1", b"OFF"),
    ("stat/plug/STATUS8", b'{"StatusSNS": {"ENERGY": {"Power": 3000}}}'),
    ("tele/plug/WARNING", b'{"MaxPowerReached": 2300}'),
    (
        "zigbee2mqtt/plug",
        (
            b'{"state_l1": "ON", "power_l1": 820, "energy": 1.5, "voltage": 231,'
            b' "last_seen": 1795446377000, "linkquality": 77}'
        ),
    ),
    (
        "zigbee2mqtt/smoke",
        b'{"smoke": true, "battery": 97, "battery_low": false, "test": false}',
    ),
    ("zigbee2mqtt/smoke/availability", b'{"state": "online"}'),
    ("zigbee2mqtt/smoke/battery", b"55"),
)
NASTY_NUMBERS = (
    b'NaN Infinity -0 1e999 -1 1e-400 0.1e1 00 99999999999999999999 true null [] {} "7" 1.5e308'
).split()
NASTY_TEXTS = (
    "",
    " ",
    "..",
    "a,b=c d",
    "'; DROP TABLE alerts; --",
    "<script>",
    "{{7*7}}",
    "\u2028",
    "\u202e",
    "人民路",
    "x" * 200,
    "$SYS",
    "null",
)


class Garbage:
    """Makes messages; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._filters = [each for codec in all_codecs() for each in codec.filters]
        self._names = [f"name-{number}" for number in range(300)] + list(NASTY_TEXTS)
        self._texts = [*NASTY_TEXTS, *self._names[:20], "smoke", "power_w", "readings", "state"]

    def message(self) -> tuple[str, bytes]:
        chance = self._chance
        topic, payload = chance.choice(VALID)
        if chance.random() < 0.4:
            topic = self._topic()
        kind = chance.random()
        if kind < 0.5:
            for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 4))):
                payload = self._mutilated(payload)
        elif kind < 0.75:
            payload = self._json_bytes()
        elif kind < 0.95:
            payload = chance.randbytes(chance.choice((0, 1, 7, 64, 700, 5_000)))
        else:
            opened = chance.choice((b"[", b'{"readings":[', b'{"a":', b'{"ENERGY":'))
            payload = opened * chance.choice((50, 1_200, 12_000))
        return topic, payload

    def _topic(self) -> str:
        """Return a topic that some subscription of the service matches."""
        levels: list[str] = []
        for level in self._chance.choice(self._filters).split("/"):
            if level == "+":
                levels.append(self._name())
            elif level == "#":
                levels += [self._name() for _ in range(self._chance.randint(1, 5))]
            else:
                levels.append(level)
        return "/".join(levels)

    def _name(self) -> str:
        chance = self._chance
        if chance.random() < 0.97:
            return chance.choice(self._names)
        codes = [chance.randrange(0x20, 0xD7FF) for _ in range(chance.randint(1, 12))]
        # What MQTT forbids, the broker would answer by throwing the publisher out.
        allowed = [
            code for code in codes if not 0x7F <= code <= 0x9F and chr(code) not in "+#/"
        ]
        return "".join(map(chr, allowed))

    def _mutilated(self, payload: bytes) -> bytes:
        chance = self._chance
        at, to = sorted((chance.randint(0, len(payload)), chance.randint(0, len(payload))))
        change: Callable[[], bytes] = chance.choice(
            (
                lambda: payload[:at] + payload[to:],
                lambda: payload[:at],
                lambda: payload[:to] + payload[at:],
                lambda: payload[:at] + chance.randbytes(chance.randint(1, 4)) + payload[at:],
                lambda: payload[:at] + chance.choice(NASTY_NUMBERS) + payload[to:],
                lambda: _number_replaced(payload, chance),
                lambda: _number_replaced(payload, chance),
                lambda: payload.replace(
                    b'"', chance.choice((b"'", b'\\"', b'\\u0000"', b"")), 1
                ),
                lambda: payload + b" " * chance.choice((1, 70_000, 200_000)),
            )
        )
        return change()

    def _json_bytes(self) -> bytes:
        text = json.dumps(self._json(4), ensure_ascii=self._chance.random() < 0.5)
        return text.encode(errors="surrogatepass")

    def _json(self, depth: int) -> Any:
        chance = self._chance
        match chance.randrange(8 if depth else 6):
            case 0:
                return chance.choice((None, True, False))
            case 1:
                return chance.randint(-10, 10)
            case 2:
                return chance.choice((2**63, -(2**70), 10**40, 0))
            case 3:
                return chance.choice((1.5, -1e300, float("nan"), float("inf"), 1e-300))
            case 4 | 5:
                return chance.choice(self._texts)
            case 6:
                return [self._json(depth - 1) for _ in range(chance.randint(0, 5))]
            case _:
                keys = (chance.choice(self._texts) for _ in range(chance.randint(0, 6)))
                return {key: self._json(depth - 1) for key in keys}


def _number_replaced(payload: bytes, chance: random.Random) -> bytes:
    """Put something else where a digit was."""
    places = [at for at, byte in enumerate(payload) if chr(byte).isdigit()]
    if not places:
        return payload
    at = chance.choice(places)
    return payload[:at] + chance.choice(NASTY_NUMBERS) + payload[at + 1 :]


class Summary(msgspec.Struct, kw_only=True):
    """What became of it all."""

    seed: int
    seconds: float = 0.0
    sent: int = 0
    understood: int = 0
    ignored: int = 0
    repeated: int = 0
    refused: dict[str, int] = {}
    clocks_amended: int = 0
    alerts: int = 0
    devices_heard: int = 0
    unaccounted: int = 0
    """Messages of which the ledger knows nothing: must be 0."""
    liveness_checks: int = 0
    slowest_answer_s: float = 0.0
    """From an honest device's message, behind the rubbish, until the API shows it."""
    peak_memory_mb: float = 0.0
    unhandled_exceptions: int = 0
    failure: str = ""

    @property
    def ok(self) -> bool:
        return not (self.unhandled_exceptions or self.unaccounted or self.failure)


class Fuzz:
    """One run: publishes, checks, sums up."""

    def __init__(self, broker: Mosquitto, watch: ServiceProcess, summary: Summary) -> None:
        self._watch, self._summary = watch, summary
        self._garbage = Garbage(summary.seed)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(CHUNK)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def run(self, seconds: float) -> None:
        began = time.monotonic()
        check_at = began
        try:
            while (now := time.monotonic()) < began + seconds:
                self._publish([self._garbage.message() for _ in range(CHUNK)])
                if now >= check_at:
                    self._check_alive()
                    check_at = time.monotonic() + CHECK_EVERY_S
            self._check_alive()
            self._add_up()
        finally:
            self._summary.seconds = round(time.monotonic() - began, 1)
            self._client.disconnect()
            self._client.loop_stop()

    def _publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        sent = [self._client.publish(topic, payload, 1) for topic, payload in messages]
        for each in sent:
            each.wait_for_publish(HEARD_WITHIN_S)
        if not all(each.is_published() for each in sent):
            pytest.fail("the broker does not confirm")
        self._summary.sent += len(sent)

    def _check_alive(self) -> None:
        """Let an honest device speak, behind all the rubbish, and wait for its being heard."""
        said = float(self._summary.liveness_checks + 1)
        reading = {"channel": 1, "relay_on": True, "energy_kwh": said}
        began = time.monotonic()
        topic = f"chargewatch/v1/{HONEST}/telemetry"
        self._publish([(topic, json.dumps({"readings": [reading]}).encode())])
        eventually("it is heard", lambda: self._heard() == said, HEARD_WITHIN_S)
        summary = self._summary
        summary.slowest_answer_s = max(summary.slowest_answer_s, time.monotonic() - began)
        summary.liveness_checks += 1
        if self._watch.ready()[0] != 200:
            pytest.fail(f"not ready: {self._watch.ready()}")

    def _heard(self) -> object:
        known = self._watch.get("/devices", q=HONEST)["devices"]
        return known[0]["sockets"][0]["values"].get("energy_kwh") if known else None

    def _add_up(self) -> None:
        summary, watch = self._summary, self._watch

        def unaccounted() -> int:
            tallies = watch.tallies()
            summary.understood = tallies["messages"]
            summary.ignored, summary.repeated = tallies["ignored"], tallies["repeated"]
            summary.refused = dict(_after("refused:", tallies))
            summary.clocks_amended = sum(count for _, count in _after("amended:", tallies))
            known = summary.understood + summary.ignored + summary.repeated
            return summary.sent - known - sum(summary.refused.values())

        until = time.monotonic() + HEARD_WITHIN_S
        while (missing := unaccounted()) and time.monotonic() < until:
            time.sleep(0.2)
        summary.unaccounted = missing
        counted = watch.get("/summary")["alerts"]
        summary.alerts = sum(each["count"] for each in counted)
        summary.devices_heard = _count_devices(watch)
        status = Path(f"/proc/{watch.pid}/status").read_text()
        [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        summary.peak_memory_mb = round(int(peak) / 1024, 1)


def _after(prefix: str, tallies: dict[str, int]) -> Iterator[tuple[str, int]]:
    for name, count in sorted(tallies.items()):
        if name.startswith(prefix):
            yield name.removeprefix(prefix), count


def _count_devices(watch: ServiceProcess) -> int:
    count, after = 0, ""
    while True:
        more = {"after": after} if after else {}
        page = watch.get("/devices", limit=1000, **more)
        count += len(page["devices"])
        after = page["next_after"]
        if not after:
            return count


def fuzz(seconds: float, seed: int) -> Summary:
    """Run broker, service and rubbish; whatever happens, leave no process behind."""
    summary = Summary(seed=seed)
    with tempfile.TemporaryDirectory(prefix="chargewatch-fuzz-") as name:
        folder = Path(name)
        with (
            mosquitto(folder) as broker,
            webhook_receiver() as receiver,
            service(folder, broker, sites=SITES, receiver=receiver) as watch,
        ):
            try:
                watch.begin()
                Fuzz(broker, watch, summary).run(seconds)
                watch.stop()
            except pytest.fail.Exception as failure:
                summary.failure = str(failure)
            log = "".join(watch.log)
            summary.unhandled_exceptions = sum(log.count(sign) for sign in SIGNS_OF_A_CRASH)
            if summary.unhandled_exceptions:
                sys.stderr.write(log[-20_000:])
    return summary


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options.add_argument("--json", action="store_true", help="print one JSON object")
    given = options.parse_args()
    summary = fuzz(given.seconds, given.seed)
    shown = msgspec.to_builtins(summary) | {"ok": summary.ok}
    if given.json:
        print(json.dumps(shown))
    else:
        for what, value in shown.items():
            print(f"{what:22}{value}")
    return 0 if summary.ok else 1


if __name__ == "__main__":
    sys.exit(main())
