"""Bytes that a stranger sent, shown so that each can be seen and none does anything."""

from collections.abc import Iterator

import msgspec

BYTES_A_LINE = 8
"""Fits a telephone: offset, values and text beside each other."""
KEPT = "\n\t"
"""Control characters that are shown by what they do."""


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept of a payload, to look at."""

    encoding: str
    """`text`, or `hex` for what is none."""
    shown: str
    kept: int
    size: int

    @property
    def is_cut(self) -> bool:
        return self.kept < self.size


def payload_shown(payload: bytes, size: int) -> Payload:
    """Return text with its control characters by their numbers, or a dump of what is no text.

    What was cut in the middle of a character is text all the same.
    """
    text = _text(payload, is_cut=len(payload) < size)
    if text is None:
        shown, encoding = "\n".join(_dump(payload)), "hex"
    else:
        shown, encoding = "".join(map(_visible, text)), "text"
    return Payload(encoding=encoding, shown=shown, kept=len(payload), size=size)


def _text(payload: bytes, *, is_cut: bool) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        at_the_end = is_cut and error.end == len(payload) and error.reason.startswith("unexp")
        return payload[: error.start].decode() if at_the_end else None


def _visible(char: str) -> str:
    return char if char.isprintable() or char in KEPT else f"⟨U+{ord(char):04X}⟩"


def _dump(payload: bytes) -> Iterator[str]:
    for start in range(0, len(payload), BYTES_A_LINE):
        line = payload[start : start + BYTES_A_LINE]
        values = line.hex(" ").ljust(BYTES_A_LINE * 3 - 1)
        text = "".join(chr(byte) if " " <= chr(byte) <= "~" else "·" for byte in line)
        yield f"{start:04x}  {values}  {text}"
