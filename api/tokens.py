"""The tokens that open the API and the console: one line each in a file only we can read.

The first start makes one. There is no password from the factory, and nothing to forget to
change.
"""

import os
import re
import secrets
from pathlib import Path
from typing import Literal

import msgspec

from ingest.errors import ChargewatchError

TOKEN_BYTES = 24
FILE_NAME = "tokens"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Scope = Literal["read", "write"]


class TokensFileWrong(ChargewatchError):
    """The tokens file is readable by others, or not what it should be."""


class Token(msgspec.Struct, frozen=True):
    name: str
    scope: Scope
    secret: str


def read_tokens(data_dir: Path) -> tuple[Token, ...]:
    """Return the tokens there are; a file that others may read is refused."""
    path = data_dir / FILE_NAME
    if not path.exists():
        return ()
    if path.stat().st_mode & 0o077:
        raise TokensFileWrong(f"{path} may be read by others: chmod 600 {path}")
    try:
        return tuple(
            msgspec.convert(
                dict(zip(Token.__struct_fields__, line.split(), strict=True)), Token
            )
            for line in path.read_text().splitlines()
            if line.strip()
        )
    except (ValueError, msgspec.ValidationError) as error:
        raise TokensFileWrong(
            f"{path}: each line is NAME read|write TOKEN ({error})"
        ) from error


def add_token(data_dir: Path, name: str, scope: Scope) -> Token:
    """Make a new token and keep it; returns the one there is if the name is known."""
    if NAME.fullmatch(name) is None:
        raise TokensFileWrong(f"a token's name is 1 to 64 of A-Z a-z 0-9 _ . -, not {name!r}")
    tokens = read_tokens(data_dir)
    for token in tokens:
        if token.name == name:
            return token
    token = Token(name, scope, secrets.token_urlsafe(TOKEN_BYTES))
    data_dir.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{each.name} {each.scope} {each.secret}\n" for each in (*tokens, token))
    fresh = data_dir / f"{FILE_NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(lines)
    fresh.replace(data_dir / FILE_NAME)  # at once, or not at all
    return token
