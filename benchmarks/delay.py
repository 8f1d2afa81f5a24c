"""How long an alarm takes: from its publication to the arrival of the signed webhook."""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from api.ports import free_port
from benchmarks.machine import peak_memory_mib, percentiles_ms
from benchmarks.running import HOST, ROOT, service, wait_until_ready

LAST_WITHIN_S = 30.0


class Left(msgspec.Struct, frozen=True):
    """What the publisher did: how many messages, in what time, and when each alarm left."""

    sent: int
    seconds: float
    left: dict[str, float]


class Receiver:
    """Takes webhooks, and notes when the first of each device arrived."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.settings: dict[str, str] = {}
        """What the service needs to know."""
        self._more = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one webhook; the device's name in its body says which alarm it is."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            at = time.monotonic()
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            self.arrived.setdefault(str(body["device"]).rpartition("/")[2], at)
            self._more.set()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    async def wait_for(self, alarms: set[str]) -> None:
        """Wait until all have arrived, or no more are to be expected."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WITHIN_S):
                while self.arrived.keys() < alarms:
                    self._more.clear()
                    await self._more.wait()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, HOST, 0)
    receiver.settings = {
        "CHARGEWATCH_WEBHOOK__URL": f"http://{HOST}:{server.sockets[0].getsockname()[1]}/",
        "CHARGEWATCH_WEBHOOK__SECRET": secrets.token_hex(24),
        "CHARGEWATCH_HTTP__PORT": str(free_port()),
    }
    try:
        yield receiver
    finally:
        server.close()


async def publish(
    out: Path, port: int, rate: int, seconds: float, alarms_per_s: float = 10
) -> Left:
    """Publish at a steady rate in a process of its own; `out` is a file it may write."""
    publisher = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.publishing"),
        *(str(port), str(rate), str(seconds), str(alarms_per_s), str(out)),
        cwd=ROOT,
    )
    await publisher.wait()
    return msgspec.json.decode(await asyncio.to_thread(out.read_bytes), type=Left)


def delay(folder: Path, port: int, rate: int, seconds: float) -> dict[str, object]:
    """Return the delay of smoke at a steady rate of telemetry, publication to webhook."""
    return asyncio.run(_delay(folder, port, rate, seconds))


async def _delay(folder: Path, port: int, rate: int, seconds: float) -> dict[str, object]:
    async with receiving() as receiver:
        with service(folder, port, **receiver.settings) as process:
            ready_at = receiver.settings["CHARGEWATCH_HTTP__PORT"]
            await asyncio.to_thread(wait_until_ready, ready_at)
            published = await publish(folder / f"left-{rate}.json", port, rate, seconds)
            await receiver.wait_for(set(published.left))
            memory = peak_memory_mib(process.pid)
    return {
        "asked_messages_per_s": rate,
        "published_messages_per_s": round(published.sent / published.seconds),
        **delays(published.left, receiver.arrived),
        "peak_memory_mib": round(memory),
    }


def delays(left: dict[str, float], arrived: dict[str, float]) -> dict[str, object]:
    """Say how long the alarms took that left, and how many never arrived."""
    taken = [arrived[name] - at for name, at in left.items() if name in arrived]
    return {
        "alarms": len(left),
        "missing": len(left) - len(taken),
        "delay_ms": percentiles_ms(taken),
    }
