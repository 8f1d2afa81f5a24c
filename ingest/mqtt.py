"""Listening to the broker: MQTT 5, acknowledged by us, when we have stored a message.

The bytes are `mqtt5`'s business (sans-I/O); this file owns the sockets. One `Link` is one
persistent session at the broker: it keeps a `_Connection` open for as long as it can, and
collects what arrives. Nothing is acknowledged here: the pipeline says when, by handing the
messages back. On a lost connection every pending acknowledgement is dropped, because packet
ids begin anew; the broker sends those messages again, and their repetition is recognised.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, cast

import mqtt5
import msgspec
import structlog

from ingest.clock import Now
from ingest.errors import ChargewatchError
from ingest.wire import Message

RECEIVE_MAX = 4_000
"""Messages the broker may send ahead; left out, Mosquitto sends 20 and then waits."""
SESSION_EXPIRY_S = 7 * 24 * 3600
KEEP_ALIVE_S = 10
"""A half-open connection is noticed within twice this."""
CONNECT_TIMEOUT_S = 10
PACKET_BYTES_MAX = 4 * 1024 * 1024
"""Larger than any payload we accept, so that an oversized one is refused with a reason."""
WAITING_BYTES_MAX = 64 * 1024 * 1024
BACKOFF_FIRST_S, BACKOFF_LONGEST_S = 0.25, 5.0
"""Short: while we are away nobody watches, and a broker can bear the two of us."""
TAKEN_OVER_PAUSE_S = 30.0
"""Two services with one client id would throw each other out for ever."""
STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next pause is short again."""
CUT_OFF_AGAIN = 3
"""Mosquitto 2.0.11 does not say who took a session over; so often in a row says it."""
GRANTED = (
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE,
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
)
PUBLISH = 3
"""The packet type in the high half of a fixed header (MQTT 5, 2.1.2)."""

log = structlog.get_logger()


class BrokerUnusable(ChargewatchError):
    """The broker refused us, or broke the protocol."""


class LinkState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"
    TAKEN_OVER = "taken_over"


