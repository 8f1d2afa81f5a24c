"""Everything that happened about an alert, as one list in the order of time.

The log tells what was decided and done, the outbox who was told of it, or why not.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain

import msgspec

from api.text import Texts
from api.text.explaining import device_label
from api.text.naming import named
from ingest.ledger.queries import DeliveryRow, EventRow
from ingest.people import Directory

TELLING = frozenset({"told", "told_in_digest", "spilled", "not_told"})
"""What the outbox knows better than the log."""
BY_PEOPLE = frozenset({"note", "photo", "taken", "handed"})
OURS = "chargewatch"
WITH_DETAIL = frozenset({"acknowledged"})
ENTRIES_MAX = 400
"""An alert that flaps for weeks has more; the newest are shown."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    look: str
    """A word for how it is marked in the list."""
    words: str
    who: str = ""
    note: str = ""
    """What somebody wrote, or a device or a provider answered: text of strangers."""


def timeline(
    log: Iterable[EventRow],
    deliveries: Iterable[DeliveryRow],
    directory: Directory,
    say: Texts,
) -> tuple[list[Happening], int]:
    """Return the newest of what happened, oldest first, and how much is left out."""
    sent = list(deliveries)
    told = {each.channel for each in sent}
    happened = (
        _happened(each, directory, say)
        for each in log
        if not (each.what in TELLING and each.who in told)
    )
    telling = (_telling(each, directory, say) for each in sent)
    found = sorted(chain(happened, telling), key=lambda each: each.at)
    return found[-ENTRIES_MAX:], max(0, len(found) - ENTRIES_MAX)


def _happened(event: EventRow, directory: Directory, say: Texts) -> Happening:
    if event.what in BY_PEOPLE:
        return _by_people(event, directory, say)
    say_it = _WORDS.get(event.what)
    if say_it is not None:
        note = event.detail if event.what in WITH_DETAIL else ""
        return Happening(at=event.at, look=event.what, words=say_it(event, say), note=note)
    if event.what.startswith("command_"):
        return _of_command(event, say)
    if event.what in {"latched", "latch_cleared"}:
        _, _, reason = event.detail.partition(": ")
        words = say.word("event", event.what)
        return Happening(at=event.at, look=event.what, words=words, who=event.who, note=reason)
    return Happening(
        at=event.at,
        look=event.what,
        words=say.word("event", event.what),
        who="" if event.who == OURS else event.who,
        note=_reason(event, say),
    )


def _by_people(event: EventRow, directory: Directory, say: Texts) -> Happening:
    """Return a note, a photo, a taking over, or a handing over ("to whom, and why")."""
    to, _, said = event.detail.partition(" ") if event.what == "handed" else ("", "", "")
    words = {"to": named(to, directory, say)} if to else {}
    return Happening(
        at=event.at,
        look=event.what,
        words=say(f"event.{event.what}.by", who=event.who, **words),
        note=said if to else "" if event.what == "photo" else event.detail,
    )


def _of_command(event: EventRow, say: Texts) -> Happening:
    """Return a step of a command; its log line is "switch_off c-…: why"."""
    named, _, detail = event.detail.partition(": ")
    action = named.partition(" ")[0]
    step = event.what.removeprefix("command_")
    key = f"timeline.{action}.{step}"
    words = say.messages.get(key) or say.word("event", event.what)
    if step == "failed":
        detail = say.word("rule.cut_failed.detail", detail) if detail else ""
    who = event.who if step in {"ordered", "answered"} else ""
    who = device_label(who) if "/" in who else who
    return Happening(
        at=event.at, look=f"{event.what} {action}", words=words, who=who, note=detail
    )


def _telling(row: DeliveryRow, directory: Directory, say: Texts) -> Happening:
    who = named(row.recipient, directory, say)
    words = say(
        f"timeline.{row.state}" if who else f"timeline.{row.state}.channel",
        who=who,
        channel=row.channel,
        what=say.word("state", row.transition),
    )
    why = say.word("reason", row.reason) if row.state != "told" else ""
    if row.attempts > 1:
        tries = say("ui.attempts", count=row.attempts)
        why = say("timeline.why", why=why, tries=tries) if why else tries
    note = " · ".join(filter(None, (why, row.receipt)))
    return Happening(
        at=row.told_at or row.created_at, look=f"telling {row.state}", words=words, note=note
    )


def _reason(event: EventRow, say: Texts) -> str:
    how, _, by = event.detail.partition(":")
    if event.what == "raised":
        return say.word("severity", event.detail)
    if event.what == "escalated":
        return say("timeline.tier", tier=event.detail.removeprefix("tier "))
    if event.what == "withheld" and how == "silenced":
        return say("remark.silenced", id=by)
    if event.what == "withheld" and by:
        return say("remark.inhibited", rule=say.word("rule", f"{by}.name"))
    return event.detail


_WORDS: dict[str, Callable[[EventRow, Texts], str]] = {
    "told": lambda e, say: say("event.told", who=e.who, detail=say.word("state", e.detail)),
    "told_in_digest": lambda e, say: say(
        "event.told_in_digest", who=e.who, detail=say.word("state", e.detail)
    ),
    "spilled": lambda e, say: say("event.spilled", who=e.who, detail=e.detail),
    "not_told": lambda e, say: say(
        "event.not_told", who=e.who, detail=say.word("reason", e.detail)
    ),
    "acknowledged": lambda e, say: say("event.acknowledged", who=e.who),
}
