"""Bodies of messages as a gateway wants them: JSON or a form, with places to fill in.

The places are `{number}`, `{title}`, `{text}` and `{key}`. Values are put into a body that was
parsed before, so that no text can change its form.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

PLACES = re.compile(r"\{(number|title|text|key)\}")
NEEDED = frozenset({"number", "text"})


class TemplateWrong(ValueError):
    """The body's template cannot be used; the message says why, and quotes none of it."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A body with places to fill in, parsed once."""

    parsed: Any
    form: bool

    @staticmethod
    def of(text: str, *, form: bool) -> "Template":
        """Parse a template. Raises TemplateWrong."""
        missing = NEEDED - set(PLACES.findall(text))
        if missing:
            raise TemplateWrong(f"has no {{{min(missing)}}}")
        try:
            parsed = (
                parse_qsl(text, keep_blank_values=True, strict_parsing=True)
                if form
                else msgspec.json.decode(text)
            )
        except (ValueError, msgspec.DecodeError) as error:
            raise TemplateWrong("is no form" if form else "is no JSON") from error
        return Template(parsed=parsed, form=form)

    @property
    def content_type(self) -> str:
        return "application/x-www-form-urlencoded" if self.form else "application/json"

    def filled(self, values: Mapping[str, str]) -> bytes:
        def put(text: str) -> str:
            return PLACES.sub(lambda place: values[place[1]], text)

        if self.form:
            return urlencode([(put(name), put(value)) for name, value in self.parsed]).encode()
        return msgspec.json.encode(_mapped(self.parsed, put))


def _mapped(value: Any, put: Callable[[str], str]) -> Any:
    match value:
        case str():
            return put(value)
        case list():
            return [_mapped(each, put) for each in value]
        case dict():
            return {name: _mapped(each, put) for name, each in value.items()}
        case _:
            return value
