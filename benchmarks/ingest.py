"""How fast messages become durable, how soon an alarm is told: `python -m benchmarks.ingest`.

Throughput: the same queue of messages, waiting at one Mosquitto in two persistent sessions,
is drained first by `mosquitto_sub` (C, keeps nothing) and then by the service (all rules on,
acknowledged after commit). The ratio is what counts: both ran on the same machine, minutes
apart. Delay: an open-loop publisher keeps a rate, with smoke events among it; the delay of
each runs from its publication to the arrival of the signed webhook.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.delay import delay
from benchmarks.machine import cpu_seconds, description, peak_memory_mib
from benchmarks.publishing import fill
from benchmarks.running import HOST, messages_kept, mosquitto, service, wait_for_session

FILTER = "chargewatch/v1/+/+/+/telemetry"
DRAIN_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--messages", type=int, default=100_000, help="in each queue")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, nargs="*", default=[2_000, 5_000, 10_000])
    parser.add_argument("--seconds", type=float, default=30.0, help="for each rate")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="chargewatch-bench-") as name:
        folder = Path(name)
        with mosquitto(folder) as port:
            result: dict[str, object] = {"machine": description()}
            result["throughput"] = throughput(folder, port, options.messages, options.rounds)
            result["alarm_delay"] = [
                delay(folder, port, rate, options.seconds) for rate in options.rates
            ]
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def throughput(folder: Path, port: int, messages: int, rounds: int) -> dict[str, object]:
    """Drain the same queue with both, `rounds` times; medians."""
    ours, reference, cpu, memory = [], [], [], []
    with service(folder, port):
        wait_for_session(port, folder)
    subscribe_reference(port)
    for _ in range(rounds):
        before = messages_kept(folder)
        asyncio.run(fill(port, messages))
        reference.append(messages / drained_by_reference(port, messages))
        with service(folder, port) as process:
            seconds, used_s, peak_mib = drained_by_service(folder, process, before, messages)
            ours.append(messages / seconds)
            cpu.append(used_s)
            memory.append(peak_mib)
    return {
        "messages": messages,
        "rounds": rounds,
        "durable_messages_per_s": round(median(ours)),
        "mosquitto_sub_messages_per_s": round(median(reference)),
        "ratio": round(median(ours) / median(reference), 3),
        "ratios": [round(one / other, 3) for one, other in zip(ours, reference, strict=True)],
        "cpu_seconds": round(median(cpu), 2),
        "cpu_us_per_message": round(median(cpu) / messages * 1e6, 1),
        "peak_memory_mib": round(max(memory)),
    }


def subscribe_reference(port: int) -> None:
    """Make the reference's persistent session."""
    subprocess.run([*reference_command(port), "-E"], check=True)


def reference_command(port: int) -> list[str]:
    return [
        *("mosquitto_sub", "-h", HOST, "-p", str(port), "-V", "5", "-c", "-q", "1"),
        *("-i", "reference", "-x", "3600", "-D", "connect", "receive-maximum", "4000"),
        *("-t", FILTER),
    ]


def drained_by_reference(port: int, messages: int) -> float:
    """Return how long mosquitto_sub takes for the queue, in seconds, start-up included."""
    begun = time.monotonic()
    subprocess.run(
        [*reference_command(port), "-C", str(messages)], check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - begun


def drained_by_service(
    folder: Path, process: subprocess.Popen[bytes], before: int, messages: int
) -> tuple[float, float, float]:
    """Return seconds from the first commit to the last, CPU seconds, and peak memory (MiB)."""
    until = time.monotonic() + DRAIN_S
    while (first := messages_kept(folder)) == before:
        if process.poll() is not None or time.monotonic() > until:
            sys.exit((folder / "service.log").read_text())
        time.sleep(0.002)
    begun, used = time.monotonic(), cpu_seconds(process.pid)
    while (kept := messages_kept(folder)) < before + messages:
        if time.monotonic() > until:
            sys.exit(f"only {kept - before} of {messages} messages arrived")
        time.sleep(0.01)
    share = messages / (messages - (first - before))  # what was kept when the watch began
    seconds = (time.monotonic() - begun) * share
    used_s = (cpu_seconds(process.pid) - used) * share
    return seconds, used_s, peak_memory_mib(process.pid)


if __name__ == "__main__":
    main()
