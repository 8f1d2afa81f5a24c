"""How long a request may take to arrive, and how many connections one address may hold.

Without this, whoever sends a letter every minute keeps a connection for ever, and a thousand
of those keep everybody else out (Slowloris).
"""

import asyncio
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.throttle import is_loopback, network_of

HEAD_WITHIN_S = 10.0
WHOLE_WITHIN_S = 120.0
"""A photo from a telephone in a cellar takes its time."""
CONNECTIONS_MAX_EACH = 200
"""Of one address: a police station's browsers may share one. A browser has six."""
HEAD_BYTES_MAX = 32 * 1024

_COMING = frozenset({h11.IDLE, h11.SEND_BODY})


class Patient(H11Protocol):
    """Speaks HTTP with whoever comes to the point."""

    _limit: asyncio.TimerHandle | None = None
    _in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if self._too_many():
            self.transport.abort()
            return
        self._expect(HEAD_WITHIN_S)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        state = self.conn.their_state
        if state not in _COMING:
            self._forget()
        elif self._limit is None or (state is h11.SEND_BODY) is not self._in_body:
            self._in_body = state is h11.SEND_BODY
            self._expect(WHOLE_WITHIN_S if self._in_body else HEAD_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect(self, within_s: float) -> None:
        self._forget()
        self._limit = self.loop.call_later(within_s, self._give_up)

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _give_up(self) -> None:
        self._limit = None
        self.transport.abort()

    def _too_many(self) -> bool:
        """Say whether the address holds too much; a proxy speaks for many, and may."""
        if self.client is None or is_loopback(self.client[0]) or self.config.proxy_headers:
            return False
        place = network_of(self.client[0])
        ours = (each for each in self.connections if isinstance(each, Patient))
        held = sum(
            each.client is not None and network_of(each.client[0]) == place for each in ours
        )
        return held > CONNECTIONS_MAX_EACH
