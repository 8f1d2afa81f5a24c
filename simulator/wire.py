"""One TCP connection of a device: MQTT 5, without I/O of its own but the socket's.

aiomqtt would do for a handful. Ten thousand of them in one process, or twenty thousand
messages a second over one, it does not (docs/decisions/037): so the bytes are `mqtt5`'s
business, as on the service's side, and this file owns the socket.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Protocol, cast

import mqtt5
import msgspec

from ingest.errors import ChargewatchError
from simulator.emissions import Emission

KEEP_ALIVE_S = 60
"""What the firmwares that we know ask for lies between 15 and 120 s (FORMATS)."""
SILENT_FACTOR = 2.0
"""How many times that a broker may be silent before it counts as gone."""
IN_FLIGHT_MAX = 4_000
"""Unconfirmed at a time, if the broker allows as many; Mosquitto's default is 20."""
CONNECTED_WITHIN_S = 30.0
PARTED_WITHIN_S = 1.0


class WireLost(ChargewatchError):
    """The broker is not there, refuses us, or has hung up."""


class Login(msgspec.Struct, frozen=True):
    """Who a device is to the broker."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.name!r})"


class Owner(Protocol):
    """Who the wire belongs to, and is told what happens."""

    def confirmed(self, packet_id: int) -> None:
        """Be told that the broker has a message."""

    def heard(self, topic: str, payload: bytes) -> None:
        """Be given a command."""

    def has_room(self) -> None:
        """Be told that the wire takes more again."""


class Wire(asyncio.Protocol):
    """Packets out of bytes and back, confirmations, keep-alive."""

    def __init__(self, owner: Owner, keep_alive_s: int = KEEP_ALIVE_S) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = loop.create_future()
        self.window = IN_FLIGHT_MAX
        """Messages that may be unconfirmed at a time."""
        self.is_full = False
        """Whether the socket takes no more for now."""
        self._owner, self._keep_alive_s = owner, keep_alive_s
        self._answered: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._heard_s = loop.time()
        self._beat: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self.closed.done()

    async def begin(
        self,
        client_id: str,
        login: Login | None,
        will: Emission | None,
        commands: Sequence[str],
    ) -> None:
        """Say hello, and ask for `commands`, topic filters. Raises WireLost."""
        self._write(
            mqtt5.ConnectPacket(
                client_id,
                username=None if login is None else login.name,
                password=None if login is None else login.password.encode(),
                clean_start=True,
                will=None if will is None else _left_with_the_broker(will),
                keep_alive=self._keep_alive_s,
            ).write()
        )
        answer = await self._answered
        if answer.reason_code is not mqtt5.ConnAckReasonCode.SUCCESS:
            raise WireLost(f"the broker refuses {client_id}: {answer.reason_code.name}")
        self.window = min(IN_FLIGHT_MAX, answer.receive_max)
        if commands:
            at_least_once = mqtt5.QoS.AT_LEAST_ONCE
            wanted = [
                mqtt5.TopicFilter(each, max_qos=at_least_once, retain_as_published=False)
                for each in commands
            ]
            self._write(mqtt5.SubscribePacket(1, wanted).write())
        self._beat = asyncio.get_running_loop().call_later(self._keep_alive_s / 2, self._ping)

    def publish(self, said: list[tuple[Emission, int | None]]) -> None:
        """Write messages as one piece; those of QoS 1 have packet ids."""
        self._write(
            b"".join(
                [
                    mqtt5.PublishPacket(
                        emission.topic,
                        emission.payload,
                        qos=mqtt5.QoS(emission.qos),
                        retain=emission.retain,
                        packet_id=packet_id,
                    ).write()
                    for emission, packet_id in said
                ]
            )
        )

    async def part(self) -> None:
        """Part politely, and return then: the broker keeps the last will to itself."""
        if self.closed.done():
            return
        self._write(mqtt5.DisconnectPacket().write())
        if self._transport is not None:
            self._transport.close()
        await asyncio.wait((self.closed,), timeout=PARTED_WITHIN_S)
        self.cut("parted")

    def cut(self, reason: str = "cut off") -> None:
        """Break the connection without a goodbye: the broker publishes the last will."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    # --- asyncio.Protocol ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are by shape only

    def data_received(self, data: bytes) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        self._buffer += data
        done, view = 0, memoryview(self._buffer)
        try:
            while done < len(view):
                with view[done:] as rest:
                    packet, size = mqtt5.read(rest)
                done += size
                self._handle(packet)
        except IndexError:
            pass  # the rest of the packet has not arrived yet
        except ValueError as error:
            self.cut(f"the broker breaks the protocol: {error}")
        finally:
            view.release()
        del self._buffer[:done]
        if done:
            self._owner.has_room()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self._owner.has_room()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"connection lost: {error}" if error else "the broker closed the connection")

    # --- inside -------------------------------------------------------------------------

    def _handle(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PubAckPacket():
                self._owner.confirmed(packet.packet_id)
            case mqtt5.PublishPacket():
                if packet.packet_id is not None:
                    self._write(mqtt5.PubAckPacket(packet.packet_id).write())
                if not packet.retain:  # of one that was kept nobody knows how old it is
                    self._owner.heard(packet.topic, packet.payload)
            case mqtt5.ConnAckPacket() if not self._answered.done():
                self._answered.set_result(packet)
            case mqtt5.DisconnectPacket():
                self.cut(f"the broker says goodbye: {packet.reason_code.name}")
            case _:
                pass  # a PINGRESP has done its work by arriving; a SUBACK grants everything

    def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard_s > SILENT_FACTOR * self._keep_alive_s:
            self.cut("half-open: the broker is silent")
            return
        self._write(mqtt5.PingReqPacket().write())
        self._beat = loop.call_later(self._keep_alive_s / 2, self._ping)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if not self._answered.done():
            self._answered.set_exception(WireLost(reason))
            self._answered.exception()  # seen: nobody may be waiting for it
        if not self.closed.done():
            self.closed.set_result(reason)


def _left_with_the_broker(will: Emission) -> mqtt5.Will:
    qos = mqtt5.QoS(will.qos)
    return mqtt5.Will(will.topic, payload=will.payload, qos=qos, retain=will.retain)


async def opened(  # noqa: PLR0913  (where, who, and what is wanted)
    owner: Owner,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    client_id: str,
    *,
    login: Login | None = None,
    will: Emission | None = None,
    commands: Sequence[str] = (),
    keep_alive_s: int = KEEP_ALIVE_S,
) -> Wire:
    """Return a wire over which messages can be sent. Raises WireLost."""
    loop = asyncio.get_running_loop()
    wire: Wire | None = None
    try:
        async with asyncio.timeout(CONNECTED_WITHIN_S):
            _, wire = await loop.create_connection(
                lambda: Wire(owner, keep_alive_s), host, port, ssl=tls
            )
            await wire.begin(client_id, login, will, commands)
    except BaseException as error:
        if wire is not None:
            wire.cut("did not get through the handshake")
        if isinstance(error, OSError | TimeoutError):
            raise WireLost(str(error) or type(error).__name__) from error
        raise
    return wire
