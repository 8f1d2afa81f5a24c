"""How a notice is put for chats and phones: escaped, cut to size, and with a look of its own.

Names, faults and notes come from devices and strangers. The chat programs' markup has no
escape that all their versions honour, so what could be markup is written with its full-width
twin: it looks the same, and means nothing to any of them.
"""

import re
from enum import StrEnum

from api.channels import Notice, one_line
from api.text import Texts
from ingest.post_checks import RULE
from rules.alerts import Transition
from rules.verdict import Severity

TITLE_BYTES_MAX = 1_200
"""Severity, rule and place: a site's and a device's name of 128 characters each fit in."""

_TWINS = str.maketrans('`*_~[]<>#|\\@&"', "｀＊＿～［］＜＞＃｜＼＠＆＂")
_ADDRESS = re.compile(r"://|(?<=www)\.", re.IGNORECASE)


class Look(StrEnum):
    """What tells notices apart at a glance; the value is the sign before the title."""

    EMERGENCY = "🚨"
    CRITICAL = "🔴"
    WARNING = "🟡"
    ESCALATED = "⏫"
    OVER = "✅"
    DRILL = "🧪"


def look_of(notice: Notice) -> Look:
    if notice.transition is Transition.RESOLVED:
        return Look.OVER
    if notice.drill:
        return Look.DRILL
    if notice.transition is Transition.ESCALATED:
        return Look.ESCALATED
    return {
        Severity.EMERGENCY: Look.EMERGENCY,
        Severity.CRITICAL: Look.CRITICAL,
        Severity.WARNING: Look.WARNING,
    }[notice.severity]


def defused(text: str) -> str:
    """Return `text` on one line, with nothing in it that any chat takes for markup.

    Neither is a link in it one that is made by its mere form.
    """
    twins = one_line(text, len(text)).translate(_TWINS)
    return _ADDRESS.sub(lambda found: "：//" if found[0] == "://" else "．", twins)


def title_of(notice: Notice, *, sign: bool = True) -> str:
    """Return the title, plain in every chat, with the look's sign: severity, rule, place."""
    title = cut(defused(notice.title), TITLE_BYTES_MAX, "…")
    return f"{look_of(notice)} {title}" if sign else title


def lines_of(notice: Notice) -> list[str]:
    """Return the explanation line by line, each of them plain in every chat."""
    return [line for each in notice.text.split("\n") if (line := defused(each))]


def answer_words(notice: Notice) -> str:
    """Return what a button says that leads to `answer_url`."""
    say = Texts.of(notice.language)
    if notice.rule == RULE:
        return say("ui.check.here")
    return say("notice.take" if notice.transition is Transition.HANDED else "notice.answer")


def links_of(notice: Notice) -> list[tuple[str, str]]:
    """Return what can be opened, with words: first what answers it, then the console."""
    own = [(answer_words(notice), notice.answer_url)] if notice.answer_url else []
    return [*own, (Texts.of(notice.language)("notice.open"), notice.console_url)]


def addresses_of(notice: Notice) -> str:
    """Return the lines with the addresses, for where there is no markup for links."""
    own = f"{answer_words(notice)} {notice.answer_url}\n" if notice.answer_url else ""
    return f"{own}{notice.console_url}"


def first_line_of(notice: Notice) -> str:
    """Return what was measured against what limit, for where there is no room for more."""
    return next(iter(lines_of(notice)), "")


def fitted(head: str, body: str, tail: str, bytes_max: int, notice: Notice) -> str:
    """Join the three; if that is too long the body is cut, and says so.

    Severity and place are in the head, the link is in the tail: those are not cut.
    """
    room = bytes_max - len(f"{head}{tail}".encode())
    return f"{head}{cut(body, room, Texts.of(notice.language)('notice.cut'))}{tail}"


def cut(text: str, bytes_max: int, mark: str) -> str:
    """Return `text` if it fits, else as many whole characters as fit before `mark`."""
    encoded = text.encode()
    if len(encoded) <= bytes_max:
        return text
    room = bytes_max - len(mark.encode())
    return encoded[: max(0, room)].decode(errors="ignore") + mark if room >= 0 else ""
