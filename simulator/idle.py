"""What a pile says of its empty sockets, as bytes: most sockets are empty most of the time.

All of them show the mains and the warmth of the cabinet, and a trace of what flows beside
them. So their readings differ in two small figures, which are looked up. A test holds that
the bytes are those that the types of the wire format make.
"""

from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from simulator.mains import FULL_POWER_FACTOR
from simulator.meters import NOISE_W, Meter

NOISES = 4096
_made = Random("noise")  # noqa: S311
NORMAL = tuple(_made.gauss(0, 1) for _ in range(NOISES))
"""Draws from the normal distribution, to begin anywhere in: ten times as fast as drawing."""
TENTHS_MAX, HUNDREDTHS_MAX = 400, 200
"""Beyond 40 W, or 2 A, a socket is not empty; such a figure is made anew."""


def _shown(value: float) -> bytes:
    return msgspec.json.encode(value)


TENTHS = tuple(_shown(n / 10) for n in range(TENTHS_MAX))
HUNDREDTHS = tuple(_shown(n / 100) for n in range(HUNDREDTHS_MAX))


class Idle:
    """The empty sockets of one pile."""

    def __init__(self, meter: Meter, sockets: int) -> None:
        self._offset_w, self._crosstalk = meter.offset_w, meter.crosstalk
        self._tenths = meter.digits == 1
        self._heads = tuple(b'{"channel":%d,"power_w":' % n for n in range(sockets + 1))

    def say(  # noqa: PLR0913  (all that they share)
        self,
        said: list[bytes],
        energies: Mapping[int, bytes],
        powers_w: Sequence[float],
        first: int,
        *,
        shown_v: float,
        shown_c: float,
    ) -> None:
        """Put the reading of each of these sockets into `said`, at the place of its number.

        `energies` has what their meters show, `powers_w` what flows in all sockets, with one
        more on either side; the noise of a socket is `NORMAL[first + channel]`.
        """
        middle = b',"voltage_v":%b,"energy_kwh":' % _shown(shown_v)
        warm = _shown(shown_c)
        end = b',"relay_on":false,"device_temperature_c":%b,"port_state":"idle"}' % warm
        hundredths_a_w = 100 / (shown_v * FULL_POWER_FACTOR)
        offset_w, crosstalk, heads = self._offset_w, self._crosstalk, self._heads
        tenths = self._tenths
        for channel, energy in energies.items():
            beside_w = powers_w[channel - 1] + powers_w[channel + 1]
            ghost_w = offset_w + crosstalk * beside_w + NOISE_W * NORMAL[first + channel]
            if ghost_w < 0:
                ghost_w = 0.0
            n = int(ghost_w * 10 + 0.5) if tenths else int(ghost_w + 0.5) * 10
            m = int(ghost_w * hundredths_a_w + 0.5)
            watts = TENTHS[n] if n < TENTHS_MAX else _shown(n / 10)
            amps = HUNDREDTHS[m] if m < HUNDREDTHS_MAX else _shown(m / 100)
            said[channel] = b'%b%b,"current_a":%b%b%b%b' % (
                heads[channel],
                watts,
                amps,
                middle,
                energy,
                end,
            )
