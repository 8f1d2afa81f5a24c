"""Sending commands: takes what waits in the ledger and says it to the devices.

Each command was written down together with the decision, so a crash between deciding and
sending loses nothing. It is sent at least once, with the same id each time; whether it was
of any use is judged where all else is, by what the device answers and measures.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import aiomqtt
import msgspec
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.clock import Now
from ingest.desk import Desk
from ingest.ledger import commanding
from ingest.ledger.store import Ledger, LedgerUnavailable
from ingest.mqtt_connection import BrokerAddress
from ingest.registry import Registry
from ingest.switching import Switching
from ingest.wire import Codec, Switch
from rules.cutting import Action, Command
from rules.pacing import paced
from rules.readings import DeviceId

IDLE_S = 5.0
"""How long nobody looks, if nobody says that there is something to send."""
LEDGER_RETRY_S = 1.0
PAUSE_S, PAUSE_MAX_S = 0.25, 5.0
PUBLISHED_WITHIN_S = 5.0

log = structlog.get_logger()
_unheard = logging.getLogger("api.commands.mqtt")
_unheard.addHandler(logging.NullHandler())  # what the client would say, the health does


class CommandsHealth(msgspec.Struct):
    """How the sending goes; `reason` is empty while it is well."""

    sent: int = 0
    reason: str = ""
    since: datetime | None = None


class Commands:
    """The ledger's worker for commands, with a connection of its own while there are any."""

    def __init__(  # noqa: PLR0913  (it is where ledger, broker and dialects meet)
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        codecs: Iterable[Codec],
        desk: Desk,
        switching: Switching,
        broker: BrokerAddress,
        client_id: str,
        now: Now,
        speed: float,
    ) -> None:
        self.health = CommandsHealth()
        self._ledger, self._registry = ledger, registry
        self._desk, self._switching = desk, switching
        self._codecs = {codec.name: codec for codec in codecs}
        self._broker, self._client_id = broker, f"{client_id}-commands-{secrets.token_hex(4)}"
        self._now, self._speed = now, speed
        self._posted = asyncio.Event()
        self._handled: dict[str, int] = {}
        """By id, at which attempt it was handed to the broker; the ledger hears of it soon."""
        self._last_sent: dict[DeviceId, datetime] = {}

    def post(self) -> None:
        """Be told that there is something new to send."""
        self._posted.set()

    async def run(self) -> None:
        """Send what is due, for ever, over whatever connections it takes."""
        failures = 0
        while True:
            try:
                await self._work_comes()
                async with self._client() as client:
                    failures = 0
                    self._well()
                    await self._serve(client)
            except LedgerUnavailable as error:
                log.warning("commands.ledger_unavailable", reason=str(error))
                await asyncio.sleep(LEDGER_RETRY_S)
            except aiomqtt.MqttError as error:
                self._unwell(str(error))
                pause_s = min(PAUSE_MAX_S, PAUSE_S * 2**failures)
                failures = min(failures + 1, 10)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311  (no secret)

    async def _work_comes(self) -> None:
        """Return when there is something to send: until then no connection is needed."""
        self._posted.clear()
        while not await self._waiting():
            await self._sleep(IDLE_S)
            self._posted.clear()

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Send what is due, for as long as the connection lasts."""
        while True:
            self._posted.clear()
            now, waiting = self._now(), await self._waiting()
            due, wake = paced(waiting, self._last_sent, self._spacing_of, now)
            for command in due:
                await self._send(client, command)
            if not due:
                ahead_s = IDLE_S if wake is None else (wake - now).total_seconds() / self._speed
                await self._sleep(min(max(ahead_s, 0.01), IDLE_S))

    async def _waiting(self) -> list[Command]:
        """Return what is to be sent now or later, without what has just been sent."""
        found = await self._ledger.read(
            lambda connection: commanding.to_send(connection, self._now())
        )
        known = {command.id for command in found}
        self._handled = {id_: n for id_, n in self._handled.items() if id_ in known}
        return [each for each in found if self._handled.get(each.id, -1) < each.attempts]

    async def _send(self, client: aiomqtt.Client, command: Command) -> None:
        publication = self._said(command)
        if publication is None:
            self._handled[command.id] = command.attempts
            self._desk.hand_in(
                lambda batch: self._switching.cannot_be_sent(
                    command.id, "its dialect has no word for it", batch.now
                )
            )
            return
        topic, payload = publication
        at = self._now()
        left_s = (command.expires_at - at).total_seconds() / self._speed
        if left_s <= 0:
            return  # a moment ago it was not too late
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = max(1, int(left_s))
        await client.publish(
            topic, payload, qos=1, properties=properties, timeout=PUBLISHED_WITHIN_S
        )
        self._handled[command.id] = command.attempts
        self._last_sent[command.device] = at
        self.health.sent += 1
        log.info("command.sent", id=command.id, device=command.device, action=command.action)
        self._desk.hand_in(lambda _: self._switching.sent(command.id, at))

    def _said(self, command: Command) -> tuple[str, bytes] | None:
        """Return the command in the dialect of its device."""
        device = self._registry.devices.get(command.device)
        codec = None if device is None else self._codecs.get(device.dialect)
        if device is None or codec is None:
            return None
        switch = Switch(
            id=command.id,
            on=command.action is Action.RELEASE,
            channel=command.channel,
            sockets=len(device.sockets),
            expires_at=command.expires_at,
        )
        return codec.command(device.name, switch)

    def _spacing_of(self, device: DeviceId) -> timedelta:
        if device not in self._registry.devices:
            return timedelta(0)
        return self._registry.policy_of(device).cut.spacing

    def _client(self) -> aiomqtt.Client:
        broker = self._broker
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=None if broker.password is None else broker.password.decode(),
            identifier=self._client_id,
            logger=_unheard,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=broker.tls,
            timeout=PUBLISHED_WITHIN_S,
        )

    async def _sleep(self, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await self._posted.wait()
        except TimeoutError:
            return

    def _unwell(self, reason: str) -> None:
        if not self.health.reason:
            self.health.since = self._now()
            log.error("commands.broker_lost", reason=reason)
        self.health.reason = reason

    def _well(self) -> None:
        self.health.reason, self.health.since = "", None
