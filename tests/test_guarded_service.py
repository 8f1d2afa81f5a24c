"""The service at the shipped broker, with login and TLS: it hears and orders as it should."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.credentials.logins import SERVICE
from tests.drilling import rehearsed
from tests.guarded_broker import GuardedBroker, device_client, guarded_broker
from tests.processes import READY_WITHIN_S, ServiceProcess, eventually

PILE, OTHER = "town/site/pile-1", "town/other/pile-1"
SITES = f"""
[areas.town]
name = {{ zh = "镇", en = "Town" }}
[sites."town/site"]
name = {{ zh = "站", en = "Site" }}
closed = []
[sites."town/other"]
name = {{ zh = "另", en = "Other" }}
closed = []
[[devices]]
id = "{PILE}"
kind = "charger"
sockets = 2
[[devices]]
id = "{OTHER}"
kind = "charger"
sockets = 2
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path) as broker:
        yield broker


def watching(guarded: GuardedBroker, tmp_path: Path, ca_file: Path) -> ServiceProcess:
    """Return a service that reaches the broker as one on another machine would."""
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES, encoding="utf-8")
    settings = {
        "BROKER__PORT": str(guarded.far),
        "BROKER__TLS": "true",
        "BROKER__CA_FILE": str(ca_file),
        "BROKER__USERNAME": SERVICE,
        "SECRETS_DIR": str(guarded.secrets),
    }
    return ServiceProcess(tmp_path, guarded.mosquitto, sites=sites, settings=settings)


def numbered(numbers: range) -> list[tuple[str, str]]:
    text = '{{"boot": "b", "seq": {}, "readings": [{{"channel": 1, "power_w": 5}}]}}'
    return [(f"chargewatch/v1/{PILE}/telemetry", text.format(each)) for each in numbers]


def test_the_service_hears_and_orders_with_its_login_and_misses_nothing_while_away(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    passwords = {each: guarded.add(each) for each in (PILE, OTHER)}
    guarded.change("add", "town/site/last-1")
    watch = watching(guarded, tmp_path, guarded.authority)
    pile, other = (device_client(guarded, name, secret) for name, secret in passwords.items())
    try:
        watch.begin()
        for device in (pile, other):
            device.subscribe(["#", "$share/thieves/#"])
        assert pile.publish(numbered(range(20))) == [0] * 20
        eventually("it hears", lambda: watch.messages() == 20, shown=watch.log_text)

        watch.post("/cut", device=PILE, channel=1, reason="smells of burning")
        eventually("the order arrives", lambda: pile.heard, shown=watch.log_text)
        assert {topic for topic, _ in pile.heard} == {f"chargewatch/v1/{PILE}/command"}
        assert other.heard == []
        drill = rehearsed(watch.data, watch.port, 20)
        assert drill.ok, drill.lines

        watch.stop()  # and the broker keeps what comes, for the service and nobody else
        assert pile.publish(numbered(range(20, 70))) == [0] * 50
        spoofed = [(topic, said) for topic, said in numbered(range(70, 75))]
        assert other.publish(spoofed) == [135] * 5
        guarded.mosquitto.stop()
        guarded.mosquitto.start()
        watch.begin()
        eventually("it has it all", lambda: watch.messages() == 70, shown=watch.log_text)
        assert watch.refused() == []
    finally:
        pile.close()
        other.close()
        watch.close()


def test_an_authority_that_is_not_there_stops_the_start_with_its_name(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    watch = watching(guarded, tmp_path, tmp_path / "nowhere.crt")
    try:
        watch.start()
        eventually("it has ended", lambda: not watch.runs, READY_WITHIN_S)
        watch.kill()  # and all that it wrote is read
        assert "nowhere.crt" in watch.log_text()
        assert "Traceback" not in watch.log_text()
    finally:
        watch.close()
