"""The service with its history in a real InfluxDB, as processes that talk to each other."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.influx_http import InfluxHttp
from ingest.measurements import Kept
from tests.brokers import Mosquitto
from tests.influx import Influx, influxdb
from tests.influx_databases import made_address, readings_kept, settings_for
from tests.processes import (
    ServiceProcess,
    WebhookReceiver,
    eventually,
    publish,
    publisher_process,
    service,
)

pytest_plugins = ["tests.system_fixtures"]

RATE = 100.0
DEVICES = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Influx]:
    with influxdb(tmp_path) as running:
        yield running


def telemetry(device: str, seq: int) -> tuple[str, str]:
    said = {"boot": "b1", "seq": seq, "readings": [{"channel": 1, "energy_kwh": seq}]}
    return f"chargewatch/v1/{device}/telemetry", json.dumps(said)


def smoke(device: str) -> tuple[str, str]:
    return f"chargewatch/v1/{device}/event", json.dumps(
        {"boot": "b1", "seq": 1, "event": "smoke"}
    )


TAMPERED = json.dumps({"boot": "b1", "seq": 2, "event": "tamper"})


def history_part(watch: ServiceProcess) -> dict[str, object]:
    return watch.ready()[1]["history"]


def test_an_influxdb_that_is_killed_and_comes_back_has_every_message_once(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver, server: Influx
) -> None:
    address = made_address(server)
    count = int(8 * RATE)
    messages = [telemetry(f"town/site/pile-{n % DEVICES}", n) for n in range(count)]
    settings = settings_for(address)

    def kept() -> Counter[tuple[str, float]]:
        return readings_kept(server, address, "energy_kwh")

    with service(tmp_path, broker, receiver=receiver, settings=settings) as watch:
        watch.begin()
        with publisher_process(broker, messages, rate=RATE) as publisher:
            eventually(
                "the first are kept", lambda: readings_kept(server, address, "energy_kwh")
            )
            server.kill()
            eventually("it is noticed", lambda: not history_part(watch)["ok"])
            assert address.url in str(history_part(watch)["reason"])
            publish(broker, [smoke("town/site/smoke-1")])
            eventually("somebody is told", receiver.heard)
            server.start()
            assert publisher.wait(60) == 0
        eventually("all is judged", lambda: watch.messages() >= count + 1, 30)
        expected = {(f"town/site/pile-{n % DEVICES}", float(n)) for n in range(count)}
        eventually(
            "all is kept",
            lambda: len(kept()) >= count,
            60,
            shown=lambda: (watch.ready(), watch.log_text()),
        )
        assert kept() == Counter(dict.fromkeys(expected, 1))
        eventually("the history is well again", lambda: history_part(watch)["ok"])
        rows = watch.readings("town/site/pile-1")
        assert [row["values"] for row in rows][:2] == [{"energy_kwh": 1.0}, {"energy_kwh": 9.0}]
        text_for_a_number = f'device tamper="yes" {time.time_ns()}'.encode()
        with closing(InfluxHttp(address)) as http:
            assert http.write(address.bucket(Kept.READINGS), text_for_a_number) is None
        publish(broker, [("chargewatch/v1/town/site/smoke-1/event", TAMPERED)])
        eventually("a refusal is shown", lambda: not history_part(watch)["ok"])
        assert "refused for good: 1; " in str(history_part(watch)["reason"])
        eventually("it is logged", lambda: "device,area=town" in watch.log_text())
        watch.stop()
        assert "Traceback" not in "".join(watch.log)
        assert address.token not in "".join(watch.log)
        assert not (watch.data / "history.duckdb").exists()
