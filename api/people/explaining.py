"""Who would be told of an alarm, tier by tier, and who of those named would not, and why."""

from collections.abc import Collection
from datetime import datetime

from msgspec.structs import replace

from api.routing import Case, Routing, routed
from ingest.people import Directory, Via
from rules.alerts import Transition


def by_tier(
    directory: Directory, case: Case, now: datetime, set_up: Collection[Via], tiers: int
) -> list[Routing]:
    """Return what happens when the alarm fires, and each time that nobody answers."""
    return [
        routed(
            directory,
            replace(
                case,
                tier=tier,
                transition=Transition.FIRING if tier == 1 else Transition.ESCALATED,
            ),
            now,
            set_up,
        )
        for tier in range(1, tiers + 1)
    ]


def name_of_recipient(directory: Directory, recipient: str, lang: str) -> str:
    """Return what people call `person:{id}` or `post:{id}`; empty: nobody knows."""
    kind, _, number = recipient.partition(":")
    if kind == "person" and number in directory.people:
        return directory.people[number].name
    if kind == "post" and number in directory.posts:
        name = directory.posts[number].name
        return name.zh if lang == "zh" else name.en
    return ""
