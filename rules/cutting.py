"""The life of one command: what is ordered, sent, confirmed, verified, or has failed.

Every transition of a command is in a function below, and nowhere else:

| state     | what happens                                      | becomes                   |
|-----------|---------------------------------------------------|---------------------------|
| ordered   | it was sent                                       | sent                      |
|           | its time to be sent is over                       | failed: expired           |
| sent      | the device says yes, or its relay says so         | confirmed                 |
|           | the device says no                                | failed: refused           |
|           | neither, after the last attempt                   | failed: no_reply          |
| confirmed | power is gone (a release: at once)                | verified                  |
|           | power flows late in the time, and at its end      | failed: still_flows       |
|           | no power was heard of                             | failed: no_reading        |
| failed    | was no_reply or no_reading, and now it is         | verified                  |
|           | confirmed and the power is gone                   |                           |
| any open  | a later order takes its place                     | failed: superseded        |

A command is repeated with the same id until the device confirms it. An AP3000 ignores a stop
whose order number is not exact, and SteVe #651 and evcc #22499 tell of stops that were sent
and changed nothing. So nothing here is believed before the power is gone.
"""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from rules.limits.electricity import CutLimits
from rules.readings import DeviceId

AGAIN_AFTER = timedelta(minutes=5)
"""Ours: how soon a cut that failed is tried again while power flows. A relay that is welded
stays so, and the log of a night should be short enough to be read."""
SLOW_BEATS = 1.5
"""Of the device's own pause between two powers: one beat may be late ..."""
BEAT_MAX = timedelta(minutes=10)
"""... but a pause is none if it is longer than twice the slowest pile's (AP3000: 5 min)."""
LATE_SHARE = 1 / 3
"""Power that flows this early in the time to verify proves nothing: meters average."""


class Action(StrEnum):
    """What is ordered, in the words of the wire."""

    CUT = "switch_off"
    RELEASE = "switch_on"


class CommandState(StrEnum):
    ORDERED = "ordered"
    SENT = "sent"
    CONFIRMED = "confirmed"
    VERIFIED = "verified"
    FAILED = "failed"


class Failure(StrEnum):
    """Why a command has failed."""

    EXPIRED = "expired"
    """It could not be sent in its time: no broker."""
    CANNOT_BE_SENT = "cannot_be_sent"
    """Its dialect has no word for it."""
    NO_REPLY = "no_reply"
    REFUSED = "refused"
    STILL_FLOWS = "still_flows"
    """The device has confirmed it and power flows all the same: a welded relay."""
    NO_READING = "no_reading"
    """The device has confirmed it, and nobody knows whether power flows."""
    SUPERSEDED = "superseded"


MENDABLE = frozenset({Failure.NO_REPLY, Failure.NO_READING})
"""What a late word of the device may still turn into a success. Not `still_flows`: that the
power is gone later may as well be the bike."""
OPEN = frozenset({CommandState.ORDERED, CommandState.SENT, CommandState.CONFIRMED})


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order to one socket. Its id goes to the device, the same at each attempt."""

    id: str
    device: DeviceId
    channel: int | None
    action: Action
    ordered_by: str
    reason: str
    episode: str
    """What its lines in the log belong to: an alert's episode, or one of its own."""
    ordered_at: datetime
    expires_at: datetime
    """From here on it is not sent any more, and no device should carry it out."""
    state: CommandState = CommandState.ORDERED
    attempts: int = 0
    next_at: datetime | None = None
    """When it is to be sent (again); None: not any more."""
    first_sent_at: datetime | None = None
    sent_at: datetime | None = None
    replied_at: datetime | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    failure: Failure | None = None
    detail: str = ""
    """What the device said beside yes or no."""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


class Seen(NamedTuple):
    """The facts about a socket by which a command is judged, on our own clock."""

    power_w: float | None = None
    power_at: datetime | None = None
    relay_on: bool | None = None
    relay_at: datetime | None = None
    cadence: timedelta = timedelta(0)
    """The usual pause between two powers of late; 0: not known."""


def ordered(  # noqa: PLR0913  (an order has this many parts)
    device: DeviceId,
    channel: int | None,
    action: Action,
    *,
    by: str,
    reason: str,
    episode: str,
    before: str,
    limits: CutLimits,
    now: datetime,
) -> Command:
    """Return a new command; `before` is the id of the socket's last one, if it had any."""
    named = f"{device}\x00{channel}\x00{action}\x00{now.isoformat()}\x00{before}"
    digest = hashlib.blake2b(named.encode(), digest_size=12).hexdigest()
    return Command(
        id=f"c-{digest}",
        device=device,
        channel=channel,
        action=action,
        ordered_by=by,
        reason=reason,
        episode=episode or f"command@{device}:{channel}@{digest}",
        ordered_at=now,
        expires_at=now + limits.expires_after,
        next_at=now,
    )


