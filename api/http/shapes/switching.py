"""Commands to devices, and the latches of sockets that were cut for safety."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.alerts import LogLine
from api.http.shapes.shape import WHEN, Shape, shown
from rules import cutting
from rules.cutting import Action, CommandState, Failure
from rules.latch import Latch as KeptLatch

COMMAND: dict[str, JsonValue] = {
    "id": "c-5f3a09c1d27be4680a1c9d22",
    "device": "xuhui/renmin-lu/pile-1",
    "channel": 3,
    "action": "switch_off",
    "ordered_by": "chargewatch",
    "reason": "overload",
    "episode": "overload@xuhui/renmin-lu/pile-1:3@1795444406000000",
    "ordered_at": WHEN,
    "expires_at": WHEN,
    "state": "verified",
    "attempts": 1,
    "sent_at": WHEN,
    "replied_at": WHEN,
    "confirmed_at": WHEN,
    "ended_at": WHEN,
    "failure": None,
    "detail": "",
}
LATCH: dict[str, JsonValue] = {
    "id": "c-5f3a09c1d27be4680a1c9d22",
    "device": "xuhui/renmin-lu/pile-1",
    "channel": 3,
    "since": WHEN,
    "by": "chargewatch",
    "reason": "overload",
    "episode": "overload@xuhui/renmin-lu/pile-1:3@1795444406000000",
    "dark_at": WHEN,
    "cleared_at": None,
    "cleared_by": "",
    "clear_reason": "",
}


class Command(Shape):
    """One order to one socket. `verified`: the device has confirmed it and no power flows."""

    id: str
    device: str
    channel: int | None
    action: Action
    ordered_by: str
    reason: str
    episode: str
    """Its lines in the log of the alert belong to this."""
    ordered_at: datetime
    expires_at: datetime
    state: CommandState
    attempts: int
    sent_at: datetime | None
    replied_at: datetime | None
    confirmed_at: datetime | None
    ended_at: datetime | None
    failure: Failure | None
    detail: str
    """What the device said beside yes or no."""

    model_config = shown(COMMAND)

    @classmethod
    def of(cls, command: cutting.Command) -> "Command":
        return cls(**{name: getattr(command, name) for name in cls.model_fields})


class Commands(Shape):
    """Newest first."""

    commands: list[Command]
    next_before: datetime | None
    """Ask again with `before` set to this for the next page; null: this was the last."""

    model_config = shown({"commands": [COMMAND], "next_before": None})


class Latch(Shape):
    """A socket that was cut for safety; until a person clears it, what charges is cut again."""

    id: str
    device: str
    channel: int | None
    since: datetime
    by: str
    reason: str
    episode: str
    dark_at: datetime | None
    """When the power was first known to be gone."""
    cleared_at: datetime | None
    cleared_by: str
    clear_reason: str

    model_config = shown(LATCH)

    @classmethod
    def of(cls, latch: KeptLatch) -> "Latch":
        return cls(**{name: getattr(latch, name) for name in cls.model_fields})


class Latches(Shape):
    """Newest first."""

    latches: list[Latch]

    model_config = shown({"latches": [LATCH]})


class CommandInFull(Shape):
    """A command, and the log of the alert (or the order) that it belongs to."""

    command: Command
    log: list[LogLine]

    model_config = shown({"command": COMMAND, "log": []})
