"""What every benchmark needs: the machine's description, processes and their cost."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def description() -> dict[str, object]:
    """Say what the numbers were measured on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def peak_memory_mib(pid: int) -> float:
    """Return the largest resident size a process has had so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no peak memory for process {pid}")


def percentiles_ms(delays_s: Sequence[float]) -> dict[str, float]:
    """Return p50, p99, p99.9 and the maximum, in milliseconds."""
    ordered = sorted(delays_s)
    pick = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    return {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)
        for name, share in pick.items()
    }


def memory_bytes() -> int:
    """Return the resident size of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
