"""A publisher that is faster than what it measures: MQTT 5 over one socket, in packets.

As a program (`python -m benchmarks.publishing PORT RATE SECONDS ALARMS_PER_S OUT`) it
publishes open-loop: each message leaves at its own time, whether or not the ones before it
have been answered, and the times at which alarms left are written to OUT.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import mqtt5

IN_FLIGHT_MAX = 20_000
SITES, PILES_PER_SITE = 20, 25
BURNS_S = 5.0
"""How long an alarm's smoke lasts: an hour of alarms that nobody ends is no day in life."""


class Publisher(asyncio.Protocol):
    """Counts acknowledgements; nothing else comes back."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = loop.create_future()
        self.acknowledged = 0
        self.room = asyncio.Event()
        self._sent = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(mqtt5.ConnectPacket("benchmark-publisher", clean_start=True).write())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        done, view = 0, memoryview(self._buffer)
        try:
            while done < len(view):
                packet, size = mqtt5.read(view[done:])
                done += size
                if isinstance(packet, mqtt5.PubAckPacket):
                    self.acknowledged += 1
                elif isinstance(packet, mqtt5.ConnAckPacket):
                    self.connected.set_result(None)
        except IndexError:
            pass
        finally:
            view.release()
        del self._buffer[:done]
        self.room.set()

    async def send(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1; waits only if the broker is hopelessly behind."""
        while self._sent - self.acknowledged >= IN_FLIGHT_MAX:
            self.room.clear()
            await self.room.wait()
        number = self._sent % 65_535 + 1
        self._sent += 1
        assert self._transport is not None
        self._transport.write(
            mqtt5.PublishPacket(
                topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number
            ).write()
        )

    async def settled(self) -> None:
        """Wait until the broker has everything."""
        while self.acknowledged < self._sent:
            self.room.clear()
            await self.room.wait()


async def connect(port: int) -> Publisher:
    loop = asyncio.get_running_loop()
    _, publisher = await loop.create_connection(Publisher, "127.0.0.1", port)
    await publisher.connected
    return publisher


def telemetry(boot: str) -> Iterator[tuple[str, bytes]]:
    """Yield messages of two sockets, some 250 bytes, from 500 piles in turn, for ever.

    They are numbered, in the first socket's `session_duration_s`, to be counted afterwards.
    """
    number = 0
    while True:
        site, pile = number % SITES, number // SITES % PILES_PER_SITE
        at = datetime.now(UTC).isoformat()  # noqa: TID251  (a device has a clock of its own)
        body = (
            f'{{"at":"{at}","boot":"{boot}","seq":{number},"readings":['
            f'{{"channel":1,"power_w":187.2,"current_a":0.81,"voltage_v":229.8,'
            f'"session_duration_s":{number}}},'
            f'{{"channel":2,"power_w":12.0,"current_a":0.05,"relay_on":true}}]}}'
        )
        yield f"chargewatch/v1/bench/s{site:02}/p{pile:02}/telemetry", body.encode()
        number += 1


async def fill(port: int, count: int) -> None:
    """Publish `count` messages as fast as the broker takes them."""
    publisher, messages = await connect(port), telemetry(f"fill-{time.monotonic_ns()}")
    for number in range(count):
        await publisher.send(*next(messages))
        if number % 500 == 0:
            await asyncio.sleep(0)
    await publisher.settled()


async def open_loop(
    port: int, rate: float, seconds: float, alarms_per_s: float
) -> dict[str, object]:
    """Publish at a steady rate with alarms among it; return when each alarm left."""
    publisher, messages = await connect(port), telemetry(f"loop-{time.monotonic_ns()}")
    begun, sent, alarms = time.monotonic(), 0, 0
    left: dict[str, float] = {}
    burning: deque[tuple[float, str]] = deque()
    while (passed := time.monotonic() - begun) < seconds:
        while sent < passed * rate:
            await publisher.send(*next(messages))
            sent += 1
        while alarms < passed * alarms_per_s:
            name = f"r{rate:.0f}-smoke-{alarms:06}"
            topic = f"chargewatch/v1/bench/s{alarms % SITES:02}/{name}/event"
            left[name] = time.monotonic()
            await publisher.send(topic, b'{"boot":"1","seq":1,"event":"smoke"}')
            burning.append((passed + BURNS_S, topic))
            alarms += 1
        while burning and burning[0][0] <= passed:
            _, topic = burning.popleft()
            clear = b'{"boot":"1","seq":2,"event":"smoke","active":false}'
            await publisher.send(topic, clear)
        await asyncio.sleep(0.001)
    await publisher.settled()
    return {"sent": sent, "seconds": time.monotonic() - begun, "left": left}


if __name__ == "__main__":
    port, rate, seconds, alarms, out = sys.argv[1:]
    said = asyncio.run(open_loop(int(port), float(rate), float(seconds), float(alarms)))
    Path(out).write_text(json.dumps(said))
