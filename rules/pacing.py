"""Which commands may be sent at a moment: a device gets them one by one."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from rules.cutting import Action, Command
from rules.readings import DeviceId


def paced(
    waiting: Iterable[Command],
    last_sent: Mapping[DeviceId, datetime],
    spacing_of: Callable[[DeviceId], timedelta],
    now: datetime,
) -> tuple[list[Command], datetime | None]:
    """Return what may be sent now, one for each device, and when to ask again.

    A device gets its commands one by one, some time apart. Cuts go before releases, then the
    oldest order first.
    """
    chosen: dict[DeviceId, Command] = {}
    later: list[datetime] = []
    for command in sorted(waiting, key=_urgency):
        if command.next_at is None:
            continue
        spacing, before = spacing_of(command.device), last_sent.get(command.device)
        at = command.next_at if before is None else max(command.next_at, before + spacing)
        if at > now:
            later.append(at)
        elif command.device in chosen:
            later.append(now + spacing)
        else:
            chosen[command.device] = command
    return list(chosen.values()), min(later, default=None)


def _urgency(command: Command) -> tuple[bool, datetime, str]:
    return command.action is not Action.CUT, command.ordered_at, command.id
