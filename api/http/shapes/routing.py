"""Who would be told of an alarm, and why others would not."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Shape, shown
from api.people.explaining import name_of_recipient
from api.routing import Routing
from ingest.people import Directory
from rules.verdict import Severity

_TIER: dict[str, JsonValue] = {
    "tier": 1,
    "told": [
        {
            "recipient": "post:desk",
            "name": "徐汇派出所",
            "channel": "sms:desk",
            "off_duty": False,
        }
    ],
    "not_told": [{"recipient": "person:li", "name": "李", "reason": "off_duty"}],
    "reached_nobody": None,
}


class ToldOf(Shape):
    recipient: str
    name: str
    channel: str
    """The way that is taken first."""
    off_duty: bool
    """They are told although they are off duty: it is a danger, and nobody else can be."""


class NotToldOf(Shape):
    recipient: str
    name: str
    reason: str


class Tier(Shape):
    """Whose turn it is: first when the alarm fires, and then whenever nobody answers."""

    tier: int
    told: list[ToldOf]
    not_told: list[NotToldOf]
    reached_nobody: str | None

    @classmethod
    def of(cls, tier: int, routing: Routing, directory: Directory, lang: str) -> "Tier":
        def name(recipient: str) -> str:
            return name_of_recipient(directory, recipient, lang)

        return cls(
            tier=tier,
            told=[
                ToldOf(
                    recipient=each.recipient,
                    name=name(each.recipient),
                    channel=each.channel,
                    off_duty=each.off_duty,
                )
                for each in routing.told
            ],
            not_told=[
                NotToldOf(
                    recipient=each.recipient, name=name(each.recipient), reason=each.reason
                )
                for each in routing.not_told
            ],
            reached_nobody=routing.reached_nobody,
        )


class Explained(Shape):
    """The channels of the settings hear of it besides, whatever is here."""

    site: str
    rule: str
    severity: Severity
    at: datetime
    routes: list[str]
    """Those that fit."""
    tiers: list[Tier]

    model_config = shown(
        {
            "site": "xuhui/renmin-lu",
            "rule": "smoke",
            "severity": "critical",
            "at": WHEN,
            "routes": ["danger"],
            "tiers": [_TIER],
        }
    )
