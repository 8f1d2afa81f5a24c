"""Tells a WeCom (企业微信) group through a group robot.

A robot has no signature: its address is its secret. Markdown mentions users by their id; only
plain text mentions by mobile number, so with numbers to mention the message is plain text.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

import msgspec

from api.channels import Limits, Notice
from api.channels.codes import Codes
from api.channels.posting import Post, json_headers
from api.channels.wording import (
    Look,
    addresses_of,
    fitted,
    lines_of,
    links_of,
    look_of,
    title_of,
)
from ingest.clock import Now

MARKDOWN_BYTES_MAX = 4096
TEXT_BYTES_MAX = 2048
PER_MINUTE = 20

CODES = Codes(
    provider="WeCom",
    too_fast=frozenset({45009, 45033}),
    pause=timedelta(minutes=1),
    for_good={
        40008: "this kind of message is not taken",
        40058: "a parameter is wrong or too long",
        44004: "the message is empty",
        45002: "the message is too long",
        93000: "there is no robot with this address",
        93004: "the robot was stopped",
        93008: "the robot is not in the group any more",
    },
)
COLOURS = {Look.OVER: "info", Look.DRILL: "comment"}
"""WeCom knows three: info is green, comment grey, and warning orange."""


@dataclass(frozen=True, kw_only=True)
class WeCom:
    """One robot, which is one group."""

    name: str = "wecom"
    post: Post
    mobiles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    now: Now = field(repr=False)

    TEXT: ClassVar[Limits] = Limits(bytes_max=TEXT_BYTES_MAX, per_minute=PER_MINUTE)
    MARKDOWN: ClassVar[Limits] = Limits(bytes_max=MARKDOWN_BYTES_MAX, per_minute=PER_MINUTE)

    @property
    def limits(self) -> Limits:
        """What counts is the content, not the JSON around it."""
        return self.TEXT if self.mobiles else self.MARKDOWN

    async def send(self, notice: Notice) -> str:
        message = self._text(notice) if self.mobiles else self._markdown(notice)
        body = msgspec.json.encode(message)
        answer = await self.post.send(body, json_headers(notice), self.now())
        code = answer.code("errcode")
        if code != 0:
            raise CODES.failure(code, answer)
        return answer.words

    def _text(self, notice: Notice) -> dict[str, object]:
        body = "\n".join(lines_of(notice))
        tail = f"\n{addresses_of(notice)}"
        content = fitted(f"{title_of(notice)}\n", body, tail, TEXT_BYTES_MAX, notice)
        return {
            "msgtype": "text",
            "text": {
                "content": content,
                "mentioned_list": self.users,
                "mentioned_mobile_list": self.mobiles,
            },
        }

    def _markdown(self, notice: Notice) -> dict[str, object]:
        colour = COLOURS.get(look_of(notice), "warning")
        head = f'<font color="{colour}">**{title_of(notice)}**</font>\n'
        body = "".join(f"> {line}\n" for line in lines_of(notice))
        tail = "".join(f"\n[{words}]({url})" for words, url in links_of(notice))
        if self.users:
            tail += f"\n{' '.join(f'<@{user}>' for user in self.users)}"
        content = fitted(head, body, tail, MARKDOWN_BYTES_MAX, notice)
        return {"msgtype": "markdown", "markdown": {"content": content}}
