"""What a broker had kept from before we came: a connection of its own asks for it, once."""

import secrets
import time
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from api.tape.address import Address

QUIET_S = 0.5
"""So long without a kept message: the broker has sent them all."""
GIVES_UP_S = 30.0
"""A broker that keeps more than it can send in this time, or does not answer."""


class KeptMessages:
    """Hands on each kept message. What is said meanwhile is not for it: somebody else hears."""

    def __init__(
        self,
        address: Address,
        topics: tuple[str, ...],
        take: Callable[[paho.MQTTMessage], None],
    ) -> None:
        self._topics, self._take = topics, take
        self._began_s = self._heard_s = time.monotonic()
        self._subscribed = False
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"chargewatch-kept-{secrets.token_hex(4)}",
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        address.introduce(client)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        try:
            client.connect(address.host, address.port)
        except OSError:
            self._began_s -= GIVES_UP_S  # the other connection notices too, and tries again

    def turn(self) -> bool:
        """Read what there is; True: that was all, and the connection is closed."""
        failed = self._client.loop(0.0)
        now_s = time.monotonic()
        quiet = self._subscribed and now_s - self._heard_s > QUIET_S
        if failed or quiet or now_s - self._began_s > GIVES_UP_S:
            self.close()
            return True
        return False

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop(0.0)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe([(each, 0) for each in self._topics])

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, _why: list[ReasonCode], *_: object
    ) -> None:
        self._subscribed, self._heard_s = True, time.monotonic()

    def _on_message(self, _client: paho.Client, _data: object, said: paho.MQTTMessage) -> None:
        if said.retain:
            self._heard_s = time.monotonic()
            self._take(said)
