"""The broker in a box: rumqttd from a wheel, on the loopback only, for demo and trials.

It has no logins and keeps nothing over a restart. For anything real: Mosquitto.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iotcore import Broker

from ingest.errors import ChargewatchError

HOST = "127.0.0.1"

_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v4.1]
name = "mqtt-3.1.1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2097152
max_inflight_count = 200
dynamic_filters = true

[v5.1]
name = "mqtt-5"
listen = "{host}:{port_v5}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2097152
max_inflight_count = 200
dynamic_filters = true
"""


class BrokerDidNotStart(ChargewatchError):
    """The embedded broker is not there; the message says why."""


@contextmanager
def embedded_broker(folder: Path, port: int, port_v5: int) -> Iterator[None]:
    """Run a broker for the block: MQTT 3.1.1 on `port`, MQTT 5 on `port_v5`."""
    config = folder / "broker.toml"
    config.write_text(_CONFIG.format(host=HOST, port=port, port_v5=port_v5))
    broker = Broker(config_path=str(config))
    try:
        broker.start()
    except (OSError, RuntimeError) as error:
        raise BrokerDidNotStart(str(error)) from error
    try:
        yield
    finally:
        broker.stop()
