"""Listens to a broker and writes down all it hears.

A message is acknowledged when it is on the tape, so what we cannot write stays with the
broker, in a session that outlives our connection. Where messages may be missing all the
same, that is counted: sessions that were lost, and what the broker says it threw away.

With MQTT 5 the subscription asks for flags as they were published, and a second connection
asks for what the broker had kept from before (api/tape/kept.py): on one, the same flag would
mean both. With 3.1.1 it only ever means the latter.
"""

import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from api.tape.address import Address
from api.tape.kept import KeptMessages
from api.tape.props import properties_of
from api.tape.taken import Taken
from api.tape.writing import Tape
from ingest.broker_drops import DROPPED
from ingest.clock import Now
from ingest.errors import ChargewatchError

SESSION_S = 600
"""How long the broker keeps what we have not acknowledged."""
RECEIVE_MAX = 4000
PENDING_MAX = 1000
"""Written and not acknowledged yet: then it is flushed, whatever more there is to read."""
WAIT_S = 0.1
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
KEEPALIVE_S = 30
NEVER_RETAINED = 2


class BrokerRefuses(ChargewatchError):
    """The broker does not let us in, or not to these topics."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to record, and when to stop. None: no limit."""

    topics: tuple[str, ...]
    lasts: timedelta | None = None
    messages: int | None = None
    bytes: int | None = None
    mqtt5: bool = True


class Heard(msgspec.Struct, kw_only=True):
    """What became of it; all that may be missing is in here."""

    messages: int = 0
    bytes: int = 0
    """Of lines on the tape, before packing."""
    kept: int = 0
    """Messages that the broker had kept from before."""
    again: int = 0
    """Messages that the broker sent a second time, as it could not know that we had them."""
    left_out: dict[str, int] = {}
    """Messages that were not to be on the tape, by the reason."""
    reconnected: int = 0
    gaps: list[tuple[datetime, datetime]] = []
    """When we were away and the broker kept nothing for us: what was said then is missing."""
    broker_dropped: int | None = None
    """What the broker threw away meanwhile, anybody's; None: it does not say."""

    @property
    def complete(self) -> bool:
        return not self.gaps and not self.broker_dropped


Change = Callable[[Taken], Taken | str]
"""Returns a message as it is to be on the tape, or the reason why it is not to be."""


