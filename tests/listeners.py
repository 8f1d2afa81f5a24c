"""Who hears what devices say to a real broker, over its restarts too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiomqtt
from aiomqtt import ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from simulator.emissions import Emission
from tests.brokers import Mosquitto


class Listener:
    """Hears all of chargewatch/, with a session that outlives a broker's restart."""

    def __init__(self, broker: Mosquitto) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._broker = broker
        self._properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        self._properties.SessionExpiryInterval = 60

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier="listener",
            protocol=ProtocolVersion.V5,
            clean_start=False,
            properties=self._properties,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with self._client() as client:
            await client.subscribe("chargewatch/#", qos=1)
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with self._client() as client:
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        self.heard.append((str(message.topic), message.payload))
            await asyncio.sleep(0.02)

    async def hears(self, expected: list[Emission]) -> None:
        """Return when each of these was heard at least once."""
        wanted = {(emission.topic, emission.payload) for emission in expected}
        while wanted - set(self.heard):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for where, payload in self.heard if where == topic]

    async def hears_on(self, topic: str) -> bytes:
        """Return the first payload heard on a topic."""
        while not (found := self.payloads(topic)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return found[0]
