"""What there is to write down about commands and latches, and in which words."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from rules.alerts import Change
from rules.cutting import Command, CommandState
from rules.latch import Latch

ITSELF = "chargewatch"
"""Who orders what nobody ordered."""


class Logged(msgspec.Struct, frozen=True):
    """One line for the log that is never changed."""

    episode: str
    at: datetime
    what: str
    who: str
    detail: str


class Caused(msgspec.Struct):
    """All that is to be written down in one transaction."""

    commands: dict[str, Command] = {}
    latches: dict[str, Latch] = {}
    log: list[Logged] = []
    changes: list[Change] = []

    def note(self, command: Command, what: str, who: str, detail: str, at: datetime) -> None:
        """Keep a command as it is now, with a line about it."""
        said = f"{command.action} {command.id}" + (f": {detail}" if detail else "")
        self.log.append(Logged(command.episode, at, f"command_{what}", who, said))
        self.commands[command.id] = command

    def note_steps(self, before: Command, after: Command, at: datetime) -> None:
        """Keep a command that has moved on, with a line about each step."""
        for what, who, detail in _steps(before, after):
            self.note(after, what, who, detail, at)
        self.commands[after.id] = after

    def note_latch(self, latch: Latch, what: str, who: str, detail: str, at: datetime) -> None:
        """Keep a latch as it is now, with a line about it."""
        where = latch.device if latch.channel is None else f"{latch.device}:{latch.channel}"
        self.log.append(Logged(latch.episode, at, what, who, f"{where}: {detail}"))
        self.latches[latch.id] = latch


def _steps(before: Command, after: Command) -> Iterator[tuple[str, str, str]]:
    """Yield what the log says of a change: what, who, and in which words."""
    if after.attempts > before.attempts:
        yield "sent", ITSELF, f"attempt {after.attempts}"
    if after.replied_at != before.replied_at:
        yield "answered", after.device, after.detail or ("ok" if after.confirmed_at else "no")
    elif after.confirmed_at != before.confirmed_at:
        yield "answered", after.device, f"relay: {after.action}"
    if after.state is not before.state and after.state in {
        CommandState.VERIFIED,
        CommandState.FAILED,
    }:
        yield after.state, ITSELF, after.failure or ""
