import asyncio
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from ingest.own_thread import OwnThread

ROOT = Path(__file__).parents[1]

HANGS = """
import asyncio, threading
from ingest.own_thread import OwnThread

async def play():
    thread = OwnThread("hangs")
    try:
        async with asyncio.timeout(0.1):
            await thread.do(threading.Event().wait)
    finally:
        thread.close()

asyncio.run(play())
"""


def test_work_is_done_in_one_thread_in_its_order_and_its_errors_are_raised() -> None:
    done: list[tuple[int, int]] = []

    def note(number: int) -> None:
        done.append((number, threading.get_ident()))

    def fail() -> None:
        raise KeyError("x")

    async def play() -> None:
        thread = OwnThread("one")
        await asyncio.gather(*(thread.do(partial(note, n)) for n in range(9)))
        with pytest.raises(KeyError):
            await thread.do(fail)
        assert await thread.do(lambda: 7) == 7
        thread.close()

    asyncio.run(play())
    assert [n for n, _ in done] == list(range(9))
    assert len({ident for _, ident in done} - {threading.get_ident()}) == 1


def test_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    began: list[int] = []
    go = threading.Event()

    async def play() -> None:
        thread = OwnThread("one")
        first = asyncio.ensure_future(thread.do(go.wait))
        second = asyncio.ensure_future(thread.do(lambda: began.append(2)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        go.set()
        await first
        await thread.do(lambda: began.append(3))
        thread.close()

    asyncio.run(play())
    assert began == [3]


def test_a_process_ends_while_its_work_hangs() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr.rstrip().endswith("TimeoutError")
