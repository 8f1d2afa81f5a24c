"""The message catalogue: keys in, words of one language out, with its numbers and times."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, get_timezone_name
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.units import format_unit

from ingest.registry import Name

LOCALE = Path(__file__).with_name("locale")
DEFAULT = "zh"
LANGUAGES = {"zh": "zh_Hans_CN", "en": "en_GB"}
"""Each language and whose dates and numbers it is written with (both count to 24 hours)."""

UNIT_LENGTH = {"zh": "short", "en": "long"}
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
BLANK = "\N{REPLACEMENT CHARACTER}"


def plain(text: str) -> str:
    """Return `text` with every control and formatting character made visible.

    What a stranger wrote can then neither break a mail header nor reorder a line.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else BLANK for char in text)


class Texts:
    """The words of one language; `Texts.of` is how to come by them."""

    def __init__(self, lang: str, messages: Mapping[str, str]) -> None:
        self.lang = lang
        self.messages = messages
        self._locale = LANGUAGES[lang]

    @staticmethod
    def of(lang: str) -> "Texts":
        """Return the words of a language; its file is read once."""
        return _texts(lang)

    def __call__(self, key: str, /, **params: object) -> str:
        """Return the words for `key`; a key that is not in the catalogue is a KeyError.

        Parameters are put in as plain text: what a device wrote stays what it wrote.
        """
        words = self.messages[key]
        if not params:
            return words
        return words.format(**{name: _plain_if_text(value) for name, value in params.items()})

    def word(self, family: str, word: str) -> str:
        """Return the words for a word of the code, or, where there are none, itself."""
        return self.messages.get(f"{family}.{word}") or plain(word)

    def name(self, name: Name) -> str:
        return plain(name.zh if self.lang == "zh" else name.en)

    def number(self, value: float, unit: str = "", places: int = 1) -> str:
        """Return a number as it is written in this language, with its unit."""
        number = format_decimal(
            value, "#,##0." + "#" * places if places else "#,##0", locale=self._locale
        )
        return self("value.with_unit", number=number, unit=unit) if unit else number

    def span(self, span: timedelta, *, short: bool = False, units: int = 2) -> str:
        """Return a length of time in its largest units: 1 hour 5 minutes."""
        length = "short" if short else UNIT_LENGTH[self.lang]
        rest = max(0, round(span.total_seconds()))
        parts: list[str] = []
        for unit, seconds in UNITS:
            count, rest = divmod(rest, seconds)
            if count or (unit == "second" and not parts):
                parts.append(
                    format_unit(count, f"duration-{unit}", length=length, locale=self._locale)  # type: ignore[arg-type]
                )
            elif parts:
                break  # 1 hour and 5 seconds is 1 hour
        return " ".join(parts[:units])

    def ago(self, moment: datetime, now: datetime) -> str:
        """Return how long ago it was, in the largest unit only."""
        seconds = (now - moment).total_seconds()
        if seconds < 1:
            return self("just_now")
        size = next(size for _, size in UNITS if seconds >= size)
        whole = timedelta(seconds=seconds // size * size)
        return self("ago", span=self.span(whole, short=True))

    def moment(self, moment: datetime, zone: ZoneInfo) -> str:
        """Return date and time on that zone's clock; the zone must be named nearby."""
        return format_datetime(moment, "medium", tzinfo=zone, locale=self._locale)

    def zoned(self, moment: datetime, zone: ZoneInfo) -> str:
        """Return date and time with the name of the zone."""
        there = self.zone(zone, moment)
        return self("moment.zoned", moment=self.moment(moment, zone), zone=there)

    def zone(self, zone: ZoneInfo, moment: datetime) -> str:
        """Return the name of a zone, and its offset at that moment."""
        local = moment.astimezone(zone)
        name = get_timezone_name(local, "long", locale=self._locale)
        return self("zone.named", name=name, offset=local.isoformat()[-6:])


def _plain_if_text(value: object) -> object:
    return plain(value) if isinstance(value, str) else value


@cache
def _texts(lang: str) -> Texts:
    path = LOCALE / lang / "LC_MESSAGES" / "chargewatch.po"
    with path.open("rb") as file:
        found = read_po(file, locale=LANGUAGES[lang])
    return Texts(
        lang, {str(m.id): str(m.string) for m in found if isinstance(m.id, str) and m.id}
    )
