"""Tells phones through ntfy: a push message with a priority that rings, and a link to tap."""

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from api.channels import Limits, Notice
from api.channels.posting import Post, json_headers
from api.channels.wording import Look, fitted, lines_of, links_of, look_of, title_of
from ingest.clock import Now

MESSAGE_BYTES_MAX = 4096
"""A longer message arrives as an attached file, which nobody opens at night."""
TEXT_BYTES_MAX = 3000
"""The JSON around it may have twice the limit of a message; lines and title take their part."""
PER_MINUTE = 12
"""What ntfy.sh gives back to a visitor: a request every 5 s, after 60 at once."""

PRIORITIES = {
    Look.EMERGENCY: 5,
    Look.CRITICAL: 5,
    Look.ESCALATED: 5,
    Look.WARNING: 4,
    Look.DRILL: 4,
    Look.OVER: 3,
}
"""5 goes on ringing and vibrating, 4 rings, 3 makes the usual sound."""
TAGS = {
    Look.EMERGENCY: "rotating_light",
    Look.CRITICAL: "red_circle",
    Look.ESCALATED: "arrow_double_up",
    Look.WARNING: "warning",
    Look.DRILL: "test_tube",
    Look.OVER: "white_check_mark",
}


@dataclass(frozen=True, kw_only=True)
class Ntfy:
    """One topic of one server."""

    name: str = "ntfy"
    limits: ClassVar[Limits] = Limits(bytes_max=MESSAGE_BYTES_MAX, per_minute=PER_MINUTE)
    post: Post
    """To the server; the topic is in the message."""
    topic: str = field(repr=False)
    """Not shown: on a public server, whoever knows it may read along."""
    token: str | None = field(default=None, repr=False)
    now: Now = field(repr=False)

    async def send(self, notice: Notice) -> str:
        headers = json_headers(notice)
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        body = msgspec.json.encode(message(notice, self.topic))
        return await self.post.told(body, headers, self.now())


def message(notice: Notice, topic: str) -> dict[str, object]:
    """Return the message as JSON: headers, ntfy's other way, take no Chinese."""
    look = look_of(notice)
    actions = [
        {"action": "view", "label": words, "url": url, "clear": True}
        for words, url in links_of(notice)
    ]
    text = fitted("", "\n".join(lines_of(notice)), "", TEXT_BYTES_MAX, notice)
    return {
        "topic": topic,
        "title": title_of(notice, sign=False),  # ntfy makes one of the first tag
        "message": text,
        "priority": PRIORITIES[look],
        "tags": [TAGS[look], notice.rule],
        "click": notice.answer_url or notice.console_url,
    } | ({"actions": actions} if notice.answer_url else {})
