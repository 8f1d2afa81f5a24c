"""A thread for work that blocks and may hang: whoever waits may go, and so may the process.

An executor of the standard library is waited for at the end of the process, however long a
server does not answer.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class OwnThread:
    """Does one thing after another. What is under way when the process ends is cut off."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def do(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        future: Future[T] = Future()
        self._work.put(lambda: _do(work, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End once what is asked for is done, without waiting for it. Ask for nothing more."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _do(work: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  (it is raised where it is waited for)
        future.set_exception(error)
    else:
        future.set_result(result)