class Recorder:
    """One recording."""

    def __init__(
        self, address: Address, wanted: Wanted, tape: Tape, now: Now, change: Change
    ) -> None:
        self._address, self._wanted, self._tape = address, wanted, tape
        self._now, self._change = now, change
        self.heard = Heard(left_out={}, gaps=[])
        self._pending: list[tuple[int, int]] = []
        self._kept: KeptMessages | None = None
        self.listening = False
        """It hears whatever is said from now on."""
        self._refused: str = ""
        self._away_since: datetime | None = None
        self._dropped_first: int | None = None
        self._client = self._made()

    def run(self, stop: Callable[[], bool], tell: Callable[[Heard], None]) -> Heard:
        """Record until the limits are reached, or `stop` says so."""
        wanted, began = self._wanted, time.monotonic()
        try:
            self._connect(first=True)
            while not stop() and not self._is_enough(wanted, time.monotonic() - began):
                self._turn()
                tell(self.heard)
                if self._refused:
                    raise BrokerRefuses(f"{self._address}: {self._refused}")
            self._acknowledge()
        finally:
            self._part()
            if self._kept is not None:
                self._kept.close()
            self._tape.close()
            self.heard.messages, self.heard.bytes = self._tape.messages, self._tape.bytes
        return self.heard

    # --- connection -------------------------------------------------------------------

    def _made(self) -> paho.Client:
        five = self._wanted.mqtt5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"chargewatch-record-{secrets.token_hex(4)}",
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            clean_session=None if five else True,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._address.introduce(client)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _connect(self, *, first: bool = False) -> None:
        properties = None
        if self._wanted.mqtt5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_S
            properties.ReceiveMaximum = RECEIVE_MAX
        try:
            self._client.connect(
                self._address.host,
                self._address.port,
                KEEPALIVE_S,
                clean_start=False if self._wanted.mqtt5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=properties,
            )
        except (OSError, ValueError) as error:
            if first:
                raise BrokerRefuses(f"{self._address}: {error}") from error

    def _part(self) -> None:
        """Say goodbye so that the broker keeps nothing for us any more."""
        properties = None
        if self._wanted.mqtt5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self._client.loop(WAIT_S)

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        if self._away_since is not None:
            self.heard.reconnected += 1
            if not flags.session_present:
                self.heard.gaps.append((self._away_since, self._now()))
            self._away_since = None
        if not flags.session_present:
            self._subscribe()
        else:
            self.listening = True

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.listening = False
        self._pending.clear()  # packet ids are the connection's own: the broker sends again
        self._away_since = self._away_since or self._now()

    # --- subscription -----------------------------------------------------------------

    def _subscribe(self) -> None:
        if self._wanted.mqtt5:
            options = SubscribeOptions(
                qos=1, retainAsPublished=True, retainHandling=NEVER_RETAINED
            )
            count_so_far = SubscribeOptions(
                qos=1
            )  # the broker keeps it: it is what we begin at
            wanted = [(each, options) for each in self._wanted.topics]
            self._client.subscribe([*wanted, (DROPPED, count_so_far)])
        else:
            self._client.subscribe([(each, 1) for each in (*self._wanted.topics, DROPPED)])

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(each.is_failure for each in reasons[: len(self._wanted.topics)]):
            names = ", ".join(self._wanted.topics)
            self._refused = f"it does not let us subscribe to {names}"
            return
        self.listening = True
        if self._wanted.mqtt5:
            self._kept = KeptMessages(
                self._address, self._wanted.topics, lambda said: self._take(said, kept=True)
            )

    # --- messages ---------------------------------------------------------------------

    def _turn(self) -> None:
        """Read what there is. Nothing more to read, or enough: flush, and acknowledge."""
        before = self._tape.messages + sum(self.heard.left_out.values())
        failed = self._client.loop(0.0 if self._pending else WAIT_S)
        after = self._tape.messages + sum(self.heard.left_out.values())
        if self._pending and (before == after or len(self._pending) >= PENDING_MAX):
            self._acknowledge()
        if self._kept is not None and self._kept.turn():
            self._kept = None
        if failed and not self._refused:
            pause_s = PAUSES_S[min(self.heard.reconnected, len(PAUSES_S) - 1)]
            time.sleep(pause_s)
            self._connect()

    def _on_message(self, _client: paho.Client, _data: object, said: paho.MQTTMessage) -> None:
        if said.topic == DROPPED:
            self._note_dropped(said.payload)
        else:
            self._take(said, kept=said.retain and not self._wanted.mqtt5)
        if said.qos:
            self._pending.append((said.mid, said.qos))

    def _take(self, said: paho.MQTTMessage, *, kept: bool) -> None:
        taken = self._change(
            Taken(
                said.topic,
                bytes(said.payload),
                self._now(),
                kept,
                said.dup,
                said.qos,
                said.retain and not kept,
                properties_of(said.properties),
            )
        )
        if isinstance(taken, str):
            self.heard.left_out[taken] = self.heard.left_out.get(taken, 0) + 1
            return
        self._tape.take(taken)
        self.heard.messages, self.heard.bytes = self._tape.messages, self._tape.bytes
        self.heard.kept += taken.retained
        self.heard.again += taken.again

    def _acknowledge(self) -> None:
        self._tape.flush()
        for mid, qos in self._pending:
            self._client.ack(mid, qos)
        self._pending.clear()

    def _note_dropped(self, payload: bytes | bytearray) -> None:
        if payload.isdigit():
            count = int(payload)
            if self._dropped_first is None or count < self._dropped_first:
                self._dropped_first = count
            self.heard.broker_dropped = count - self._dropped_first

    def _is_enough(self, wanted: Wanted, passed_s: float) -> bool:
        return (
            (wanted.lasts is not None and passed_s >= wanted.lasts.total_seconds())
            or (wanted.messages is not None and self._tape.messages >= wanted.messages)
            or (wanted.bytes is not None and self._tape.bytes >= wanted.bytes)
        )
