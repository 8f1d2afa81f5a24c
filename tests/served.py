"""The application of the small world, served over a real socket by the server we ship."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

from api.http.access import Caller
from api.http.people_tokens import LASTS_MAX
from api.http.throttle import Rate, Rates
from api.ports import free_port
from api.serving import configured
from api.settings import HttpSettings
from ingest.people import Person
from rules.readings import Reading
from tests.brokers import HOST
from tests.http_doubles import PILE, SMOKE, TOKENS, World, world

T = TypeVar("T")
MUCH = Rate(1e9, 1e9)
UNHURRIED = Rates(address=MUCH, caller=MUCH, change=MUCH, entry=MUCH)
STARTS_WITHIN_S = 30.0


class Served:
    """A world, and the loop on which its application runs, in a thread of its own."""

    def __init__(self, here: World) -> None:
        self.world = here
        self.app: FastAPI = here.app_for(TOKENS, UNHURRIED)
        http = HttpSettings(host=HOST, port=free_port())
        self.url = f"http://{HOST}:{http.port}"
        self._server = uvicorn.Server(configured(self.app, http))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve)

    def begin(self) -> None:
        self._thread.start()
        self.run(self._started())

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop of the application."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTS_WITHIN_S)

    def token_of(self, person: Person) -> str:
        """Make somebody known, and return a token with all that they may."""
        self.run(self.world.add(person))
        caller = Caller.of_person(person)
        tokens = self.app.state.context.tokens
        _, secret = self.run(tokens.make(caller, "fuzz", caller.rights, LASTS_MAX))
        return str(secret)

    async def _started(self) -> None:
        while not self._server.started:  # noqa: ASYNC110  (uvicorn tells by nothing else)
            await asyncio.sleep(0.01)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Yield a world in which there was an overload and smoke, with its doors open."""
    with world(folder) as here:
        made = Served(here)
        made.begin()
        try:
            made.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
            made.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
            yield made
        finally:
            made.end()
