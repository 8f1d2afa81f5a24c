"""One connection to the broker: MQTT 5, acknowledged by us, when we have stored a message.

The bytes are `mqtt5`'s business (sans-I/O); this file owns the socket: packets out of bytes,
acknowledgements into bytes, keep-alive, back-pressure.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import mqtt5
import msgspec

from ingest.errors import ChargewatchError

RECEIVE_MAX = 4_000
"""Messages the broker may send ahead; left out, Mosquitto sends 20 and then waits."""
SESSION_EXPIRY_S = 7 * 24 * 3600
KEEP_ALIVE_S = 10
"""A half-open connection is noticed within twice this."""
PACKET_BYTES_MAX = 4 * 1024 * 1024
"""Larger than any payload we accept, so that an oversized one is refused with a reason."""
GRANTED = (
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE,
    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
)
BROKERS_OWN = "$SYS/"
"""What the broker says of itself it may keep to itself: then it is not known."""
PUBLISH = 3
"""The packet type in the high half of a fixed header (MQTT 5, 2.1.2)."""


class BrokerUnusable(ChargewatchError):
    """The broker refused us, or broke the protocol."""


class BrokerAddress(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: bytes | None = None


class Connection(asyncio.Protocol):
    """One TCP connection: packets out of bytes, acknowledgements into bytes, keep-alive."""

    def __init__(
        self,
        arrived: Callable[["Connection", Sequence[mqtt5.PublishPacket]], None],
        malformed: Callable[[str], None],
        keep_alive_s: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = loop.create_future()
        self.taken_over = False
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
            if code not in GRANTED and not each.startswith(BROKERS_OWN)
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
                    self.taken_over = True
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
