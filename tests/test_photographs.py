"""Photos are made anew: whatever is no picture, or too much of one, is refused as a value."""

import asyncio
import io
import random
import struct
import threading
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from api import photographs
from api.photographs import (
    BYTES_MAX,
    JPEG_BYTES_MAX,
    SIDE_MAX,
    Darkroom,
    Photograph,
    PhotoRefused,
    Why,
    developed,
)

RED, BLUE = (200, 20, 20), (20, 20, 200)
SECRET = "31.2304N 121.4737E, telephone of Li Wei"


def encoded(picture: Image.Image, kind: str, **how: object) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, **how)
    return written.getvalue()


def opened(photo: Photograph) -> Image.Image:
    picture = Image.open(io.BytesIO(photo.jpeg))
    picture.load()
    return picture


def colour(picture: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    found = picture.getpixel(at)
    assert isinstance(found, tuple)
    return found


def why(raw: bytes) -> Why:
    with pytest.raises(PhotoRefused) as refused:
        developed(raw)
    return refused.value.why


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_of_each_kind_becomes_a_small_jpeg(kind: str) -> None:
    photo = developed(encoded(Image.new("RGB", (3200, 1000), RED), kind))
    assert (photo.width, photo.height) == (SIDE_MAX, 500)
    assert opened(photo).format == "JPEG"


def test_nothing_of_what_a_camera_wrote_beside_the_pixels_is_kept() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = SECRET
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (31.0, 13.0, 49.0)
    raw = encoded(
        Image.new("RGB", (64, 64), RED),
        "JPEG",
        exif=exif,
        comment=SECRET,
        icc_profile=b"cc" * 9,
    )
    assert SECRET.encode() in raw
    photo = developed(raw)
    assert SECRET.encode() not in photo.jpeg
    assert not opened(photo).getexif()
    assert not {"exif", "comment", "icc_profile", "xmp"} & set(opened(photo).info)


def test_words_in_a_png_are_not_kept() -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", SECRET)
    photo = developed(encoded(Image.new("P", (64, 64), 3), "PNG", pnginfo=words))
    assert SECRET.encode() not in photo.jpeg


def test_a_photo_that_was_taken_upright_is_upright() -> None:
    lying = Image.new("RGB", (60, 40), RED)
    lying.paste(BLUE, (0, 0, 30, 40))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned by a quarter, clockwise
    standing = opened(developed(encoded(lying, "JPEG", exif=exif, quality=95)))
    assert standing.size == (40, 60)
    top, bottom = colour(standing, (20, 5)), colour(standing, (20, 55))
    assert top[2] > top[0]
    assert bottom[0] > bottom[2]


def test_what_is_see_through_gets_white_behind_it() -> None:
    photo = developed(encoded(Image.new("RGBA", (32, 32), (0, 0, 0, 0)), "PNG"))
    assert min(colour(opened(photo), (16, 16))) > 250


def test_of_a_moving_picture_the_first_is_kept() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE)]
    raw = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    red, _, blue = colour(opened(developed(raw)), (16, 16))
    assert red > blue


def test_noise_is_kept_in_a_megabyte() -> None:
    noise = Image.frombytes(
        "RGB", (SIDE_MAX, SIDE_MAX), random.Random(1).randbytes(3 * SIDE_MAX**2)
    )
    assert len(developed(encoded(noise, "JPEG", quality=90)).jpeg) <= JPEG_BYTES_MAX


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "PDF", "ICO", "EPS", "JPEG2000"])
def test_other_kinds_of_files_are_no_pictures(kind: str) -> None:
    assert why(encoded(Image.new("RGB", (32, 32), RED), kind)) is Why.NO_PICTURE


@pytest.mark.parametrize(
    "raw",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"\xff\xd8\xff\xe0<html><script>alert(1)</script></html>",
        b"%!PS-Adobe-3.0\n(%pipe%id) (r) file\n",
        b"PK\x03\x04" + bytes(100),
        b"GIF89a" + bytes(100),
        b"\x00",
    ],
)
def test_what_calls_itself_a_picture_is_none(raw: bytes) -> None:
    assert why(raw) is Why.NO_PICTURE


