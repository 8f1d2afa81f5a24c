"""Tells sirens, lamps and other machines: a signed message on the broker.

The payload is JSON with three texts, so that it can be checked with any version of MQTT and
behind any bridge: `timestamp`, `signature` and `notice`. The last is JSON itself, the same as a
webhook's body, and exactly what was signed. Never retained: an alarm of yesterday must not
greet who subscribes today.
"""

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from api.channels import ANSWER_WITHIN, DeliveryFailed, Limits, Notice, one_line
from api.channels.webhook import BODY_BYTES_MAX, encoded, signature
from ingest.clock import Now
from ingest.mqtt_connection import BrokerAddress, BrokerUnusable
from ingest.mqtt_visit import visiting

EXPIRES_IN_S = 24 * 3600
"""For subscribers whose session the broker keeps: after a day it is no news."""
PLACES = re.compile(r"\{area\}|\{site\}")
FOR_GOOD = frozenset(
    {
        "NOT_AUTHORIZED",
        "BAD_USER_NAME_OR_PASSWORD",
        "BANNED",
        "TOPIC_NAME_INVALID",
        "PAYLOAD_FORMAT_INVALID",
    }
)


@dataclass(frozen=True, kw_only=True)
class MqttTopic:
    """One topic. QoS 1: the broker confirms that it has it, and that somebody listens."""

    name: str = "mqtt"
    limits: ClassVar[Limits] = Limits(bytes_max=2 * BODY_BYTES_MAX)
    broker: BrokerAddress = field(repr=False)
    client_id: str
    topic: str
    """May hold {area} and {site}."""
    secret: bytes = field(repr=False)
    now: Now = field(repr=False)
    answer_within: timedelta = ANSWER_WITHIN

    async def send(self, notice: Notice) -> str:
        topic = self.topic_for(notice)
        client_id = f"{self.client_id}-alerts-{secrets.token_hex(4)}"
        try:
            async with (
                asyncio.timeout(self.answer_within.total_seconds()),
                visiting(self.broker, client_id) as visit,
            ):
                await visit.publish(topic, self.payload(notice), EXPIRES_IN_S)
        except TimeoutError as error:
            raise DeliveryFailed("the broker does not answer", permanent=False) from error
        except (BrokerUnusable, OSError) as error:
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            raise DeliveryFailed(reason, permanent=str(error) in FOR_GOOD) from error
        return f"the broker has it on {one_line(topic)}"

    def topic_for(self, notice: Notice) -> str:
        levels = {"{area}": notice.area, "{site}": notice.site}
        return PLACES.sub(lambda place: _level(levels[place[0]]), self.topic)

    def payload(self, notice: Notice) -> bytes:
        body = encoded(replace(notice, answer_url=""))  # a machine answers with a token
        timestamp = str(int(self.now().timestamp()))
        return msgspec.json.encode(
            {
                "timestamp": timestamp,
                "signature": signature(self.secret, timestamp, body),
                "notice": body.decode(),
            }
        )


def _level(name: str) -> str:
    """Return a name as one level of a topic; what is about no site stands under `all`."""
    return "".join("_" if char in "/+#\0" else char for char in name) or "all"
