"""A test message by one way, to see what the receiver answers."""

from datetime import datetime

import msgspec

from api.channels import DeliveryFailed, Notice
from api.channels.ways import WayNotSetUp
from api.text import Texts
from api.watch import WaysHere
from ingest.people import Way
from rules.alerts import Transition
from rules.verdict import Severity


class Tried(msgspec.Struct, frozen=True):
    told: bool
    said: str
    """What the receiver answered, or why it could not be asked."""


async def tried(ways: WaysHere, way: Way, recipient: str, notice: Notice) -> Tried:
    """Send a test message, once. It ends when the receiver has answered, or after 10 s."""
    try:
        receipt = await ways.channel_for(way, recipient).send(notice)
    except WayNotSetUp as error:
        return Tried(told=False, said=str(error))
    except DeliveryFailed as failure:
        return Tried(told=False, said=failure.reason)
    return Tried(told=True, said=receipt)


def notice_of_a_test(
    recipient: str, language: str, who: str, console_url: str, now: datetime
) -> Notice:
    """Return what it says: that it is a test, and who wanted it.

    It is as grave as what rings, or a telephone would not be called.
    """
    say = Texts.of(language)
    key = f"try:{recipient}:{int(now.timestamp() * 1_000_000)}"
    return Notice(
        idempotency_key=key,
        episode=key,
        transition=Transition.FIRING,
        rule="try",
        severity=Severity.CRITICAL,
        area="",
        site="",
        device="",
        channel=None,
        at=now,
        began_at=now,
        language=language,
        title=say("people.try.title"),
        text=say("people.try.text", who=who),
        evidence={},
        console_url=console_url,
        drill=True,
    )