def test_nothing_and_too_much_are_refused_unseen() -> None:
    assert why(b"") is Why.EMPTY
    assert why(b"\xff\xd8" + bytes(BYTES_MAX)) is Why.TOO_LARGE


def chunk(kind: bytes, body: bytes) -> bytes:
    end = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + end


def png_of(width: int, height: int) -> bytes:
    """Return a picture that says it is so large, and ends before its first row."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"")
    body = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    "size", [(30_000, 30_000), (10_000, 4_001), (2**31 - 1, 1), (65_000, 65_000)]
)
def test_a_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    assert why(png_of(*size)) is Why.TOO_MANY_PIXELS


def test_a_picture_that_ends_in_the_middle_is_none() -> None:
    whole = encoded(Image.effect_noise((300, 300), 90).convert("RGB"), "PNG")
    assert why(whole[: len(whole) // 2]) is Why.NO_PICTURE


def test_what_hangs_behind_a_picture_is_not_kept() -> None:
    script = b"<script>alert(document.cookie)</script>"
    for kind in ("JPEG", "PNG"):
        photo = developed(encoded(Image.new("RGB", (32, 32), RED), kind) + script)
        assert script not in photo.jpeg
        assert photo.jpeg.endswith(b"\xff\xd9")


@settings(max_examples=150)
@given(st.data())
def test_any_damage_gives_a_photo_or_a_refusal(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP"]))
    speckled = Image.frombytes("RGB", (40, 30), random.Random(1).randbytes(3 * 40 * 30))
    raw = bytearray(encoded(speckled, kind))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        photo = developed(bytes(raw))
    except PhotoRefused:
        return
    assert opened(photo).format == "JPEG"


# --- the darkroom -----------------------------------------------------------------------------


class Slow:
    """Develops when it is let, and remembers how many it was at once."""

    def __init__(self) -> None:
        self.go, self.at_once, self.most = threading.Event(), 0, 0
        self.began, self.begun = threading.Event(), 0

    def __call__(self, _: bytes) -> Photograph:
        self.begun += 1
        self.at_once += 1
        self.began.set()
        self.most = max(self.most, self.at_once)
        self.go.wait(10)
        self.at_once -= 1
        return Photograph(b"jpeg", 1, 1)


async def eventually_developed(room: Darkroom) -> Photograph:
    """Try as people do, until the place is free."""
    for _ in range(100):
        with suppress(PhotoRefused):
            return await room.develop(b"raw")
    raise AssertionError("the place was never free")


def test_photos_are_developed_one_at_a_time() -> None:
    async def scenario() -> None:
        slow = Slow()
        room = Darkroom(slow)
        slow.go.set()
        done = await asyncio.gather(*(room.develop(b"raw") for _ in range(5)))
        assert len(done) == slow.begun == 5
        assert slow.most == 1

    asyncio.run(scenario())


def test_whoever_waits_too_long_is_told_so_and_the_next_is_served() -> None:
    async def scenario() -> None:
        slow = Slow()
        room = Darkroom(slow, within_s=0.05)
        with pytest.raises(PhotoRefused) as first:
            await room.develop(b"raw")
        with pytest.raises(PhotoRefused) as second:  # the place is still taken
            await room.develop(b"raw")
        assert (first.value.why, second.value.why) == (Why.TOO_SLOW, Why.TOO_SLOW)
        assert slow.begun == 1
        slow.go.set()
        assert await eventually_developed(room) == Photograph(b"jpeg", 1, 1)

    asyncio.run(scenario())


def test_too_many_at_once_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        slow = Slow()
        room = Darkroom(slow)
        first = asyncio.create_task(room.develop(b"raw"))
        await asyncio.to_thread(slow.began.wait, 10)
        with pytest.raises(PhotoRefused) as refused:
            await room.develop(b"raw")
        assert refused.value.why is Why.BUSY
        slow.go.set()
        await first

    monkeypatch.setattr(photographs, "WAITING_MAX", 1)
    asyncio.run(scenario())
