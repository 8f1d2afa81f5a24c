"""Tells a Feishu (Lark) group through a custom robot: a signed card with a button.

Whatever comes from devices stands in `plain_text`, which knows no markup at all. The robot's
own code counts, whatever the HTTP status: "too many requests" comes with a 400.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from api.channels import DeliveryFailed, Limits, Notice
from api.channels.codes import Codes
from api.channels.posting import Answer, Post, json_headers
from api.channels.wording import Look, fitted, lines_of, links_of, look_of, title_of
from ingest.clock import Now

BODY_BYTES_MAX = 20_000
TEXT_BYTES_MAX = 10_000
PER_MINUTE = 100

BAD_REQUEST = 9499
CODES = Codes(
    provider="Feishu",
    too_fast=frozenset({11232}),
    # There is a limit of five a second too, and which of the two it was is not said.
    pause=timedelta(seconds=5),
    for_good={
        19001: "there is no robot with this address",
        19021: "the signature is not accepted: is the secret this robot's, our clock right?",
        19022: "this machine's address is not on the robot's list",
        19024: "the robot wants a keyword that the message does not have",
        BAD_REQUEST: "the robot does not understand the message",
    },
)
COLOURS = {
    Look.EMERGENCY: "carmine",
    Look.CRITICAL: "red",
    Look.WARNING: "orange",
    Look.ESCALATED: "purple",
    Look.OVER: "green",
    Look.DRILL: "blue",
}


@dataclass(frozen=True, kw_only=True)
class Feishu:
    """One robot, which is one group."""

    name: str = "feishu"
    limits: ClassVar[Limits] = Limits(bytes_max=BODY_BYTES_MAX, per_minute=PER_MINUTE)
    post: Post
    secret: str = field(repr=False)
    """Empty: the robot is one that checks keywords or addresses instead."""
    users: tuple[str, ...] = ()
    """Who is mentioned, by open_id."""
    now: Now = field(repr=False)

    async def send(self, notice: Notice) -> str:
        now = self.now()
        answer = await self.post.send(self.encoded(notice, now), json_headers(notice), now)
        code = answer.code("code")
        if code != 0:
            raise failed(code, answer)
        return answer.words

    def encoded(self, notice: Notice, now: datetime) -> bytes:
        text = fitted("", "\n".join(lines_of(notice)), "", TEXT_BYTES_MAX, notice)
        buttons = [
            {
                "tag": "button",
                "text": _plain(words),
                "url": url,
                "type": "default" if number else "primary",
            }
            for number, (words, url) in enumerate(links_of(notice))
        ]
        elements: list[dict[str, object]] = [{"tag": "div", "text": _plain(text)}]
        if self.users:
            mentions = " ".join(f"<at id={user}></at>" for user in self.users)
            elements.append({"tag": "div", "text": {"tag": "lark_md", "content": mentions}})
        elements.append({"tag": "action", "actions": buttons})
        header = {"title": _plain(title_of(notice)), "template": COLOURS[look_of(notice)]}
        return msgspec.json.encode(
            {
                **(signed(self.secret, now) if self.secret else {}),
                "msg_type": "interactive",
                "card": {
                    "config": {"wide_screen_mode": True},
                    "header": header,
                    "elements": elements,
                },
            }
        )


def signed(secret: str, now: datetime) -> dict[str, str]:
    """Return the signature's fields: the HMAC of nothing, with timestamp and secret as key."""
    timestamp = str(int(now.timestamp()))
    digest = hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def failed(code: int, answer: Answer) -> DeliveryFailed:
    """Tell what a person has to mend from what passes; one code stands for either."""
    if code == BAD_REQUEST and "too many" in answer.words.lower():
        return CODES.sent_too_fast(answer)
    return CODES.failure(code, answer)


def _plain(text: str) -> dict[str, str]:
    return {"tag": "plain_text", "content": text}
