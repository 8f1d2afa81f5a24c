"""The quarantine's page: reasons in words, payloads that are seen and do nothing."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.payload import payload_shown
from api.console.quarantine import REFUSED_PER_PAGE
from api.text import LANGUAGES, Texts
from ingest.ledger.writing import QUARANTINE_PAYLOAD_BYTES_MAX
from ingest.people import Role
from ingest.wire import Refusal
from tests.http_doubles import (
    PAGE,
    PILE,
    READ_TOKEN,
    Client,
    World,
    log_in,
    log_in_as,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

OWN = f"chargewatch/v1/{PILE}/telemetry"
WICKED = '</pre><img src=x onerror="document.title=1">{{7919*7907}}'


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_says_what_it_means_and_what_to_do(lang: str) -> None:
    say = Texts.of(lang)
    for reason in Refusal:
        for part in ("", ".text", ".todo"):
            assert f"refusal.{reason}{part}" in say.messages


# --- payloads --------------------------------------------------------------------------------


def test_text_is_text_with_what_cannot_be_seen_made_visible() -> None:
    shown = payload_shown("{\n\t\x00\x1b\x7f桩\u202e}".encode(), 11)
    assert shown.encoding == "text"
    assert shown.shown == "{\n\t⟨U+0000⟩⟨U+001B⟩⟨U+007F⟩桩⟨U+202E⟩}"


def test_what_is_no_text_is_dumped_eight_bytes_a_line() -> None:
    shown = payload_shown(b"\xff\x00chargewatch", 13)
    assert shown.encoding == "hex"
    assert shown.shown.splitlines() == [
        "0000  ff 00 63 68 61 72 67 65  ··charge",
        "0008  77 61 74 63 68           watch",
    ]
    assert not shown.is_cut


def test_a_character_that_was_cut_in_two_makes_no_text_binary() -> None:
    whole = "充电桩".encode()
    assert payload_shown(whole[:-1], len(whole)).shown == "充电"
    assert payload_shown(whole[:-1], len(whole)).is_cut
    assert payload_shown(whole[:-1], len(whole) - 1).encoding == "hex"
    assert payload_shown(b"\xffab" + whole[:-1], 100).encoding == "hex"


@given(st.binary(max_size=200), st.integers(0, 10))
def test_any_bytes_can_be_shown_and_none_of_them_acts(payload: bytes, more: int) -> None:
    shown = payload_shown(payload, len(payload) + more)
    assert all(char.isprintable() or char in "\n\t" for char in shown.shown)


# --- the page --------------------------------------------------------------------------------


def test_a_message_is_shown_with_its_reason_its_sender_and_its_text(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.refuse(OWN, WICKED.encode(), "not_json", WICKED))
    log_in(client)
    page = client.get("/quarantine?lang=en", headers=PAGE).text
    assert f'<a href="/stations/xuhui/renmin-lu">{PILE}</a>' in page
    assert "&lt;/pre&gt;&lt;img src=x" in page
    assert "<img" not in page.partition("<main")[2]
    assert "62615533" not in page
    assert "often cut off" in page


def test_a_sender_that_nobody_knows_is_said_to_be_unknown(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    for topic in ("chargewatch/v1/xuhui/renmin-lu/pile-77/event", "x/y", "", WICKED):
        runner.run(here.refuse(topic, b"", "unknown_topic"))
    log_in(client)
    page = client.get("/quarantine?lang=en", headers=PAGE).text
    assert page.count("of no device that is known") == 4


def test_a_sender_in_a_foreign_area_is_not_named(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.refuse(OWN, b"{", "not_json"))
    runner.run(here.add(somebody("w", Role.TESTER, frozenset({"berlin"})), "a long phrase"))
    assert log_in_as(client, "w", "a long phrase").status_code == 303
    page = client.get("/quarantine", headers=PAGE).text
    assert 'href="/stations/xuhui' not in page


def test_reasons_are_counted_and_chosen_and_pages_turned(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    assert "没有被隔离的消息" in client.get("/quarantine", headers=PAGE).text
    for number in range(REFUSED_PER_PAGE + 1):
        runner.run(here.refuse("t", f"m{number}".encode(), "not_json"))
    runner.run(here.refuse("t", b"other", "too_deep"))
    page = client.get("/quarantine", headers=PAGE).text
    assert "other" in page
    assert ">m30<" in page
    page = client.get("/quarantine?reason=not_json", headers=PAGE).text
    assert "other" not in page
    [older] = re.findall(r'href="(/quarantine\?before_id=\d+&amp;reason=not_json)"', page)
    last = client.get(older.replace("&amp;", "&"), headers=PAGE).text
    assert ">m0<" in last
    assert ">m1<" not in last
    assert client.get("/quarantine?reason=nothing", headers=PAGE).status_code == 422


def test_what_was_kept_is_saved_as_it_was_and_never_opened(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    sent = b"<script>alert(1)</script>" + bytes(range(256)) * 40
    runner.run(here.refuse("t", sent, "not_utf8"))
    log_in(client, READ_TOKEN)
    assert "仅保留前 4,096 字节" in client.get("/quarantine", headers=PAGE).text
    saved = client.get("/quarantine/1/payload", headers=PAGE)
    assert saved.content == sent[:QUARANTINE_PAYLOAD_BYTES_MAX]
    assert saved.headers["content-type"] == "application/octet-stream"
    assert saved.headers["content-disposition"] == 'attachment; filename="quarantine-1.bin"'
    assert saved.headers["x-content-type-options"] == "nosniff"
    assert client.get("/quarantine/2/payload", headers=PAGE).status_code == 404