class BrokerAddress(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: bytes | None = None


class Received(NamedTuple):
    """A message with what is needed to acknowledge it."""

    message: Message
    packet_id: int | None
    connection: "_Connection"


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
        self._connection: _Connection | None = None

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
                state = connection.ended_as
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

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        address = self._address
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(
                lambda: _Connection(self._arrived, self._malformed, self._keep_alive_s),
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

    def _arrived(
        self, connection: "_Connection", packets: Sequence[mqtt5.PublishPacket]
    ) -> None:
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


class _Connection(asyncio.Protocol):
    """One TCP connection: packets out of bytes, acknowledgements into bytes, keep-alive."""

    def __init__(
        self,
        arrived: Callable[["_Connection", Sequence[mqtt5.PublishPacket]], None],
        malformed: Callable[[str], None],
        keep_alive_s: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = loop.create_future()
        self.ended_as = LinkState.CONNECTING
        self._arrived, self._malformed = arrived, malformed
        self._keep_alive_s = keep_alive_s
        self._connack: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self._suback: asyncio.Future[mqtt5.SubAckPacket] = loop.create_future()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._heard_s = loop.time()
        self._keep_alive: asyncio.TimerHandle | None = None

    async def begin(
        self, client_id: str, address: BrokerAddress, filters: Sequence[str]
    ) -> bool:
        """Open the session and subscribe; return whether the broker still knew the session.

        Subscribing each time costs nothing and mends a session that the broker lost;
        retained messages are asked for only if the subscription is new.
        """
        self._write(
            mqtt5.ConnectPacket(
                client_id,
                username=address.username,
                password=address.password,
                clean_start=False,
                keep_alive=self._keep_alive_s,
                session_expiry_interval=SESSION_EXPIRY_S,
                receive_max=RECEIVE_MAX,
                max_packet_size=PACKET_BYTES_MAX,
            ).write()
        )
        connack = await self._connack
        if connack.reason_code is not mqtt5.ConnAckReasonCode.SUCCESS:
            raise BrokerUnusable(f"the broker refuses us: {connack.reason_code.name}")
        wanted = [
            mqtt5.TopicFilter(
                each,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain_as_published=False,  # so that `retain` means: kept since who knows when
                retain_handling=mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
            )
            for each in filters
        ]
        self._write(mqtt5.SubscribePacket(1, wanted).write())
        suback = await self._suback
        refused = [
            each
            for each, code in zip(filters, suback.reason_codes, strict=True)
            if code not in GRANTED
        ]
        if refused:
            raise BrokerUnusable(f"the broker refuses our subscription to {refused}")
        self._keep_alive_soon()
        return connack.session_present

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Send the acknowledgements as one write."""
        self._write(b"".join([mqtt5.PubAckPacket(number).write() for number in packet_ids]))

    def pause(self) -> None:
        """Read no more for now: the broker must hold the rest."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    def abort(self, reason: str) -> None:
        """Close at once, whatever is still on the way."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    # --- asyncio.Protocol -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are by shape only

    def data_received(self, data: bytes) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        buffer = self._buffer
        buffer += data
        published: list[mqtt5.PublishPacket] = []
        done, view = 0, memoryview(buffer)
        try:
            while done < len(view):
                with view[done:] as rest:
                    packet, size = self._read(rest)
                done += size
                if type(packet) is mqtt5.PublishPacket:
                    published.append(packet)
                elif packet is not None:
                    self._handle(packet)
        except IndexError:
            pass  # the rest of the packet has not arrived yet
        finally:
            view.release()
        del buffer[:done]
        if published:
            self._arrived(self, published)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"connection lost: {error}" if error else "the broker closed the connection")

    # --- inside ---------------------------------------------------------------------

    def _read(self, rest: memoryview) -> tuple[mqtt5.Packet | None, int]:
        """Read one packet; a publication that makes no sense is skipped and confirmed.

        Otherwise the broker would send it again for ever, and nothing behind it.
        """
        try:
            return mqtt5.read(rest)
        except IndexError:
            raise  # not all of it is here yet
        except BaseException as error:  # a panic in Rust is no Exception
            if not (isinstance(error, ValueError) or type(error).__name__ == "PanicException"):
                raise
            frame = _publication(rest)
            if frame is None:
                self.abort(f"the broker breaks the protocol: {error}")
                raise IndexError from error
            size, packet_id = frame
            self._malformed(str(error))
            if packet_id is not None:
                self.acknowledge([packet_id])
            return None, size

    def _handle(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.ConnAckPacket() if not self._connack.done():
                self._connack.set_result(packet)
            case mqtt5.SubAckPacket() if not self._suback.done():
                self._suback.set_result(packet)
            case mqtt5.DisconnectPacket():
                if packet.reason_code is mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
                    self.ended_as = LinkState.TAKEN_OVER
                self.abort(f"the broker says goodbye: {packet.reason_code.name}")
            case _:
                pass  # a PINGRESP has done its work by arriving

    def _keep_alive_soon(self) -> None:
        loop = asyncio.get_running_loop()
        silent_s = loop.time() - self._heard_s
        if self._paused:
            silent_s = 0.0  # it is us who do not listen
        if silent_s > 2 * self._keep_alive_s:
            self.abort(f"half-open: nothing heard for {silent_s:.0f} s")
            return
        self._write(mqtt5.PingReqPacket().write())
        self._keep_alive = loop.call_later(self._keep_alive_s / 2, self._keep_alive_soon)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        for waiting in (self._connack, self._suback):
            if not waiting.done():
                waiting.set_exception(BrokerUnusable(reason))
                waiting.exception()  # seen: nobody may be waiting for it
        if not self.closed.done():
            self.closed.set_result(reason)


def _publication(rest: memoryview) -> tuple[int, int | None] | None:
    """Return the size and packet id of a PUBLISH that could not be read; None: no PUBLISH.

    Raises IndexError while it is incomplete. (MQTT 5, 2.1.4 and 3.3.2.)
    """
    if rest[0] >> 4 != PUBLISH:
        return None
    remaining, at = 0, 1
    for shift in (0, 7, 14, 21):
        remaining |= (rest[at] & 0x7F) << shift
        at += 1
        if rest[at - 1] < 0x80:  # noqa: PLR2004  (the top bit: one more byte follows)
            break
    size = at + remaining
    if len(rest) < size:
        raise IndexError
    if not rest[0] & 0b0110:  # QoS 0 has no id
        return size, None
    id_at = at + 2 + int.from_bytes(rest[at : at + 2], "big")
    if id_at + 2 > size:
        return size, None
    return size, int.from_bytes(rest[id_at : id_at + 2], "big")