def was_sent(command: Command, limits: CutLimits, at: datetime) -> Command:
    """Note that the broker has taken it; ask for another attempt if there is one left.

    A quick device may have answered and gone dark before this is known. That changes nothing
    then, but it was sent, and whoever reads about it must not wonder.
    """
    if not command.is_open:
        if command.first_sent_at is not None:
            return command
        return replace(command, attempts=1, first_sent_at=at, sent_at=at)
    attempts = command.attempts + 1
    confirmed = command.state is CommandState.CONFIRMED
    again_at = at + limits.retry_after
    last = confirmed or attempts >= limits.attempts or again_at >= command.expires_at
    return replace(
        command,
        state=CommandState.CONFIRMED if confirmed else CommandState.SENT,
        attempts=attempts,
        next_at=None if last else again_at,
        first_sent_at=command.first_sent_at or at,
        sent_at=at,
    )


def cannot_be_sent(command: Command, detail: str, at: datetime) -> Command:
    """Note that there is no way to say this to the device."""
    if command.state is not CommandState.ORDERED:
        return command
    return replace(_failed(command, Failure.CANNOT_BE_SENT, at), detail=detail)


def answered(command: Command, *, ok: bool, detail: str, at: datetime) -> Command:
    """Take the device's word. What it says after it has said yes changes nothing."""
    if command.confirmed_at is not None or not _may_change(command):
        return command
    command = replace(command, replied_at=at, detail=detail)
    if ok:
        return _confirmed(command, at)
    return _failed(command, Failure.REFUSED, at) if command.is_open else command


def superseded(command: Command, at: datetime) -> Command:
    return _failed(command, Failure.SUPERSEDED, at) if command.is_open else command


def judged(
    command: Command, seen: Seen, limits: CutLimits, dark_below_w: float, now: datetime
) -> Command:
    """Return what the command becomes by what is known at `now`, and by the time alone.

    `dark_below_w` is the power below which none flows.
    """
    if not _may_change(command):
        return command
    if command.confirmed_at is None and _relay_says_so(command, seen):
        command = _confirmed(command, seen.relay_at or now)
    if command.confirmed_at is not None:
        if command.action is Action.RELEASE or _is_dark(command, seen, dark_below_w):
            return replace(
                command,
                state=CommandState.VERIFIED,
                ended_at=now,
                failure=None,
                next_at=None,
            )
        if command.state is CommandState.CONFIRMED:
            return _unverified(command, seen, limits, now)
    elif command.state is CommandState.ORDERED and now >= command.expires_at:
        return _failed(command, Failure.EXPIRED, now)
    elif command.state is CommandState.SENT and now >= _gives_up_at(command, limits):
        return _failed(command, Failure.NO_REPLY, now)
    return command


def due(command: Command, seen: Seen, limits: CutLimits, now: datetime) -> datetime | None:
    """Return when `judged` has to be asked again if nothing more is heard."""
    match command.state:
        case CommandState.ORDERED:
            return command.expires_at
        case CommandState.SENT:
            return _gives_up_at(command, limits)
        case CommandState.CONFIRMED:
            ends = _verified_by(command, limits)
            return ends if now < ends else _heard_by(command, seen, limits)
        case _:
            return None


def _may_change(command: Command) -> bool:
    return command.is_open or command.failure in MENDABLE


def _confirmed(command: Command, at: datetime) -> Command:
    state = CommandState.CONFIRMED if command.is_open else command.state
    return replace(command, state=state, confirmed_at=at, next_at=None)


def _failed(command: Command, failure: Failure, at: datetime) -> Command:
    return replace(
        command, state=CommandState.FAILED, failure=failure, ended_at=at, next_at=None
    )


def _since(command: Command) -> datetime:
    """Return from when on a reading may be the command's doing."""
    return command.first_sent_at or command.ordered_at


def _relay_says_so(command: Command, seen: Seen) -> bool:
    """Say whether the relay stands as ordered; dialects without replies have only this."""
    if seen.relay_at is None or seen.relay_at <= _since(command):
        return False
    return seen.relay_on is (command.action is Action.RELEASE)


def _is_dark(command: Command, seen: Seen, dark_below_w: float) -> bool:
    if seen.power_w is None or seen.power_at is None or seen.power_at <= _since(command):
        return False
    return seen.power_w < dark_below_w


def _gives_up_at(command: Command, limits: CutLimits) -> datetime:
    """Return until when an answer is waited for."""
    if command.next_at is not None or command.sent_at is None:
        return command.expires_at
    return command.sent_at + limits.retry_after


def _verified_by(command: Command, limits: CutLimits) -> datetime:
    return (command.confirmed_at or command.ordered_at) + limits.verify_within


def _heard_by(command: Command, seen: Seen, limits: CutLimits) -> datetime:
    """Return until when a power is waited for: a device that reports seldom gets a beat."""
    beat = min(seen.cadence, BEAT_MAX) * SLOW_BEATS
    return (command.confirmed_at or command.ordered_at) + max(limits.verify_within, beat)


def _unverified(command: Command, seen: Seen, limits: CutLimits, now: datetime) -> Command:
    """Return a confirmed command whose socket is not dark: it waits, or it has failed."""
    confirmed_at = command.confirmed_at
    if confirmed_at is None or now < _verified_by(command, limits):
        return command
    late = confirmed_at + limits.verify_within * LATE_SHARE
    if seen.power_at is not None and seen.power_at >= late:
        return _failed(command, Failure.STILL_FLOWS, now)
    if now < _heard_by(command, seen, limits):
        return command
    flows = seen.power_at is not None and seen.power_at > confirmed_at
    return _failed(command, Failure.STILL_FLOWS if flows else Failure.NO_READING, now)
