"""Keys as they are pressed, without waiting for Enter; also over ssh, in any terminal."""

import asyncio
import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

READ_BYTES = 64
ESCAPE = "\x1b"
ARROWS = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
}
NAMED = {"\t": "tab", "\r": "enter", "\n": "enter", "\x04": "q"}


def keys_in(said: str) -> Iterator[str]:
    """Yield the keys in what a terminal has sent: letters, and words for the others."""
    rest = said
    while rest:
        if rest[0] == ESCAPE:
            arrow = ARROWS.get(rest[1:3])
            if arrow is not None:
                yield arrow
                rest = rest[3:]
                continue
            return  # some other sequence: nothing that it means is wanted
        yield NAMED.get(rest[0], rest[0].lower())
        rest = rest[1:]


@contextmanager
def keyboard(terminal: int) -> Iterator["asyncio.Queue[str]"]:
    """Yield the queue of keys; afterwards the terminal is as it was, whatever happened."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Queue[str]()
    before = termios.tcgetattr(terminal)

    def read() -> None:
        said = os.read(terminal, READ_BYTES)
        if not said:  # the terminal is gone
            pressed.put_nowait("q")
            loop.remove_reader(terminal)
        for key in keys_in(said.decode(errors="ignore")):
            pressed.put_nowait(key)

    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
