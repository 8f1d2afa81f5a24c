"""The words of the dashboards: keys in, words of one language out.

A catalogue of its own, gettext like the service's: what Grafana shows is fixed when it is
built, and this package imports nothing of api.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LOCALE = Path(__file__).with_name("locale")
LANGUAGES = ("zh", "en")
"""The first is the one that is shown if nobody asks for another."""


class Words:
    """The words of one language; a key that is not in the catalogue is a KeyError."""

    def __init__(self, lang: str, messages: Mapping[str, str]) -> None:
        self.lang = lang
        self.messages = messages

    def __call__(self, key: str) -> str:
        return self.messages[key]

    def family(self, family: str) -> dict[str, str]:
        """Return all words of a family: of `rule`, those of each rule by its name."""
        start = f"{family}."
        return {
            key.removeprefix(start): words
            for key, words in self.messages.items()
            if key.startswith(start)
        }


@cache
def words_of(lang: str) -> Words:
    """Return the words of a language; its file is read once."""
    with (LOCALE / lang / "LC_MESSAGES" / "dashboards.po").open("rb") as file:
        found = read_po(file, locale=lang)
    return Words(
        lang, {str(m.id): str(m.string) for m in found if isinstance(m.id, str) and m.id}
    )
