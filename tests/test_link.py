"""The session with the broker: what is acknowledged when, and what survives what."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import mqtt5
import msgspec
import pytest
import uvloop

from api.ports import free_port
from ingest import mqtt
from ingest.clock import utc_now
from ingest.mqtt import Link, LinkState, Received
from ingest.mqtt_connection import KEEP_ALIVE_S, RECEIVE_MAX, BrokerAddress
from tests.brokers import HOST, Mosquitto, mosquitto
from tests.processes import program, publish

pytest_plugins = ["tests.system_fixtures"]

PATIENCE_S = 15.0
FILTER = "t/+"
SMALL = 200


def in_time(test: Coroutine[None, None, None]) -> None:
    """Run a test on the loop that the service runs on."""

    async def limited() -> None:
        async with asyncio.timeout(4 * PATIENCE_S):
            await test

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(limited())


async def until(what: str, holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not holds():  # noqa: ASYNC110  (there is no event for everything)
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {within_s:g} s: {what}")


def address_of(broker: Mosquitto, port: int | None = None) -> BrokerAddress:
    return BrokerAddress(host=broker.host, port=port or broker.port)


@asynccontextmanager
async def linked(
    address: BrokerAddress,
    *,
    client_id: str = "link",
    filters: Sequence[str] = (FILTER,),
    keep_alive_s: int = KEEP_ALIVE_S,
) -> AsyncIterator[Link]:
    """Yield a running link; at the end it is cut off, as in a crash."""
    woken = asyncio.Event()
    link = Link(client_id, address, filters, utc_now, woken.set, keep_alive_s=keep_alive_s)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def connected(link: Link) -> None:
    await until(f"connected, instead of {link.state}", lambda: link.connected)


async def take(link: Link, count: int) -> list[Received]:
    """Return exactly so many messages; more must not come."""
    taken: list[Received] = []

    def enough() -> bool:
        taken.extend(link.take(10_000))
        return len(taken) >= count

    await until(f"{count} messages", enough)
    assert len(taken) == count, f"{len(taken)} messages instead of {count}"
    return taken


def payloads(taken: Iterable[Received]) -> list[bytes]:
    return [each.message.payload for each in taken]


async def send(broker: Mosquitto, said: Sequence[bytes], topic: str = "t/1") -> None:
    await asyncio.to_thread(publish, broker, [(topic, each) for each in said])


def numbered(first: int, count: int) -> list[bytes]:
    return [str(number).encode() for number in range(first, first + count)]


# --- the session ----------------------------------------------------------------------


def test_a_session_keeps_what_came_while_we_were_away(broker: Mosquitto) -> None:
    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            assert link.counts.sessions_lost == 1  # a first one has no past
        await send(broker, numbered(0, SMALL))
        async with linked(address_of(broker)) as link:
            taken = await take(link, SMALL)
            assert payloads(taken) == numbered(0, SMALL)
            assert not any(each.message.again for each in taken)
            assert link.counts.sessions_lost == 0

    in_time(test())


def test_what_was_not_acknowledged_comes_again_and_says_so(broker: Mosquitto) -> None:
    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            await send(broker, numbered(0, SMALL))
            taken = await take(link, SMALL)
            link.acknowledge(taken[: SMALL // 2])
            await asyncio.sleep(0.2)  # for the acknowledgements to arrive
        async with linked(address_of(broker)) as link:
            again = await take(link, SMALL - SMALL // 2)
            assert payloads(again) == numbered(SMALL // 2, SMALL - SMALL // 2)
            assert all(each.message.again for each in again)
            link.acknowledge(again)
            await asyncio.sleep(0.2)
        async with linked(address_of(broker)) as link:
            await connected(link)
            await send(broker, [b"new"])
            assert payloads(await take(link, 1)) == [b"new"]

    in_time(test())


def test_an_acknowledgement_of_a_lost_connection_confirms_nothing_on_the_next(
    broker: Mosquitto,
) -> None:
    """Packet ids begin anew: a late one would confirm somebody else's message."""

    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            await send(broker, numbered(0, SMALL))
            old = await take(link, SMALL)
            await asyncio.to_thread(broker.stop)
            await until("the loss is noticed", lambda: not link.connected)
            await asyncio.to_thread(broker.start)
            again = await take(link, SMALL)
            assert {each.packet_id for each in again} & {each.packet_id for each in old}
            link.acknowledge(old)
            await asyncio.sleep(0.2)
        async with linked(address_of(broker)) as link:
            assert payloads(await take(link, SMALL)) == numbered(0, SMALL)

    in_time(test())


