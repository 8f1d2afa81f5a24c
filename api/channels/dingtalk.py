"""Tells a DingTalk group through a custom robot, signed, with mentions by mobile number.

The robot answers 200 to almost anything; what became of the message is in `errcode`. Its
codes and limits: docs/notifications.md.
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
from api.channels.wording import fitted, lines_of, links_of, title_of
from ingest.clock import Now

BODY_BYTES_MAX = 20_000
TEXT_BYTES_MAX = 10_000
"""Half of it: there is a title and JSON around the text, and each of its lines may grow."""
PER_MINUTE = 20
SECURITY = 310000
"""What the robot's security settings refuse; only the words say which of them it was."""
CODES = Codes(
    provider="DingTalk",
    too_fast=frozenset({130101, 410100}),
    # Beyond 20 a minute the robot is deaf for up to 10: asking once a minute is soon enough.
    pause=timedelta(minutes=1),
    for_good={
        40035: "a parameter is missing",
        43004: "the content type is wrong",
        300001: "there is no robot with this token",
        300005: "there is no robot with this token",
        400013: "the group was dissolved",
        400101: "there is no robot with this token",
        400102: "the robot was stopped",
        400105: "this kind of message is not taken",
        430101: "the content is refused: an unsafe link",
        430102: "the content is refused: its text",
        430104: "the content is refused: its text",
        460101: "the message is too long",
    },
)


@dataclass(frozen=True, kw_only=True)
class DingTalk:
    """One robot, which is one group."""

    name: str = "dingtalk"
    limits: ClassVar[Limits] = Limits(bytes_max=BODY_BYTES_MAX, per_minute=PER_MINUTE)
    post: Post
    secret: str = field(repr=False)
    """Empty: the robot is one that checks keywords or addresses instead."""
    mobiles: tuple[str, ...] = ()
    """Who is mentioned, so that their phones ring even if the group is muted."""
    now: Now = field(repr=False)

    async def send(self, notice: Notice) -> str:
        now = self.now()
        query = signed(self.secret, now) if self.secret else {}
        answer = await self.post.send(self.encoded(notice), json_headers(notice), now, query)
        code = answer.code("errcode")
        if code != 0:
            raise failed(code, answer)
        return answer.words

    def encoded(self, notice: Notice) -> bytes:
        """Return the message: markdown, for text has no link that can be tapped."""
        title = title_of(notice)
        body = "".join(f"> {line}\n>\n" for line in lines_of(notice))
        links = "\n\n".join(f"[{words}]({url})" for words, url in links_of(notice))
        tail = f"\n{links}\n"
        if self.mobiles:
            # Whoever is not named in the text is not mentioned, whatever `at` says.
            tail += f"\n{' '.join(f'@{mobile}' for mobile in self.mobiles)}\n"
        text = fitted(f"### {title}\n\n", body, tail, TEXT_BYTES_MAX, notice)
        return msgspec.json.encode(
            {
                "msgtype": "markdown",
                "markdown": {"title": title, "text": text},
                "at": {"atMobiles": self.mobiles, "isAtAll": False},
            }
        )


def signed(secret: str, now: datetime) -> dict[str, str]:
    """Return what is added to the address: good for an hour, says DingTalk."""
    timestamp = str(int(now.timestamp() * 1000))
    words = f"{timestamp}\n{secret}".encode()
    digest = hmac.new(secret.encode(), words, hashlib.sha256).digest()
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def failed(code: int, answer: Answer) -> DeliveryFailed:
    """Tell what a person has to mend from what passes."""
    if code == SECURITY:
        return _refused_by_settings(answer.words)
    return CODES.failure(code, answer)


def _refused_by_settings(words: str) -> DeliveryFailed:
    lower = words.lower()
    if "timestamp" in lower or "过期" in words:
        # Our clock is wrong, or the message was long on its way: neither lasts for ever.
        return DeliveryFailed(f"the signature is too old: {words}", permanent=False)
    for word, meaning in (
        ("keyword", "the robot wants a keyword that the message does not have"),
        ("sign", "the signature is not accepted: is the secret that of this robot?"),
        ("ip", "this machine's address is not on the robot's list"),
    ):
        if word in lower:
            return DeliveryFailed(f"{meaning}: {words}", permanent=True)
    return DeliveryFailed(f"the robot's security settings: {words}", permanent=True)
