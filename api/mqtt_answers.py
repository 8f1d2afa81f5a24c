"""Acknowledging over MQTT: a button on a desk, or a lamp with a key, says that somebody saw it.

A device says so below its own topics, `chargewatch/v1/{area}/{site}/{device}/answer`, where the
broker lets nobody else speak. That proves which device it is and nothing about a person: so the
message holds a token, which is looked at like that of the API, with its rights and its areas.
What became of it is said on `…/answered`.

It has a session of its own. Nothing that arrives here, or does not, touches the messages of
devices.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import msgspec
import structlog
from msgspec.structs import replace

from api.credentials.rights import ANSWER, ANSWERED, ANSWERS
from api.http.access import TOKEN_CHARS_MAX, Access, Right
from api.http.problems import Trouble
from api.http.routes.alerts import NOTE_CHARS_MAX, acknowledged
from api.http.scope import Scoped
from api.http.throttle import Buckets, Rate, Throttle
from api.watch import Watch
from ingest.desk import DeskBusy
from ingest.ledger.store import LedgerUnavailable
from ingest.mqtt import Link
from ingest.mqtt_connection import BrokerAddress, BrokerUnusable
from ingest.mqtt_visit import visiting
from ingest.wire import Message

BYTES_MAX = 8 * 1024
EACH = Rate(10, 0.2)
"""Answers of one device: ten presses in a row, and one every five seconds."""
TAKEN_MAX = 100
REPLY_LASTS_S = 60

log = structlog.get_logger()


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device says."""

    alert: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_CHARS_MAX)]
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)] = ""


class Outcome(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    RETAINED = "retained"
    """The broker had kept it: nobody presses a button by that."""
    MALFORMED = "malformed"
    TOO_MANY = "too_many"
    NO_SUCH_TOKEN = "no_such_token"  # noqa: S105  (a word, and no secret)
    NOT_ALLOWED = "not_allowed"
    NO_SUCH_ALERT = "no_such_alert"
    LATER = "later"
    """The ledger does not take it now: press again."""


class Reply(msgspec.Struct, frozen=True):
    alert: int
    outcome: Outcome
    acknowledged_by: str = ""


class MqttAnswers:
    """Takes answers from the broker, for as long as the service runs."""

    def __init__(  # noqa: PLR0913  (it stands between all of these)
        self,
        watch: Watch,
        access: Access,
        broker: BrokerAddress,
        client_id: str,
        *,
        counted: Callable[[Outcome], None] = lambda _: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch, self._access, self._broker = watch, access, broker
        self._client_id, self._counted = f"{client_id}-answers", counted
        self._arrived = asyncio.Event()
        self.link = Link(self._client_id, broker, [ANSWERS], watch.now, self._arrived.set)
        self._each = Buckets(EACH, monotonic_s)
        self._guesses = Throttle(monotonic_s)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.link.run(), name=self.link.client_id)
            tasks.create_task(self._listen(), name="answers")

    async def _listen(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while taken := self.link.take(TAKEN_MAX):
                for each in taken:
                    await self._take(each.message)
                self.link.acknowledge(taken)

    async def _take(self, message: Message) -> None:
        try:
            reply = await self.judged(message)
        except Exception:  # ours: one answer's bug must not end all others
            log.exception("answer.failed", topic=message.topic)
            return
        self._counted(reply.outcome)
        log.info("answer.taken", topic=message.topic, alert=reply.alert, outcome=reply.outcome)
        if reply.outcome not in {Outcome.RETAINED, Outcome.TOO_MANY}:
            await self._say(message.topic.removesuffix(ANSWER) + ANSWERED, reply)

    async def judged(self, message: Message) -> Reply:
        """Do what a message asks for, if it may; return what became of it."""
        if message.retained:
            return Reply(0, Outcome.RETAINED)
        device = message.topic
        if self._each.wait_s(device) or self._guesses.wait_s(device):
            return Reply(0, Outcome.TOO_MANY)
        try:
            if len(message.payload) > BYTES_MAX:
                return Reply(0, Outcome.MALFORMED)
            answer = msgspec.json.decode(message.payload, type=Answer)
        except (msgspec.DecodeError, ValueError):
            return Reply(0, Outcome.MALFORMED)
        try:
            return await self._done(device, answer)
        except Trouble:
            return Reply(answer.alert, Outcome.NO_SUCH_ALERT)
        except (DeskBusy, LedgerUnavailable):
            return Reply(answer.alert, Outcome.LATER)

    async def _done(self, device: str, answer: Answer) -> Reply:
        caller = await self._access.grant(answer.token)
        if caller is None:
            self._guesses.failed(device)
            return Reply(answer.alert, Outcome.NO_SUCH_TOKEN)
        self._guesses.succeeded(device)
        if not caller.may(Right.ACKNOWLEDGE):
            return Reply(answer.alert, Outcome.NOT_ALLOWED)
        scoped = Scoped(self._watch, replace(caller, via="mqtt"))
        row = await acknowledged(scoped, answer.alert, note=answer.note)
        return Reply(answer.alert, Outcome.ACKNOWLEDGED, row.acknowledged_by or "")

    async def _say(self, topic: str, reply: Reply) -> None:
        """Say what became of it, once; a button that does not hear it is pressed again."""
        try:
            client_id = f"{self._client_id}-{secrets.token_hex(4)}"
            async with visiting(self._broker, client_id) as visit:
                await visit.publish(topic, msgspec.json.encode(reply), REPLY_LASTS_S)
        except (BrokerUnusable, OSError, TimeoutError) as error:
            log.info("answer.reply_not_said", topic=topic, reason=str(error))
