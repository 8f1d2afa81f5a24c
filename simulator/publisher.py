"""The shell around the player: real connections to a real broker, in warped time.

One connection speaks for the whole village and hears its commands; a device with a last
will has its own. A broker that goes away loses nothing of what is said meanwhile: up to
`WAITING_MAX` messages a connection wait in order, then the village waits too.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt
import msgspec
import structlog

from ingest.clock import Now
from simulator.emissions import Emission
from simulator.player import Player

COMMANDS = "chargewatch/v1/+/+/+/command"
IN_FLIGHT_MAX = 20
"""Unacknowledged at a time: what Mosquitto allows by default."""
WAITING_MAX = 10_000
PAUSE_S, PAUSE_MAX_S = 0.2, 5.0
"""Between two attempts to connect: doubled each time, and any part of it (full jitter)."""
TLS_PORT, PORT = 8883, 1883

log = structlog.get_logger()
_unheard = logging.getLogger("simulator.mqtt")
_unheard.addHandler(logging.NullHandler())  # what the client would say, `broker.lost` does
Hear = Callable[[str, bytes], Awaitable[None]]


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is, and who we are to it."""

    host: str
    port: int = PORT
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: Path | None = None
    """Whose certificates are trusted; None: those of the system's authorities."""

    @classmethod
    def at(cls, url: str) -> "Broker":
        """Read mqtt://[user[:password]@]host[:port], or mqtts:// for TLS."""
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise ValueError(f"not mqtt://host:port or mqtts://host:port: {url}")
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=parts.port or (TLS_PORT if tls else PORT),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=tls,
        )


class Link:
    """One connection that says what it is given, in order, at least once.

    It connects with its first message. `hear` is given each command; None: it hears none.
    """

    def __init__(
        self, broker: Broker, name: str, hear: Hear | None = None, will: Emission | None = None
    ) -> None:
        self._broker, self._hear, self._will = broker, hear, will
        self._client_id = f"simulator-{name.replace('/', '-')}-{secrets.token_hex(4)}"
        self._waiting: deque[Emission] = deque()
        self._changed = asyncio.Condition()
        self._breaking = False

    async def send(self, emission: Emission) -> None:
        """Take a message; waits while too many are waiting already."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < WAITING_MAX)
            self._waiting.append(emission)
            self._changed.notify_all()

    async def emptied(self) -> None:
        """Return when the broker has acknowledged all that was given."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)

    async def run(self) -> None:
        """Stay connected while there is something to say; ends when it is cancelled."""
        failures = 0
        while True:
            await self._filled()
            try:
                async with self._client() as client:
                    failures = 0
                    await self._converse(client)
            except aiomqtt.MqttError as error:
                pause_s = random.uniform(0, min(PAUSE_MAX_S, PAUSE_S * 2**failures))  # noqa: S311
                failures = min(failures + 1, 10)
                log.warning("broker.lost", client=self._client_id, why=str(error))
                await asyncio.sleep(pause_s)

    def _client(self) -> aiomqtt.Client:
        broker, will = self._broker, self._will
        context = ssl.create_default_context(cafile=broker.ca_file) if broker.tls else None
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=self._client_id,
            logger=_unheard,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain)
            if will
            else None,
        )
        client.pending_calls_threshold = IN_FLIGHT_MAX
        return client

    async def _converse(self, client: aiomqtt.Client) -> None:
        """Speak and listen until one of them fails, or the device drops off."""
        if self._hear:
            await client.subscribe(COMMANDS, qos=1)
        self._breaking = False
        speaking = asyncio.create_task(self._speak(client))
        listening = asyncio.create_task(self._listen(client))
        both = {speaking, listening}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._breaking:
                await speaking  # it does so on purpose, and sees it through
            else:
                for task in done:
                    task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _speak(self, client: aiomqtt.Client) -> None:
        while True:
            await self._filled()
            window = list(takewhile(self._is_ours, islice(self._waiting, IN_FLIGHT_MAX)))
            if not window:  # the next is for the broker to say
                self._breaking = True
                await _break(client)
                await self._done_with(1)
                return
            said = (client.publish(e.topic, e.payload, e.qos, e.retain) for e in window)
            await asyncio.gather(*said)
            await self._done_with(len(window))

    async def _done_with(self, count: int) -> None:
        async with self._changed:
            for _ in range(count):
                self._waiting.popleft()
            self._changed.notify_all()

    def _is_ours(self, emission: Emission) -> bool:
        return self._will is None or not emission.last_will

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Hear commands; it also is who notices that the connection is gone.

        A retained command is refused without a word: nobody knows how old it is.
        """
        async for message in client.messages:
            if self._hear and isinstance(message.payload, bytes) and not message.retain:
                await self._hear(str(message.topic), message.payload)

    async def _filled(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._waiting))


class Publisher:
    """Plays a village to a broker, each message when its virtual moment has come."""

    def __init__(self, player: Player, broker: Broker, now: Now, speed: float) -> None:
        self._player, self._now, self._speed = player, now, speed
        self._village = Link(broker, "village", hear=self._obey)
        self._own = {
            device: Link(broker, device, will=will)
            for device, will in player.last_wills(now()).items()
        }
        self._commanded = asyncio.Event()
        self.said = 0
        """Messages handed to the connections so far."""

    async def run(self, until: datetime) -> None:
        """Play to the virtual moment `until`, and return when all is acknowledged."""
        links = (self._village, *self._own.values())
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(link.run()) for link in links]
            await self._play(until)
            for link in links:
                await link.emptied()
            for task in running:
                task.cancel()

    async def _play(self, until: datetime) -> None:
        while (due := self._player.next_at()) is not None and due <= until:
            wait_s = (due - self._now()).total_seconds() / self._speed
            if wait_s > 0:
                self._commanded.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._commanded.wait(), wait_s)
            else:
                await self._send(self._player.step())

    async def _obey(self, topic: str, payload: bytes) -> None:
        said = self._player.obey(topic, payload, self._now())
        self._commanded.set()  # what is due next may have become another
        await self._send(said)

    async def _send(self, said: list[Emission]) -> None:
        for emission in said:
            self.said += 1
            await self._own.get(emission.device, self._village).send(emission)


async def _break(client: aiomqtt.Client) -> None:
    """Cut the wire without a goodbye, so that the broker publishes the last will."""
    wire = client._client.socket()  # noqa: SLF001  (aiomqtt can only part politely)
    if isinstance(wire, socket.socket):
        wire.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(aiomqtt.MqttError):
            await anext(client.messages)  # comes to nothing, once the client has noticed
