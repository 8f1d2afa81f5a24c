"""Running the service with its HTTP side, in one process on one event loop."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from api.channels import one_line
from api.http.patience import HEAD_BYTES_MAX, Patient
from api.ports import check_free
from api.service import Running, running
from api.settings import HttpSettings, Settings
from ingest.clock import Now

SHUTDOWN_S = 3

T = TypeVar("T")


class _Pages(uvicorn.Server):
    """Leaves the signals alone: whoever runs the service decides what they mean."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def stop_on_signals() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def serving(
    settings: Settings, now: Now, speed: float = 1.0
) -> AsyncIterator[tuple[Running, uvicorn.Server]]:
    """Run the service, and make its pages ready to serve."""
    http = settings.http
    async with running(settings, now, speed) as service:
        spare_the_collector()
        server = _Pages(configured(service.app, http))
        try:
            yield service, server
        finally:
            gc.unfreeze()  # or DuckDB takes what is frozen for leaks, and says so at length


def configured(app: FastAPI, http: HttpSettings) -> uvicorn.Config:
    """Return how the pages are served: nobody is believed about who asks unless named."""
    return uvicorn.Config(
        app,
        host=http.host,
        port=http.port,
        http=Patient,
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        lifespan="off",
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=[str(each) for each in http.trusted_proxies],
    )


async def serve(settings: Settings, now: Now) -> None:
    """Serve until told to stop."""
    check_http(settings.http)
    stop = stop_on_signals()
    async with serving(settings, now) as (service, server):
        if not sys.stderr.isatty():  # else it means that the terminal was closed
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, service.policy.look_now)
        pages = asyncio.create_task(server.serve(), name="pages")
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((pages, stopped), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopped.cancel()
        await pages


def check_http(http: HttpSettings) -> None:
    check_free(
        http.host,
        http.port,
        "console and API",
        "Set CHARGEWATCH_HTTP__PORT (demo: --http-port) to another port, or 0 for any.",
    )


def set_up_log(form: str, *, quiet: bool = False) -> None:
    """Write the log to standard error, for people or for machines."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            one_line_each,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.ERROR if quiet else logging.INFO
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def one_line_each(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Keep what strangers wrote from beginning a line of its own, or steering a terminal."""
    return {
        name: one_line(value) if isinstance(value, str) else value
        for name, value in line.items()
    }


def spare_the_collector() -> None:
    """Let the cyclic garbage collector look rarely, and never at what lives for ever.

    The hot path makes no cycles; each look cost an alarm its milliseconds, and all of them
    7 % of the throughput (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def main_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop, whose sockets are about twice as fast as asyncio's own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