def test_what_waits_is_forgotten_with_its_connection_and_comes_once_more(
    broker: Mosquitto,
) -> None:
    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            await send(broker, numbered(0, SMALL))
            await asyncio.sleep(0.2)  # they wait; nobody takes them
            await asyncio.to_thread(broker.stop)
            await until("the loss is noticed", lambda: not link.connected)
            assert link.take(SMALL) == []
            await asyncio.to_thread(broker.start)
            assert payloads(await take(link, SMALL)) == numbered(0, SMALL)

    in_time(test())


@pytest.mark.parametrize("forgetful", [False, True], ids=["remembers", "lost its sessions"])
def test_a_broker_that_restarts_is_heard_again(broker: Mosquitto, forgetful: bool) -> None:
    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            await asyncio.to_thread(broker.stop)
            await until("the loss is noticed", lambda: not link.connected)
            assert link.reason
            if forgetful:
                (broker.log.parent / "mosquitto.db").unlink()
            await asyncio.to_thread(broker.start)
            await connected(link)
            assert link.counts.connections == 2
            assert link.counts.sessions_lost == (2 if forgetful else 1)
            assert link.reason == ""
            await send(broker, [b"hello"])
            assert payloads(await take(link, 1)) == [b"hello"]

    in_time(test())


def test_two_services_with_one_client_id_do_not_throw_each_other_out_without_end(
    broker: Mosquitto,
) -> None:
    """Mosquitto 2.0.11 closes the older connection without a word; others say why."""

    async def test() -> None:
        async with linked(address_of(broker)) as first, linked(address_of(broker)) as second:
            both = (first, second)
            await until(
                "a hint at the reason",
                lambda: any("client id 'link'" in link.reason for link in both),
            )
            await asyncio.sleep(4)
            # Without growing pauses it would be five a second.
            assert sum(link.counts.connections for link in both) <= 14

    in_time(test())


def test_the_broker_sends_no_more_than_the_receive_maximum_ahead(broker: Mosquitto) -> None:
    more = 500

    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            await send(broker, numbered(0, RECEIVE_MAX + more))
            first = await take(link, RECEIVE_MAX)
            await asyncio.sleep(0.3)
            assert link.take(1) == []
            link.acknowledge(first)
            rest = await take(link, more)
            assert payloads(first + rest) == numbered(0, RECEIVE_MAX + more)

    in_time(test())


# --- logins and encryption ------------------------------------------------------------


