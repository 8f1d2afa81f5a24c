"""What all settings share: parts are frozen, secrets are real, addresses are addresses."""

import re
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

PLACEHOLDERS = frozenset(
    {"change-me", "changeme", "change_me", "password", "secret", "admin", "test", "xxx", "todo"}
)
SECRET_CHARS_MIN = 12

Port = Annotated[int, Field(ge=1, le=65_535)]
OwnPort = Annotated[int, Field(ge=0, le=65_535)]
"""A port to listen on; 0: any that is free."""


EXAMPLE = re.compile(r"your[-_]|[…<>{}]")
"""What a token in an address never has."""


def real_secret(value: SecretStr | None) -> SecretStr | None:
    """Refuse what was left from an example, and what can be guessed."""
    if value is not None:
        text = value.get_secret_value()
        if text.lower() in PLACEHOLDERS or len(text) < SECRET_CHARS_MIN:
            raise ValueError(
                f"a placeholder, or shorter than {SECRET_CHARS_MIN} characters: make a real"
                " one, for example with `openssl rand -hex 24`"
            )
    return value


def real_address(value: SecretStr | None) -> SecretStr | None:
    """Refuse what is no web address, and an address with an example's token in it."""
    if value is None:
        return None
    try:
        address = urlsplit(value.get_secret_value())
    except ValueError:
        address = urlsplit("")
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError("it must begin with http(s)://host")
    parts = [*address.path.split("/"), *(token for _, token in parse_qsl(address.query))]
    for part in parts:
        word = part.lower()
        if word in PLACEHOLDERS or set(word) == {"x"} or EXAMPLE.search(word):
            raise ValueError("a placeholder is left in the address: put the real one there")
    return value


class Part(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
