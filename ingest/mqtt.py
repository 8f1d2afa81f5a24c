"""Listening to the broker, for as long as the service runs.

One `Link` is one persistent session at the broker: it keeps a connection open for as long as
it can, and collects what arrives. Nothing is acknowledged here: the pipeline says when, by
handing the messages back. On a lost connection every pending acknowledgement is dropped,
because packet ids begin anew; the broker sends those messages again, and their repetition is
recognised.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import mqtt5
import msgspec
import structlog

from ingest.clock import Now
from ingest.mqtt_connection import KEEP_ALIVE_S, BrokerAddress, BrokerUnusable, Connection
from ingest.wire import Message

CONNECT_TIMEOUT_S = 10
WAITING_BYTES_MAX = 64 * 1024 * 1024
BACKOFF_FIRST_S, BACKOFF_LONGEST_S = 0.25, 5.0
"""Short: while we are away nobody watches, and a broker can bear the two of us."""
TAKEN_OVER_PAUSE_S = 30.0
"""Two services with one client id would throw each other out for ever."""
STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next pause is short again."""
CUT_OFF_AGAIN = 3
"""Mosquitto 2.0.11 does not say who took a session over; so often in a row says it."""
log = structlog.get_logger()


class LinkState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"
    TAKEN_OVER = "taken_over"


class Received(NamedTuple):
    """A message with what is needed to acknowledge it."""

    message: Message
    packet_id: int | None
    connection: Connection


class LinkCounts(msgspec.Struct):
    connections: int = 0
    sessions_lost: int = 0
    malformed: int = 0


class Link:
    """One persistent session: `run` keeps it up, the pipeline takes and acknowledges."""

    def __init__(  # noqa: PLR0913  (who, where, what, and what to call)
        self,
        client_id: str,
        address: BrokerAddress,
        filters: Sequence[str],
        now: Now,
        wake: Callable[[], None],
        *,
        keep_alive_s: int = KEEP_ALIVE_S,
    ) -> None:
        self.client_id, self.filters = client_id, tuple(filters)
        self.state, self.reason = LinkState.CONNECTING, "not tried yet"
        self.since = now()
        self.counts = LinkCounts()
        self._address, self._now, self._wake = address, now, wake
        self._keep_alive_s = keep_alive_s
        self._waiting: deque[Received] = deque()
        self._waiting_bytes = 0
        self._connection: Connection | None = None

    @property
    def connected(self) -> bool:
        return self.state is LinkState.CONNECTED

    def take(self, limit: int) -> list[Received]:
        """Return up to `limit` messages, in the order of their arrival."""
        waiting = self._waiting
        taken = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
        self._waiting_bytes -= sum(len(each.message.payload) for each in taken)
        if self._connection is not None and self._waiting_bytes < WAITING_BYTES_MAX // 2:
            self._connection.resume()
        return taken

    def acknowledge(self, handled: Sequence[Received]) -> None:
        """Confirm messages that are stored, in the order of their arrival, in one write."""
        current = self._connection
        if current is not None:
            current.acknowledge(
                each.packet_id
                for each in handled
                if each.packet_id is not None and each.connection is current
            )

    async def run(self) -> None:
        """Keep the session connected, for ever; ends only by cancellation."""
        loop, failures, cut_off = asyncio.get_running_loop(), 0, 0
        while True:
            try:
                connection = await self._connect()
                began_s = loop.time()
                reason = await connection.closed
            except (OSError, TimeoutError, ssl.SSLError, BrokerUnusable) as error:
                reason, state = str(error) or type(error).__name__, LinkState.REFUSED
                if isinstance(error, OSError):
                    cut_off = 0  # it is the broker that is away
            else:
                state = LinkState.TAKEN_OVER if connection.taken_over else LinkState.CONNECTING
                if loop.time() - began_s >= STEADY_S:
                    failures = cut_off = 0
                cut_off += 1
                if cut_off >= CUT_OFF_AGAIN:
                    reason += f"; does another service use the client id {self.client_id!r}?"
            finally:
                self._drop()
            self._change(state, reason)
            longest_s = TAKEN_OVER_PAUSE_S if cut_off >= CUT_OFF_AGAIN else BACKOFF_LONGEST_S
            taken_over = state is LinkState.TAKEN_OVER
            pause_s = _pause_s(failures, longest_s, taken_over=taken_over)
            failures += 1
            log.warning("broker.lost", client=self.client_id, reason=reason, pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        address = self._address
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(
                lambda: Connection(self._arrived, self._malformed, self._keep_alive_s),
                address.host,
                address.port,
                ssl=address.tls,
            )
            try:
                resumed = await connection.begin(self.client_id, address, self.filters)
            except BaseException:
                connection.abort("did not get through the handshake")
                raise
        self._connection = connection
        self.counts.connections += 1
        self.counts.sessions_lost += not resumed
        self._change(LinkState.CONNECTED, "")
        log.info("broker.connected", client=self.client_id, session_resumed=resumed)
        return connection

    def _arrived(self, connection: Connection, packets: Sequence[mqtt5.PublishPacket]) -> None:
        """Take what one read of the socket brought; it arrived at one moment."""
        now, waiting = self._now(), self._waiting
        for packet in packets:
            payload = packet.payload
            message = Message(packet.topic, payload, now, packet.retain, packet.duplicate)
            waiting.append(Received(message, packet.packet_id, connection))
            self._waiting_bytes += len(payload)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            connection.pause()
        self._wake()

    def _malformed(self, detail: str) -> None:
        self.counts.malformed += 1
        log.warning("broker.malformed_packet", client=self.client_id, detail=detail)

    def _drop(self) -> None:
        """Forget the connection, and what it brought and the broker will send again."""
        if self._connection is not None:
            self._connection.abort("dropped")
            self._connection = None
        self._waiting = deque(each for each in self._waiting if each.packet_id is None)
        self._waiting_bytes = sum(len(each.message.payload) for each in self._waiting)

    def _change(self, state: LinkState, reason: str) -> None:
        if state is not self.state or reason != self.reason:
            self.state, self.reason, self.since = state, reason, self._now()
        self._wake()


def _pause_s(failures: int, longest_s: float, *, taken_over: bool) -> float:
    """Return how long to wait, jittered: a village must not come back in one instant."""
    if taken_over:
        return TAKEN_OVER_PAUSE_S * random.uniform(1, 2)  # noqa: S311  (no secret)
    pause_s = min(longest_s, BACKOFF_FIRST_S * (1 << min(failures, 10)))
    return pause_s * random.uniform(0.5, 1)  # noqa: S311
