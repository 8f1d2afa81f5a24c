"""The life of a command in the steps that people are shown."""

from datetime import datetime

import msgspec

from rules.cutting import Action, Command, CommandState

STEPS = ("ordered", "sent", "answered", "ended")


class Step(msgspec.Struct, frozen=True):
    """One step of a command's life; `state` is done, now, todo or failed."""

    name: str
    state: str
    at: datetime | None


def life_of(command: Command) -> list[Step]:
    """Return the steps of a command: ordered, sent, answered, and how it ended."""
    reached = (command.ordered_at, command.sent_at, command.confirmed_at or command.replied_at)
    failed = command.state is CommandState.FAILED
    ended = command.ended_at if not command.is_open else None
    steps: list[Step] = []
    waits = False
    for name, at in zip(STEPS, (*reached, ended), strict=True):
        if at is not None:
            state = "failed" if name == "ended" and failed else "done"
        elif ended is not None:
            state = "skipped"
        else:
            state, waits = ("todo" if waits else "now"), True
        steps.append(Step(name, state, at))
    return steps


def ending_word(command: Command) -> str:
    """Return the last step's name: worked, failed, or what is being waited for."""
    if command.state is CommandState.FAILED:
        return "failed"
    return "verified" if command.action is Action.CUT else "released"