def test_a_wrong_password_is_refused_with_the_reason(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    tool = program("mosquitto_passwd", "mosquitto")
    subprocess.run([tool, "-b", passwords, "watch", "right"], check=True, capture_output=True)
    extra = f"allow_anonymous false\npassword_file {passwords}"

    async def test(broker: Mosquitto) -> None:
        def login(password: bytes) -> BrokerAddress:
            return BrokerAddress(
                host=broker.host, port=broker.port, username="watch", password=password
            )

        async with linked(login(b"wrong")) as link:
            await until("refused", lambda: link.state is LinkState.REFUSED)
            assert "NOT_AUTHORIZED" in link.reason
        async with linked(address_of(broker)) as link:
            await until("refused", lambda: link.state is LinkState.REFUSED)
        async with linked(login(b"right")) as link:
            await connected(link)

    with mosquitto(tmp_path, extra=extra) as broker:
        in_time(test(broker))


def test_a_port_where_nobody_listens_is_a_reason_too() -> None:
    async def test() -> None:
        async with linked(BrokerAddress(host=HOST, port=free_port())) as link:
            await until("refused", lambda: link.state is LinkState.REFUSED)
            assert "refused" in link.reason.lower()

    in_time(test())


def authority(folder: Path, name: str) -> tuple[str, str, str]:
    """Make a CA, and a certificate of it for this host; return CA, certificate and key."""
    ca, ca_key = f"{folder}/{name}-ca.pem", f"{folder}/{name}-ca.key"
    certificate, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    new = [
        *(program("openssl", "openssl"), "req", "-x509", "-newkey", "ec"),
        *("-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
    ]
    for command in (
        [*new, "-keyout", ca_key, "-out", ca, "-subj", f"/CN={name} authority"],
        [
            *(*new, "-keyout", key, "-out", certificate, "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=IP:{HOST}"),
            *("-addext", "basicConstraints=critical,CA:FALSE", "-CA", ca, "-CAkey", ca_key),
        ],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return ca, certificate, key


def test_only_a_broker_with_a_certificate_of_our_authority_is_spoken_to(
    tmp_path: Path,
) -> None:
    ca, certificate, key = authority(tmp_path, "broker")
    stranger, _, _ = authority(tmp_path, "stranger")
    port = free_port()
    extra = f"listener {port} {HOST}\ncertfile {certificate}\nkeyfile {key}"

    async def test(broker: Mosquitto) -> None:
        def trusting(file: str) -> BrokerAddress:
            tls = ssl.create_default_context(cafile=file)
            return BrokerAddress(host=HOST, port=port, tls=tls)

        async with linked(trusting(stranger)) as link:
            await until("refused", lambda: link.state is LinkState.REFUSED)
            assert "certificate verify failed" in link.reason.lower()
            assert link.counts.connections == 0
        async with linked(trusting(ca)) as link:
            await connected(link)
            await send(broker, numbered(0, SMALL))
            taken = await take(link, SMALL)
            assert payloads(taken) == numbered(0, SMALL)
        other_name = msgspec.structs.replace(trusting(ca), host="localhost")
        async with linked(other_name) as link:
            await until("refused", lambda: link.state is LinkState.REFUSED)
            assert "not valid for 'localhost'" in link.reason

    with mosquitto(tmp_path, extra=extra) as broker:
        in_time(test(broker))


# --- a bad network --------------------------------------------------------------------


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """Yield the port of a server that runs `serve` for each connection, and ends them all."""
    running: set[asyncio.Task[None]] = set()

    async def accepted(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await serve(near, back)
        finally:
            back.close()
            with suppress(OSError):
                await back.wait_closed()

    server = await asyncio.start_server(accepted, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running)


class Proxy:
    """Stands between link and broker; while `mute` it passes nothing on, and stays open."""

    def __init__(self, broker: Mosquitto) -> None:
        self.mute = False
        self._broker = broker

    async def serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, there = await asyncio.open_connection(self._broker.host, self._broker.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(near, there))
                tasks.create_task(self._pass_on(far, back))
        finally:
            there.close()

    async def _pass_on(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if not self.mute:
                    to.write(data)
        to.close()


def test_a_half_open_connection_is_noticed_and_replaced(broker: Mosquitto) -> None:
    keep_alive_s = 1

    async def test() -> None:
        proxy = Proxy(broker)
        async with (
            serving(proxy.serve) as port,
            linked(address_of(broker, port), keep_alive_s=keep_alive_s) as link,
        ):
            await connected(link)
            await asyncio.sleep(2.5 * keep_alive_s)
            assert link.counts.connections == 1  # being quiet is not being gone
            proxy.mute = True
            await until("noticed", lambda: not link.connected, 4 * keep_alive_s)
            assert "half-open" in link.reason
            proxy.mute = False
            await connected(link)
            await send(broker, [b"hello"])
            assert payloads(await take(link, 1)) == [b"hello"]

    in_time(test())


# --- brokers that misbehave, and publishers -------------------------------------------


class FakeBroker:
    """Accepts a session, sends what the test wants, and records what is answered."""

    CONNACK = bytes([0x20, 3, 0, 0, 0])
    SUBACK = bytes([0x90, 4, 0, 1, 0, 1])

    def __init__(self, *sent: bytes) -> None:
        self.acknowledged: list[int] = []
        self._sent = sent

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[BrokerAddress]:
        async with serving(self._serve) as port:
            yield BrokerAddress(host=HOST, port=port)

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        buffer = b""
        while data := await near.read(65_536):
            buffer += data
            while buffer:
                try:
                    packet, size = mqtt5.read(memoryview(buffer))
                except IndexError:
                    break
                buffer = buffer[size:]
                await self._answer(packet, back)

    async def _answer(self, packet: mqtt5.Packet, back: asyncio.StreamWriter) -> None:
        match packet:
            case mqtt5.ConnectPacket():
                back.write(self.CONNACK)
            case mqtt5.SubscribePacket():
                back.write(self.SUBACK)
                for data in self._sent:
                    back.write(data)
                    await asyncio.sleep(0.05)  # so that each is read by itself
            case mqtt5.PubAckPacket():
                self.acknowledged.append(packet.packet_id)
            case _:
                pass


def packet(topic: str, payload: bytes, packet_id: int) -> bytes:
    return mqtt5.PublishPacket(
        topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id
    ).write()


# mqtt5 panics there, after showing the error of Python's decoder to nobody in particular.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut_at", [None, 5, 9], ids=["whole", "cut in two", "cut in its id"])
def test_a_malformed_publication_is_skipped_confirmed_and_counted(cut_at: int | None) -> None:
    """Else the broker would send it again for ever, and nothing behind it."""
    malformed = packet("t/xx", b"never mind", 2).replace(b"t/xx", b"t/\xff\xfe")
    pieces = [malformed] if cut_at is None else [malformed[:cut_at], malformed[cut_at:]]
    broker = FakeBroker(packet("t/1", b"before", 1), *pieces, packet("t/1", b"after", 3))

    async def test() -> None:
        async with broker.listening() as address, linked(address) as link:
            taken = await take(link, 2)
            assert payloads(taken) == [b"before", b"after"]
            assert link.counts.malformed == 1
            await until("confirmed", lambda: broker.acknowledged == [2])
            link.acknowledge(taken)
            await until("all confirmed", lambda: broker.acknowledged == [2, 1, 3])
            assert link.connected
            assert link.counts.connections == 1

    in_time(test())


def test_who_is_told_that_another_took_over_leaves_it_in_peace() -> None:
    taken_over = mqtt5.DisconnectPacket(
        reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
    ).write()

    async def test() -> None:
        broker = FakeBroker(taken_over)
        async with broker.listening() as address, linked(address) as link:
            await until("taken over", lambda: link.state is LinkState.TAKEN_OVER)
            assert "SESSION_TAKEN_OVER" in link.reason
            await asyncio.sleep(2)  # any other loss is mended within one second
            assert link.counts.connections == 1

    in_time(test())


def test_a_broker_that_speaks_something_else_is_left_with_a_reason() -> None:
    async def test() -> None:
        broker = FakeBroker(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)
        async with broker.listening() as address, linked(address) as link:
            await until("left", lambda: link.counts.connections > 0 and not link.connected)
            assert "protocol" in link.reason

    in_time(test())


def test_a_packet_that_arrives_byte_by_byte_is_one_message() -> None:
    whole = packet("t/1", b"slowly", 1)
    broker = FakeBroker(*(whole[at : at + 1] for at in range(len(whole))))

    async def test() -> None:
        async with broker.listening() as address, linked(address) as link:
            assert payloads(await take(link, 1)) == [b"slowly"]

    in_time(test())


def test_a_flood_without_acknowledgement_waits_at_the_broker_not_in_our_memory(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QoS 0 knows no receive maximum; only not reading holds it back."""
    limit, size, count = 256 * 1024, 8 * 1024, 2_000
    monkeypatch.setattr(mqtt, "WAITING_BYTES_MAX", limit)
    tool = program("mosquitto_pub", "mosquitto-clients")

    async def test() -> None:
        async with linked(address_of(broker)) as link:
            await connected(link)
            flood = await asyncio.create_subprocess_exec(
                *(tool, "-h", broker.host, "-p", str(broker.port), "-t", "t/flood", "-l"),
                stdin=subprocess.PIPE,
            )
            try:
                await flood.communicate((b"x" * size + b"\n") * count)
            finally:
                with suppress(ProcessLookupError):
                    flood.kill()
            await asyncio.sleep(0.5)  # all that will come has come
            waiting = link.take(count)
            one_read = 256 * 1024  # what uvloop reads at a time
            assert limit < sum(map(len, payloads(waiting))) <= limit + one_read + size
            heard = len(waiting)

            def reads_on() -> bool:
                nonlocal heard
                heard += len(link.take(count))
                return heard > len(waiting)

            await until("it reads on once there is room", reads_on)
            await send(broker, [b"still here"])
            last: list[Received] = []

            def said() -> bool:
                last.extend(link.take(count))
                return b"still here" in payloads(last)

            await until("what comes after the flood is heard", said)
            assert link.connected
            assert link.counts.connections == 1

    in_time(test())
