"""Logins of the console: random ids in memory, and a back-off for those who guess.

Both measure with a clock of their own that only runs forward: a session lasts as long
when somebody sets the machine's clock, or when the demo runs at sixty times the speed.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from api.http.access import Caller

Monotonic = Callable[[], float]

SESSION_S = 12 * 3_600.0
SESSIONS_MAX = 1_000
"""The oldest give way; their people log in again."""

TRIES_FREE = 3
BACK_OFF_S_MAX = 900.0
FORGET_S = 3_600.0
ADDRESSES_MAX = 10_000


class Session(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    caller: Caller
    csrf: str
    """Must come with every post of this session."""
    ends_s: float

    def allows(self, csrf: str) -> bool:
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "replace"))


class Sessions:
    """Who is logged in. A restart logs everybody out."""

    def __init__(self, monotonic_s: Monotonic) -> None:
        self._clock = monotonic_s
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, caller: Caller) -> Session:
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.popitem(last=False)
        session = Session(
            id=secrets.token_urlsafe(32),
            caller=caller,
            csrf=secrets.token_urlsafe(32),
            ends_s=self._clock() + SESSION_S,
        )
        self._sessions[session.id] = session
        return session

    def find(self, number: str | None) -> Session | None:
        """Return a session that is not over."""
        session = self._sessions.get(number or "")
        if session is not None and session.ends_s <= self._clock():
            self.end(session.id)
            return None
        return session

    def end(self, number: str) -> None:
        self._sessions.pop(number, None)


class Failures(msgspec.Struct):
    count: int = 0
    last_s: float = 0.0


class Throttle:
    """Makes whoever guesses wait: three tries are free, then 2, 4, 8 … seconds, per address."""

    def __init__(self, monotonic_s: Monotonic) -> None:
        self._clock = monotonic_s
        self._failures: OrderedDict[str, Failures] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return how long this address must wait before its next try; 0: it need not."""
        known = self._failures.get(address)
        if known is None or known.count < TRIES_FREE:
            return 0.0
        pause = min(2.0 ** min(known.count - TRIES_FREE + 1, 20), BACK_OFF_S_MAX)
        return max(0.0, known.last_s + pause - self._clock())

    def failed(self, address: str) -> None:
        now = self._clock()
        known = self._failures.setdefault(address, Failures())
        known.count = 1 if now - known.last_s > FORGET_S else known.count + 1
        known.last_s = now
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        self._failures.pop(address, None)
