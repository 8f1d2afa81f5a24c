"""Photos from people's phones, made anew: upright, small, and without a word about whose.

What arrives may be anything that calls itself a picture. It is looked at before it is unpacked,
unpacked beside the loop, one at a time, and what is kept is a JPEG of ours: no position, no
serial number, and nothing that is hidden behind the pixels comes along.
"""

import asyncio
import io
import warnings
from collections.abc import Callable
from enum import StrEnum

import msgspec
from PIL import Image, ImageOps

from ingest.errors import ChargewatchError

FORMATS = ("JPEG", "PNG", "WEBP")
BYTES_MAX = 8 * 1024 * 1024
PIXELS_MAX = 40_000_000
"""A telephone's largest; four bytes each while it is unpacked."""
SIDE_MAX = 1600
QUALITIES = (82, 65, 45, 25, 10)
"""The first that is small enough; only pure noise comes to the last ones."""
JPEG_BYTES_MAX = 1024 * 1024
WITHIN_S = 10.0
WAITING_MAX = 8
WHITE = (255, 255, 255)


class Why(StrEnum):
    """Why a photo was not taken; `photo.{why}` in the catalogue."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    NO_PICTURE = "no_picture"
    TOO_SLOW = "too_slow"
    BUSY = "busy"


class PhotoRefused(ChargewatchError):
    def __init__(self, why: Why) -> None:
        super().__init__(f"the photo was not taken: {why}")
        self.why = why


class Photograph(msgspec.Struct, frozen=True):
    """A JPEG that we made."""

    jpeg: bytes
    width: int
    height: int


Develop = Callable[[bytes], Photograph]


def developed(raw: bytes) -> Photograph:
    """Make a photo anew. Raises PhotoRefused for whatever is no picture, or too large a one."""
    if not raw:
        raise PhotoRefused(Why.EMPTY)
    if len(raw) > BYTES_MAX:
        raise PhotoRefused(Why.TOO_LARGE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, which is thrown away anyway
            with Image.open(io.BytesIO(raw), formats=FORMATS) as picture:
                fits = picture.width * picture.height <= PIXELS_MAX
                made = _made_anew(picture) if fits else None
    except Image.DecompressionBombError as error:
        raise PhotoRefused(Why.TOO_MANY_PIXELS) from error
    except Exception as error:  # a decoder meets anything at all, and raises what it likes
        raise PhotoRefused(Why.NO_PICTURE) from error
    if made is None:
        raise PhotoRefused(Why.TOO_MANY_PIXELS)
    return made


def _made_anew(picture: Image.Image) -> Photograph:
    picture.draft("RGB", (SIDE_MAX, SIDE_MAX))  # a large JPEG is unpacked at half its size
    upright = ImageOps.exif_transpose(picture)
    upright.thumbnail((SIDE_MAX, SIDE_MAX))
    # Onto a sheet of our own: only pixels go over, and what is see-through gets white behind.
    sheet = Image.new("RGB", upright.size, WHITE)
    clear = upright.has_transparency_data
    sheet.paste(upright.convert("RGBA" if clear else "RGB"), mask=_mask(upright, clear=clear))
    tries = (_written(sheet, quality) for quality in QUALITIES)
    jpeg = next((each for each in tries if len(each) <= JPEG_BYTES_MAX), None)
    if jpeg is None:
        raise ValueError("it cannot be made small enough")
    return Photograph(jpeg, *sheet.size)


def _written(sheet: Image.Image, quality: int) -> bytes:
    written = io.BytesIO()
    sheet.save(written, "JPEG", quality=quality, optimize=True)
    return written.getvalue()


def _mask(picture: Image.Image, *, clear: bool) -> Image.Image | None:
    return picture.convert("RGBA").getchannel("A") if clear else None


class Darkroom:
    """Makes photos anew beside the loop, one at a time: alarms go on."""

    def __init__(self, develop: Develop = developed, within_s: float = WITHIN_S) -> None:
        self._develop, self._within_s = develop, within_s
        self._place = asyncio.Semaphore(1)
        self._waiting = 0

    async def develop(self, raw: bytes) -> Photograph:
        """Raises PhotoRefused, soon: a picture that takes too long is left to itself."""
        if self._waiting >= WAITING_MAX:
            raise PhotoRefused(Why.BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._within_s):
                await self._place.acquire()
                work = asyncio.create_task(asyncio.to_thread(self._develop, raw))
                # A thread cannot be stopped: its place is free when it has ended, not before.
                work.add_done_callback(self._free)
                return await asyncio.shield(work)
        except TimeoutError as error:
            raise PhotoRefused(Why.TOO_SLOW) from error
        finally:
            self._waiting -= 1

    def _free(self, work: "asyncio.Task[Photograph]") -> None:
        self._place.release()
        if not work.cancelled():
            work.exception()  # seen: whoever waited has it, or has gone
