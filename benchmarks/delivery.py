"""From publication to the first attempt at each recipient: `python -m benchmarks.delivery`.

Smoke among a steady rate of telemetry; a webhook and so many telephone numbers behind one
gateway are told of it, and a receiver notes when each of them is first tried for each alarm.
The gateway's limit is set out of the way: what is measured is the service. So few alarms are
raised that nobody's are folded into a digest (docs/notifications.md, Budgets).
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from api.ports import free_port
from benchmarks.delay import LAST_WITHIN_S, publish
from benchmarks.machine import description, percentiles_ms
from benchmarks.running import HOST, mosquitto, service, wait_until_ready

ALARMS = 8
"""In one round. Somebody has 12 dangers by themselves in 10 minutes, ends among them, and
the others in a digest."""
GOAL_P99_MS, GOAL_RATE = 200.0, 5_000
WEBHOOK = "webhook"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rates", type=int, nargs="+", default=[2_000, 5_000, 10_000])
    parser.add_argument("--recipients", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each, with a new service")
    options = parser.parse_args()
    runs = [
        _run(rate, recipients, options.seconds, options.rounds)
        for rate in options.rates
        for recipients in options.recipients
    ]
    missed = [run for run in runs if run["goal"] == "missed"]
    shown = {"machine": description(), "runs": runs, "goal_missed": len(missed)}
    print(json.dumps(shown) if options.json else json.dumps(shown, indent=2))
    return 1 if missed else 0


class Round(msgspec.Struct):
    """How long each recipient took to be tried for each alarm, in seconds."""

    messages_per_s: float
    expected: int
    taken: dict[tuple[str, str], float]

    @property
    def first(self) -> list[float]:
        """Return how long it took until anybody was tried, for each alarm."""
        by_alarm: dict[str, list[float]] = {}
        for (_, alarm), took in self.taken.items():
            by_alarm.setdefault(alarm, []).append(took)
        return [min(each) for each in by_alarm.values()]


def _run(rate: int, recipients: int, seconds: float, rounds: int) -> dict[str, Any]:
    found: list[Round] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="chargewatch-bench-") as name:
            found.append(asyncio.run(_measured(Path(name), rate, recipients, seconds)))
    each = percentiles_ms([took for one in found for took in one.taken.values()])
    missing = sum(one.expected - len(one.taken) for one in found)
    reached = not missing and each["p99"] <= GOAL_P99_MS
    shown = {
        "asked_messages_per_s": rate,
        "published_messages_per_s": round(min(one.messages_per_s for one in found)),
        "recipients": recipients,
        "alarms": ALARMS * rounds,
        "attempts": sum(len(one.taken) for one in found),
        "missing": missing,
        "first_recipient_ms": percentiles_ms([took for one in found for took in one.first]),
        "each_recipient_ms": each,
        "goal": ("reached" if reached else "missed") if rate == GOAL_RATE else "none",
    }
    print(json.dumps(shown), file=sys.stderr, flush=True)
    return shown


async def _measured(folder: Path, rate: int, recipients: int, seconds: float) -> Round:
    numbers = [f"+8613800{number:06}" for number in range(recipients)]
    with mosquitto(folder) as port:
        async with receiving(numbers) as receiver:
            with service(folder, port, **receiver.settings):
                ready_at = receiver.settings["CHARGEWATCH_HTTP__PORT"]
                await asyncio.to_thread(wait_until_ready, ready_at)
                out = folder / "left.json"
                published = await publish(out, port, rate, seconds, ALARMS / seconds)
                expected = [
                    (who, each) for who in (WEBHOOK, *numbers) for each in published.left
                ]
                await receiver.wait_for(expected)
    taken = {
        pair: receiver.tried[pair] - published.left[pair[1]]
        for pair in expected
        if pair in receiver.tried
    }
    return Round(published.sent / published.seconds, len(expected), taken)


class Receiver:
    """Takes webhooks and what a gateway is posted, and notes when each was first tried."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        self.tried: dict[tuple[str, str], float] = {}
        self._more = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            at = time.monotonic()
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            who, key = body.get("to", WEBHOOK), body.get("key") or body["idempotency_key"]
            if ":firing:" in key:
                self.tried.setdefault((who, key.split("@")[1].rpartition("/")[2]), at)
            self._more.set()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    async def wait_for(self, expected: Sequence[tuple[str, str]]) -> None:
        """Wait until all were tried, or no more is to be expected."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WITHIN_S):
                while not self.tried.keys() >= set(expected):
                    self._more.clear()
                    await self._more.wait()


@asynccontextmanager
async def receiving(numbers: Sequence[str]) -> AsyncIterator[Receiver]:
    receiver = Receiver({})
    server = await asyncio.start_server(receiver.take, HOST, 0)
    url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}/"
    receiver.settings = {
        "CHARGEWATCH_HTTP__PORT": str(free_port()),
        "CHARGEWATCH_WEBHOOK__URL": url,
        "CHARGEWATCH_WEBHOOK__SECRET": secrets.token_hex(24),
        "CHARGEWATCH_SMS__URL": url,
        "CHARGEWATCH_SMS__NUMBERS": json.dumps(numbers),
        "CHARGEWATCH_SMS__BODY": '{"to": "{number}", "key": "{key}", "text": "{text}"}',
        "CHARGEWATCH_SMS__PER_MINUTE": "100000",
    }
    try:
        yield receiver
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
