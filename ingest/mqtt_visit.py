"""A short visit to the broker: log in, ask, say something, go. No session is left behind.

For what wants to know the broker's answer to each step, which a client that hides them behind
retries does not tell. Every wait has an end.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypeVar

import mqtt5

from ingest.mqtt_connection import GRANTED, BrokerAddress, BrokerUnusable

EACH_WITHIN_S = 2.0
"""To connect, to log in, and for the rest."""
READ_BYTES = 64 * 1024
WAITING_BYTES_MAX = 1024 * 1024
"""What arrives meanwhile is not ours to read; more than this at once, and the visit ends."""

P = TypeVar("P")


class LoginRefused(BrokerUnusable):
    """The broker is there and does not let us in."""


class Visit:
    """An open connection of somebody who soon leaves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = bytearray()

    @property
    def certificate_ends_at(self) -> datetime | None:
        """When the broker's certificate ends; None without TLS."""
        tls = self._writer.get_extra_info("ssl_object")
        return None if tls is None else ends_at(tls)

    async def log_in(self, client_id: str, address: BrokerAddress) -> None:
        """Raises LoginRefused with the broker's reason."""
        self._writer.write(
            mqtt5.ConnectPacket(
                client_id,
                username=address.username,
                password=address.password,
                clean_start=True,
                keep_alive=30,
            ).write()
        )
        answer = await self._answer(mqtt5.ConnAckPacket)
        if answer.reason_code is not mqtt5.ConnAckReasonCode.SUCCESS:
            raise LoginRefused(answer.reason_code.name)

    async def refused_filters(self, filters: tuple[str, ...]) -> list[str]:
        """Subscribe; return which filters the broker does not grant."""
        wanted = [
            mqtt5.TopicFilter(
                each,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain_handling=mqtt5.RetainHandling.SEND_NEVER,
            )
            for each in filters
        ]
        self._writer.write(mqtt5.SubscribePacket(1, wanted).write())
        answer = await self._answer(mqtt5.SubAckPacket)
        codes = zip(filters, answer.reason_codes, strict=True)
        return [each for each, code in codes if code not in GRANTED]

    async def publish(self, topic: str, payload: bytes, expires_in_s: int) -> None:
        """Say something with QoS 1; raises BrokerUnusable with the broker's reason."""
        self._writer.write(
            mqtt5.PublishPacket(
                topic,
                payload,
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                packet_id=1,
                message_expiry_interval=expires_in_s,
            ).write()
        )
        answer = await self._answer(mqtt5.PubAckPacket)
        if answer.reason_code is not mqtt5.PubAckReasonCode.SUCCESS:
            raise BrokerUnusable(answer.reason_code.name)

    async def _answer(self, kind: type[P]) -> P:
        """Return the next packet of a kind; what is none of our business is passed over."""
        while True:
            packet = self._packet()
            if isinstance(packet, kind):
                return packet
            if isinstance(packet, mqtt5.DisconnectPacket):
                raise BrokerUnusable(f"the broker says goodbye: {packet.reason_code.name}")
            if packet is None:
                arrived = await self._reader.read(READ_BYTES)
                if not arrived:
                    raise BrokerUnusable("the broker closed the connection")
                self._buffer += arrived

    def _packet(self) -> mqtt5.Packet | None:
        if len(self._buffer) > WAITING_BYTES_MAX:
            raise BrokerUnusable("the broker sends more than was asked for")
        try:
            with memoryview(self._buffer) as view:
                packet, size = mqtt5.read(view)
        except IndexError:
            return None  # not all of it is here yet
        except BaseException as error:  # a panic in Rust is no Exception
            if not (isinstance(error, ValueError) or type(error).__name__ == "PanicException"):
                raise
            raise BrokerUnusable(f"this is no MQTT 5: {error}") from error
        del self._buffer[:size]
        return packet


@asynccontextmanager
async def visiting(address: BrokerAddress, client_id: str) -> AsyncIterator[Visit]:
    """Yield a visit that is logged in. Raises OSError, TimeoutError or BrokerUnusable."""
    async with asyncio.timeout(EACH_WITHIN_S):
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=address.tls
        )
    try:
        visit = Visit(reader, writer)
        try:
            async with asyncio.timeout(EACH_WITHIN_S):
                await visit.log_in(client_id, address)
        except (TimeoutError, ConnectionError) as error:
            raise BrokerUnusable("it does not answer as a broker does") from error
        async with asyncio.timeout(EACH_WITHIN_S):
            yield visit
        writer.write(mqtt5.DisconnectPacket().write())
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def ends_at(tls: ssl.SSLObject) -> datetime | None:
    """Return when the other side's certificate ends, as it was checked in the handshake."""
    certificate = tls.getpeercert() or {}
    until = certificate.get("notAfter")
    if not isinstance(until, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)
