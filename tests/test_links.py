import asyncio
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import cli
from api.link_keys import FILE_NAME, LinkKeysWrong, link_keys, read_keys, renew_key
from api.links import PATHS, TO_BYTES_MAX, Link, LinkKey, LinkRefused, Links, Purpose
from ingest.ledger.links import use_link, used_link
from ingest.ledger.store import open_ledger

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=24)
KEY = LinkKey(7, b"k" * 32)
LINKS = Links([KEY])

numbers = st.integers(0, 2**40 - 1)
texts = st.text(max_size=TO_BYTES_MAX // 4)
purposes = st.sampled_from(Purpose)


def token_of(path: str) -> str:
    return path.rpartition("/")[2]


def made(to: str = "person:li.wei", purpose: Purpose = Purpose.ALERT) -> str:
    return token_of(LINKS.make(purpose, 4711, to, LATER))


@given(purposes, numbers, texts)
def test_a_link_says_what_was_put_into_it(purpose: Purpose, subject: int, to: str) -> None:
    path = LINKS.make(purpose, subject, to, LATER)
    expected = Link(purpose=purpose, subject=subject, to=to, ends_at=LATER)
    assert path.startswith(PATHS[purpose])
    assert LINKS.read(token_of(path), purpose, NOON) == expected


@given(st.data())
def test_a_link_with_any_character_changed_is_wrong(data: st.DataObject) -> None:
    token = made(data.draw(texts))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FFF).filter(lambda c: c != token[at]))
    changed = token[:at] + other + token[at + 1 :]
    assert LINKS.read(changed, Purpose.ALERT, NOON) is LinkRefused.WRONG


@given(st.data())
def test_a_link_that_is_shorter_or_longer_is_wrong(data: st.DataObject) -> None:
    token = made(data.draw(texts))
    cut = data.draw(st.integers(0, len(token) - 1))
    more = data.draw(st.text(min_size=1, max_size=5))
    for wrong in (token[:cut], token + more, more + token, f"{token}="):
        assert LINKS.read(wrong, Purpose.ALERT, NOON) is LinkRefused.WRONG


@given(st.text(max_size=200))
def test_anything_else_is_wrong_and_never_an_error(text: str) -> None:
    assert LINKS.read(text, Purpose.ALERT, NOON) is LinkRefused.WRONG


def test_a_link_for_one_purpose_opens_nothing_else() -> None:
    assert LINKS.read(made(purpose=Purpose.CHECK), Purpose.ALERT, NOON) is LinkRefused.WRONG


def test_a_link_ends_to_the_minute() -> None:
    token = made()
    before = LATER - timedelta(microseconds=1)
    assert isinstance(LINKS.read(token, Purpose.ALERT, before), Link)
    assert LINKS.read(token, Purpose.ALERT, LATER) is LinkRefused.EXPIRED


def test_a_link_lasts_no_shorter_than_was_promised() -> None:
    path = LINKS.make(Purpose.ALERT, 1, "", LATER + timedelta(seconds=1))
    assert isinstance(LINKS.read(token_of(path), Purpose.ALERT, LATER), Link)


def test_a_link_that_expired_and_was_forged_is_wrong() -> None:
    forged = Links([LinkKey(7, b"x" * 32)]).make(Purpose.ALERT, 1, "", NOON)
    assert LINKS.read(token_of(forged), Purpose.ALERT, LATER) is LinkRefused.WRONG


def test_a_link_is_short_enough_for_a_text_message() -> None:
    path = LINKS.make(Purpose.CHECK, 2**40 - 1, "x" * 29, LATER)
    assert len(path) <= 80
    assert len(LINKS.make(Purpose.ALERT, 10**9, "12345678", LATER)) <= 50


def test_the_longest_link_is_read_like_any_other() -> None:
    token = token_of(LINKS.make(Purpose.CHECK, 2**40 - 1, "x" * TO_BYTES_MAX, LATER))
    assert isinstance(LINKS.read(token, Purpose.CHECK, NOON), Link)


def test_what_does_not_fit_into_a_link_is_refused() -> None:
    for subject, to in ((-1, ""), (2**40, ""), (1, "x" * (TO_BYTES_MAX + 1))):
        with pytest.raises(ValueError, match="no link holds"):
            LINKS.make(Purpose.ALERT, subject, to, LATER)
    with pytest.raises(ValueError, match="need a key"):
        Links([])


# --- keys ------------------------------------------------------------------------------------


def test_the_first_start_makes_a_key_that_only_we_can_read(tmp_path: Path) -> None:
    [key] = link_keys(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert link_keys(tmp_path) == (key,)
    assert key.secret.hex() not in repr(key)


def test_a_new_key_leaves_links_of_the_one_before_good_and_older_ones_not(
    tmp_path: Path,
) -> None:
    token = token_of(Links(link_keys(tmp_path)).make(Purpose.ALERT, 1, "", LATER))
    renewed = renew_key(tmp_path)
    assert len(renewed) == 2
    assert isinstance(Links(renewed).read(token, Purpose.ALERT, NOON), Link)
    again = Links(renew_key(tmp_path))
    assert again.read(token, Purpose.ALERT, NOON) is LinkRefused.WRONG


def test_two_hundred_and_sixty_keys_later_the_numbers_begin_anew(tmp_path: Path) -> None:
    for _ in range(260):
        renew_key(tmp_path)
    assert [key.number for key in read_keys(tmp_path)] == [2, 3]


@pytest.mark.parametrize(
    "text", ["", "0\n", "0 abc\n", f"256 {'00' * 32}\n", f"0 {'00' * 8}\n"]
)
def test_a_file_of_keys_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(LinkKeysWrong, match="each line"):
        read_keys(tmp_path)


def test_a_file_of_keys_that_others_may_read_is_refused(tmp_path: Path) -> None:
    link_keys(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o644)
    with pytest.raises(LinkKeysWrong, match="chmod 600"):
        link_keys(tmp_path)


# --- used ----------------------------------------------------------------------------------


def test_a_link_is_used_once_and_the_ledger_says_by_whom(tmp_path: Path) -> None:
    with asyncio.Runner() as runner, closing(open_ledger(tmp_path / "ledger.sqlite")) as ledger:
        assert runner.run(ledger.read(lambda c: used_link(c, "a1:x"))) is None
        assert runner.run(ledger.write(lambda c: use_link(c, "a1:x", "li.wei", NOON)))
        assert not runner.run(ledger.write(lambda c: use_link(c, "a1:x", "wang", LATER)))
        used = runner.run(ledger.read(lambda c: used_link(c, "a1:x")))
    assert used is not None
    assert (used.by, used.at) == ("li.wei", NOON)


def test_the_command_makes_a_new_key_and_never_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(tmp_path))
    said = CliRunner().invoke(cli.app, ["renew-links"])
    assert said.stdout == f"{tmp_path / FILE_NAME}\n"
    assert len(read_keys(tmp_path)) == 1
