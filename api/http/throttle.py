"""Who must wait: back-off for those who guess, and buckets for those who ask too much.

Both measure with a clock that only runs forward, and remember a bounded number of callers.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

import msgspec

Monotonic = Callable[[], float]

TRIES_FREE = 3
BACK_OFF_S_MAX = 900.0
ACCOUNT_BACK_OFF_S_MAX = 60.0
"""Shorter: whoever an account belongs to must find a moment, whatever strangers do."""
FORGET_S = 3_600.0
KEYS_MAX = 10_000
V6_NETWORK_BITS = 64
"""What one subscriber is given; the rest of an address they choose at will."""


class Failures(msgspec.Struct):
    count: int = 0
    last_s: float = 0.0


class Throttle:
    """Makes whoever guesses wait: three tries are free, then 2, 4, 8 … seconds, per key."""

    def __init__(self, monotonic_s: Monotonic, pause_s_max: float = BACK_OFF_S_MAX) -> None:
        self._clock, self._pause_s_max = monotonic_s, pause_s_max
        self._failures: OrderedDict[str, Failures] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Return how long this one must wait before the next try; 0: not at all."""
        known = self._failures.get(key)
        if known is None or known.count < TRIES_FREE:
            return 0.0
        pause = min(2.0 ** min(known.count - TRIES_FREE + 1, 20), self._pause_s_max)
        return max(0.0, known.last_s + pause - self._clock())

    def failed(self, key: str) -> None:
        now = self._clock()
        known = self._failures.setdefault(key, Failures())
        known.count = 1 if now - known.last_s > FORGET_S else known.count + 1
        known.last_s = now
        self._failures.move_to_end(key)
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)


class Rate(msgspec.Struct, frozen=True):
    """So many at once, and so many a second for ever."""

    burst: float
    per_s: float


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What is normal use, many times over."""

    address: Rate = Rate(600, 60)
    """All requests of an address: a police station's browsers may share one."""
    caller: Rate = Rate(300, 30)
    """Requests of the API and of pages by one person or token."""
    change: Rate = Rate(60, 3)
    """Requests of an address that change something."""
    entry: Rate = Rate(30, 0.5)
    """Requests of an address that may be guesses: logins and links."""
    trying: Rate = Rate(3, 0.05)
    """Test messages to one person or post: somebody's telephone rings."""


class Buckets:
    """A bucket of tokens for each key."""

    def __init__(self, rate: Rate, monotonic_s: Monotonic) -> None:
        self._rate, self._clock = rate, monotonic_s
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Take one; return 0, or how long it takes until there is one again."""
        rate, now = self._rate, self._clock()
        level, at = self._levels.get(key, (rate.burst, now))
        level = min(rate.burst, level + (now - at) * rate.per_s)
        taken = level >= 1
        self._levels[key] = (level - 1 if taken else level, now)
        self._levels.move_to_end(key)
        while len(self._levels) > KEYS_MAX:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / rate.per_s


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the subscriber's network."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((known, V6_NETWORK_BITS), strict=False))
    return address


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
