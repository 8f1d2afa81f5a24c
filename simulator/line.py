"""What a device, or a whole village, has to say: in order, at least once, over many wires.

A broker that goes away loses nothing of what is said meanwhile: up to `WAITING_MAX` messages
wait in order, then whoever speaks waits too.
"""

import asyncio
import random
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from simulator.emissions import Emission
from simulator.wire import KEEP_ALIVE_S, Login, Wire, WireLost, opened

WAITING_MAX = 10_000
AT_ONCE_MAX = 500
"""Messages in one write: the broker's answers are read in between."""
PACKET_IDS = 65_535
PAUSE_S, PAUSE_MAX_S = 0.2, 5.0
HANDSHAKES_MAX = 100
"""Connections that one process opens at the same time: as many as Mosquitto lets queue."""
TLS_PORT, PORT = 8883, 1883
BROKEN = "broken on purpose"

log = structlog.get_logger()


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

    @property
    def login(self) -> Login | None:
        return None if self.username is None else Login(self.username, self.password or "")

    def context(self) -> ssl.SSLContext | None:
        """Return what checks the broker's certificate: one for all that connect."""
        return ssl.create_default_context(cafile=self.ca_file) if self.tls else None


class Return(StrEnum):
    """How a device comes back when its connection is lost."""

    JITTERED = "jittered"
    """After pauses that double, and any part of them (full jitter): the broker's friend."""
    STORM = "storm"
    """All at once, each second: what firmware does that nobody thought about."""

    def pause_s(self, failures: int) -> float:
        if self is Return.STORM:
            return 1.0
        longest_s = min(PAUSE_MAX_S, PAUSE_S * (1 << min(failures, 10)))
        return random.uniform(0, longest_s)  # noqa: S311  (no secret)


class Street(msgspec.Struct, frozen=True):
    """What all lines of a process share on their way to the broker."""

    broker: Broker
    tls: ssl.SSLContext | None
    handshakes: asyncio.Semaphore
    returns: Return
    keep_alive_s: int

    @classmethod
    def to(
        cls, broker: Broker, returns: Return = Return.JITTERED, keep_alive_s: int = KEEP_ALIVE_S
    ) -> "Street":
        handshakes = asyncio.Semaphore(HANDSHAKES_MAX)
        return cls(broker, broker.context(), handshakes, returns, keep_alive_s)


Hear = Callable[[str, bytes], None]


class Line:
    """One connection at a time that says what it is given.

    It connects with its first message. `hear` is given each command that comes on the topics
    `commands`; `will` is left with the broker, and a message marked as one breaks the wire.
    """

    def __init__(  # noqa: PLR0913  (who speaks, how, and what they want to hear)
        self,
        street: Street,
        client_id: str = "",
        *,
        login: Login | None = None,
        commands: Sequence[str] = (),
        hear: Hear | None = None,
        will: Emission | None = None,
    ) -> None:
        self._street, self._login, self._will = street, login or street.broker.login, will
        self._commands, self._hear = commands, hear
        self._client_id = client_id or f"simulator-{secrets.token_hex(8)}"
        self._waiting: deque[Emission] = deque()
        self._unconfirmed: dict[int, Emission] = {}
        self._packet_id = 0
        self._wire: Wire | None = None
        self._pumps = False
        self._wanted, self._emptied = asyncio.Event(), asyncio.Event()
        self._emptied.set()
        self.connections = 0

    @property
    def is_connected(self) -> bool:
        return self._wire is not None

    @property
    def is_full(self) -> bool:
        """Say whether whoever speaks has to wait for `emptied`."""
        return len(self._waiting) >= WAITING_MAX

    def send(self, emission: Emission) -> None:
        """Take a message, to be said soon."""
        self._waiting.append(emission)
        self._emptied.clear()
        self._wanted.set()
        if not self._pumps:  # what is said in one go leaves in one go
            self._pumps = True
            asyncio.get_running_loop().call_soon(self.has_room)

    async def emptied(self) -> None:
        """Return when the broker has all that was given."""
        await self._emptied.wait()

    async def run(self) -> None:
        """Stay connected from the first message on, until a wire is broken on purpose.

        Ends when it is cancelled.
        """
        failures = 0
        while True:
            await self._wanted.wait()
            try:
                await self._connect()
                failures = 0
                await self._talk()
            except WireLost as error:
                log.warning("broker.lost", client=self._client_id, why=str(error))
                pause_s = self._street.returns.pause_s(failures)
                failures += 1
                await asyncio.sleep(pause_s)

    def cut(self) -> None:
        """Break the wire without a goodbye; it comes back by itself."""
        if self._wire is not None:
            self._wire.cut()

    # --- what the wire tells --------------------------------------------------------------

    def confirmed(self, packet_id: int) -> None:
        if self._unconfirmed.pop(packet_id, None) is not None:
            self._note_if_empty()

    def heard(self, topic: str, payload: bytes) -> None:
        if self._hear is not None:
            self._hear(topic, payload)

    def has_room(self) -> None:
        """Say as much as the broker may be sent now, a few writes at the most."""
        self._pumps, wire = False, self._wire
        while wire is not None and self._waiting and not wire.is_full and wire.is_open:
            room = min(AT_ONCE_MAX, wire.window - len(self._unconfirmed))
            said = [self._numbered() for _ in range(room) if self._is_ours_to_say()]
            if not said:
                break
            wire.publish(said)
        is_next = bool(self._waiting) and self._is_last_will(self._waiting[0])
        if wire is not None and is_next and not self._unconfirmed:
            self._break(wire)
        self._note_if_empty()

    # --- inside ---------------------------------------------------------------------------

    async def _connect(self) -> None:
        street = self._street
        async with street.handshakes:
            self._wire = await opened(
                self,
                street.broker.host,
                street.broker.port,
                street.tls,
                self._client_id,
                login=self._login,
                will=self._will,
                commands=self._commands,
                keep_alive_s=street.keep_alive_s,
            )
        self.connections += 1

    async def _talk(self) -> None:
        """Return when the connection was broken on purpose; raises WireLost otherwise."""
        wire = self._wire
        if wire is None:
            return
        try:
            self.has_room()
            reason = await asyncio.shield(wire.closed)  # our end is not the wire's
        finally:
            self._wire = None
            await wire.part()
            self._waiting.extendleft(reversed(self._unconfirmed.values()))
            self._unconfirmed.clear()
        if reason != BROKEN:
            raise WireLost(reason)

    def _is_ours_to_say(self) -> bool:
        return bool(self._waiting) and not self._is_last_will(self._waiting[0])

    def _is_last_will(self, emission: Emission) -> bool:
        return emission.last_will and self._will is not None

    def _numbered(self) -> tuple[Emission, int | None]:
        emission = self._waiting.popleft()
        if emission.qos == 0:
            return emission, None
        self._packet_id = self._packet_id % PACKET_IDS + 1
        self._unconfirmed[self._packet_id] = emission
        return emission, self._packet_id

    def _break(self, wire: Wire) -> None:
        """Cut the wire, so that the broker says what comes next: the last will."""
        self._waiting.popleft()
        if not self._waiting:
            self._wanted.clear()
        wire.cut(BROKEN)

    def _note_if_empty(self) -> None:
        if not self._waiting and not self._unconfirmed:
            self._emptied.set()
