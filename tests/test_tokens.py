"""The tokens file: made once, read only if nobody else can."""

import stat
from pathlib import Path

import pytest

from api.tokens import FILE_NAME, Token, TokensFileWrong, add_token, read_tokens


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610, 0o602])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    add_token(tmp_path, "desk", "read")
    path = tmp_path / FILE_NAME
    path.chmod(mode)
    with pytest.raises(TokensFileWrong, match=f"chmod 600 {path}"):
        read_tokens(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["desk read\n", "desk read abc def\n", "desk admin abc\n", "desk  \n", "\xff read abc\n"],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(TokensFileWrong, match=r"each line is NAME read\|write TOKEN"):
        read_tokens(tmp_path)


def test_there_are_none_before_the_first() -> None:
    assert read_tokens(Path("/nowhere/at/all")) == ()


def test_a_token_is_made_where_only_we_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    token = add_token(folder, "desk", "read")
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert read_tokens(folder) == (token,)
    assert len(token.secret) >= 32


def test_a_second_token_leaves_the_first_and_differs(tmp_path: Path) -> None:
    first = add_token(tmp_path, "desk", "read")
    second = add_token(tmp_path, "patrol", "write")
    assert read_tokens(tmp_path) == (first, second)
    assert first.secret != second.secret


def test_a_name_that_is_known_keeps_its_token(tmp_path: Path) -> None:
    first = add_token(tmp_path, "desk", "read")
    assert add_token(tmp_path, "desk", "write") == first
    assert read_tokens(tmp_path) == (first,)


def test_blank_lines_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("\ndesk read abc\n\n  \n")
    path.chmod(0o600)
    assert read_tokens(tmp_path) == (Token("desk", "read", "abc"),)
