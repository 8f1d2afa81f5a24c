"""Plays a tape to a broker: in order, at any speed, every message confirmed.

When a message is due follows from the tape alone, so nothing adds up: one that was late does
not make the next ones late. Only what a dialect of ours hears from devices is played unless
everything is asked for: an order on the tape would be obeyed by somebody's real socket.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from api.tape.address import Address
from api.tape.props import as_properties
from api.tape.shifting import Unshifted, shifted
from api.tape.taken import Taken
from ingest.clock import Now
from ingest.codecs import all_codecs
from ingest.errors import ChargewatchError
from ingest.wire import Codec, Ignored

IN_FLIGHT_MAX = 1000
CONFIRMED_WITHIN_S = 60.0
CONNECTED_WITHIN_S = 10.0
STEP_S = 0.2
"""The longest sleep: so soon somebody's wish to stop is heard."""
OWN_TOPICS = "$"
"""Topics that begin so are the broker's own."""


class NotPlayed(ChargewatchError):
    """The broker is not there, or does not confirm."""


class Shifting(msgspec.Struct, frozen=True, kw_only=True):
    """How the times inside of messages are moved.

    `follow`: each as far as its message is moved, whatever the speed, so that it is as old when
    it arrives as it was. Else all by as much as leads from the first arrival to `to`; without
    that either, not at all.
    """

    follow: bool = False
    to: datetime | None = None


class Played(msgspec.Struct, kw_only=True):
    """What became of it."""

    messages: int = 0
    left_out: dict[str, int] = {}
    """Not played, by the reason."""
    unshifted: dict[str, int] = {}
    """Played with the times in it as they were, by the reason."""
    late_ms_p99: float = 0.0
    late_ms_max: float = 0.0
    """How much later than it was due a message was handed to the connection."""
    seconds: float = 0.0


class Due(msgspec.Struct, frozen=True):
    """A message, and when it is to be said, in seconds from the start."""

    taken: Taken
    after_s: float


def dues(tape: Iterable[Taken], speed: float) -> Iterator[Due]:
    """Yield when each message is due; speed 0: at once. Older ones come with those before."""
    began: datetime | None = None
    after_s = 0.0
    for taken in tape:
        began = began or taken.received_at
        if speed:
            passed_s = (taken.received_at - began).total_seconds() / speed
            after_s = max(after_s, passed_s)
        yield Due(taken, after_s)


class Replay:
    """One run of a tape."""

    def __init__(
        self, address: Address, shifting: Shifting, *, everything: bool = False
    ) -> None:
        self._address, self._shifting, self._everything = address, shifting, everything
        self._first_at: datetime | None = None
        self.played = Played(left_out={}, unshifted={})
        self._codecs = all_codecs()
        self._room = threading.Semaphore(IN_FLIGHT_MAX)
        self._connected, self._why = threading.Event(), ""
        self._lates_s: list[float] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"chargewatch-replay-{secrets.token_hex(4)}",
            protocol=paho.MQTTv5,
        )
        self._client.max_inflight_messages_set(IN_FLIGHT_MAX)
        self._client.max_queued_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_publish = lambda *_: self._room.release()
        address.introduce(self._client)

    def run(
        self,
        tape: Iterable[Taken],
        speed: float,
        now: Now,
        stop: Callable[[], bool],
        tell: Callable[[Played], None],
    ) -> Played:
        """Play all of it, and return when the broker has confirmed it."""
        self._connect()
        began_s, began = time.monotonic(), now()
        try:
            for due in dues(tape, speed):
                if not self._wait(began_s + due.after_s, stop):
                    break
                self._say(due, began)
                if speed:
                    self._lates_s.append(time.monotonic() - began_s - due.after_s)
                tell(self.played)
            self._confirmed()
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        self._sum_up(time.monotonic() - began_s)
        return self.played

    def _connect(self) -> None:
        try:
            self._client.connect(self._address.host, self._address.port)
        except (OSError, ValueError) as error:
            raise NotPlayed(f"{self._address}: {error}") from error
        self._client.loop_start()
        if not self._connected.wait(CONNECTED_WITHIN_S) or self._why:
            self._client.loop_stop()
            raise NotPlayed(f"{self._address}: {self._why or 'no answer'}")

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        self._why = str(reason) if reason.is_failure else ""
        self._connected.set()

    def _wait(self, until_s: float, stop: Callable[[], bool]) -> bool:
        """Sleep until then; False: somebody wants to stop."""
        while not stop():
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return True
            time.sleep(min(left_s, STEP_S))
        return False

    def _say(self, due: Due, began: datetime) -> None:
        taken = due.taken
        why = self._not_played(taken)
        if why:
            _count(self.played.left_out, why)
            return
        moved = began + timedelta(seconds=due.after_s) - taken.received_at
        payload = self._payload(taken, moved)
        if not self._room.acquire(timeout=CONFIRMED_WITHIN_S):
            raise NotPlayed(f"{self._address}: it does not confirm what is played")
        qos = max(1, taken.qos)
        sent = self._client.publish(
            taken.topic,
            payload,
            qos,
            taken.retain or taken.retained,
            as_properties(taken.properties),
        )
        if sent.rc not in {paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_NO_CONN}:
            raise NotPlayed(f"{self._address}: {paho.error_string(sent.rc)}")
        self.played.messages += 1

    def _not_played(self, taken: Taken) -> str:
        """Say why a message is left out; empty: it is not."""
        if taken.topic.startswith(OWN_TOPICS):
            return "the broker's own"
        if not taken.topic or set(taken.topic) & {"+", "#", "\0"}:
            return "no topic to publish to"
        return "" if self._everything else why_not_heard(taken.topic, self._codecs)

    def _payload(self, taken: Taken, moved: timedelta) -> bytes:
        shifting = self._shifting
        self._first_at = self._first_at or taken.received_at
        if shifting.to is not None:
            moved = shifting.to - self._first_at
        elif not shifting.follow:
            return taken.payload
        payload = shifted(taken, moved, self._codecs)
        if isinstance(payload, Unshifted):
            _count(self.played.unshifted, payload.why)
            return taken.payload
        return payload

    def _confirmed(self) -> None:
        """Return when nothing is in flight any more."""
        for _ in range(IN_FLIGHT_MAX):
            if not self._room.acquire(timeout=CONFIRMED_WITHIN_S):
                raise NotPlayed(f"{self._address}: it does not confirm what was played")

    def _sum_up(self, seconds: float) -> None:
        self.played.seconds = round(seconds, 3)
        if self._lates_s:
            ordered = sorted(self._lates_s)
            p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
            self.played.late_ms_p99 = round(p99 * 1000, 2)
            self.played.late_ms_max = round(ordered[-1] * 1000, 2)


def why_not_heard(topic: str, codecs: Iterable[Codec]) -> str:
    """Say why nobody hears a device on this topic; empty: somebody does, or refuses to."""
    for codec in codecs:
        found = codec.address(topic, ())
        if found is not None:
            return found.why if isinstance(found, Ignored) else ""
    return "a topic of no dialect"


def _count(counts: dict[str, int], why: str) -> None:
    counts[why] = counts.get(why, 0) + 1
