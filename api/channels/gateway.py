"""Tells one telephone by SMS or by voice, through whatever HTTP gateway a site has.

There is no common API, so the body is a template. That the gateway took it is said by the
status and, where it answers 200 to everything, by a value in its JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from api.channels import DeliveryFailed, Limits, Notice
from api.channels.posting import KEY_HEADER, Answer, Post, key_header
from api.channels.template import Template
from api.channels.wording import first_line_of, fitted, title_of
from ingest.clock import Now
from rules.alerts import Transition
from rules.verdict import Severity

SMS_BYTES_MAX = 1_500
"""500 Chinese characters, where the gateways end; some eight parts of 67 on the phone."""
SPOKEN_BYTES_MAX = 1_500


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Where in the answer's JSON a gateway says that it took the message (RFC 6901)."""

    pointer: str
    value: str

    def said_in(self, answer: Answer) -> bool:
        found: Any = answer.json()
        for step in self.pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return False
        # A number or a truth value is compared as JSON writes it.
        return (found if isinstance(found, str) else _json(found)) == self.value


@dataclass(frozen=True, kw_only=True)
class Sms:
    """One number; what the gateway refuses for one is not repeated to the others."""

    kind: ClassVar[str] = "sms"
    limits: ClassVar[Limits] = Limits(bytes_max=SMS_BYTES_MAX)
    post: Post
    number: str
    template: Template = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    confirmation: Confirmation | None = None
    now: Now = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.kind} to {self.number}"

    async def send(self, notice: Notice) -> str:
        title = title_of(notice, sign=False)
        values = {
            "number": self.number,
            "title": title,
            "text": self.words(notice, title),
            "key": key_header(notice),
        }
        headers = {
            **self.headers,
            "Content-Type": self.template.content_type,
            KEY_HEADER: values["key"],
        }
        answer = await self.post.send(self.template.filled(values), headers, self.now())
        if not answer.confirms:
            raise answer.refusal()
        if self.confirmation is not None and not self.confirmation.said_in(answer):
            # It may be the money, the hour or the number: only a person can tell.
            raise DeliveryFailed(
                f"the gateway did not take it: {answer.words}", permanent=False
            )
        return answer.words

    def words(self, notice: Notice, title: str) -> str:
        """Return what is read: title, the measured fact, and where to answer or look."""
        link = f" {notice.answer_url or notice.console_url}"
        return fitted(f"{title} ", first_line_of(notice), link, SMS_BYTES_MAX, notice)


@dataclass(frozen=True, kw_only=True)
class VoiceCall(Sms):
    """One number that is called. Nobody is woken for a warning, or to hear that it is over."""

    kind: ClassVar[str] = "call"
    limits: ClassVar[Limits] = Limits(bytes_max=SPOKEN_BYTES_MAX)

    async def send(self, notice: Notice) -> str:
        if notice.transition is Transition.RESOLVED:
            return "no call: that it is over is not worth one"
        if notice.severity is Severity.WARNING:
            return "no call: a warning is not worth one"
        return await super().send(notice)

    def words(self, notice: Notice, title: str) -> str:
        """Return what is spoken: an address on the web helps nobody's ears."""
        return fitted(f"{title}. ", first_line_of(notice), "", SPOKEN_BYTES_MAX, notice)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
