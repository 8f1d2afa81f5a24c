"""Common to all answers."""

from pydantic import BaseModel, ConfigDict, JsonValue

from ingest.registry import Name

NAME_CHARS_MAX = 400
"""Area, site and device, each at most 128 characters, or a foreign device's whole topic."""
LIMIT_MAX = 1_000

WHEN = "2026-11-23T14:33:26Z"
"""In examples."""

Value = bool | float | str


class Shape(BaseModel):
    """An answer: what it says does not change after it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def shown(example: dict[str, JsonValue]) -> ConfigDict:
    """Return the configuration of a shape with an example for its readers."""
    return ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [example]})


class Names(Shape):
    """What people call it, in both languages."""

    zh: str
    en: str

    @classmethod
    def of(cls, name: Name) -> "Names":
        return cls(zh=name.zh, en=name.en)
