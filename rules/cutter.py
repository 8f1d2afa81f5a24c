"""Decides what is switched off, follows each command, and keeps the latches.

It works beside the engine and owns what it remembers: the `cut` of each socket, which is
stored with the device's state and taken up again after a restart. It does no I/O: it is told
what was ordered, sent and answered, and says what there is to write down. Whatever is
written down as ordered is sent by somebody else, from the ledger.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from msgspec.structs import replace

from rules import cutting
from rules.alerts import Alert, Change, Group, GroupKind, Subject
from rules.cut_log import ITSELF, Caused
from rules.cut_reasons import is_reason, sockets_concerned
from rules.cutting import Action, Command, CommandState, Failure
from rules.engine import Engine
from rules.latch import Cut, Latch
from rules.policy import Policy
from rules.readings import DeviceId, Kind
from rules.subject import DeviceState, Values

AGAIN = "latched_charging"
"""Why it is ordered: somebody has begun to charge in spite of the latch."""

SocketId = tuple[DeviceId, int | None]
PolicyOf = Callable[[DeviceId], Policy]


class Cutter:
    """Owns all commands and latches; `caused` collects until it is taken."""

    def __init__(self, engine: Engine, policy_of: PolicyOf) -> None:
        self._engine, self._policy_of = engine, policy_of
        self._due: dict[SocketId, datetime | None] = {}
        """Every socket with a latch or an open command, and when its time is up."""
        self._sockets: dict[str, SocketId] = {}
        """By the id of its last command."""
        self._dangers: dict[str, Alert] = {}
        """By site, the alert that is a reason to cut all that charges there."""
        self._caused = Caused()
        for alert in engine.open_alerts():
            if alert.key.device is None and is_reason(alert, None, 0.0):
                self._dangers[alert.site] = alert
        for device in engine.devices():
            for part in device.parts:
                if part.cut is not None:
                    self._watch((device.id, part.channel), part.cut, part, device.heard_at)

    def take_caused(self) -> Caused:
        """Return what there is to write down since the last call."""
        caused, self._caused = self._caused, Caused()
        return caused

    def take_changes(self) -> list[Change]:
        """Return the changes of alerts alone: those that follow must not overtake them."""
        changes, self._caused.changes = self._caused.changes, []
        return changes

    def next_deadline(self) -> datetime | None:
        """Return when something has to be judged without a message."""
        return min((at for at in self._due.values() if at is not None), default=None)

    def latched(self, socket: SocketId) -> Latch | None:
        cut = self._cut(socket)
        return None if cut is None else cut.latch

    # --- what is told ------------------------------------------------------------------

    def order(
        self, socket: SocketId, *, by: str, reason: str, now: datetime, episode: str = ""
    ) -> Command:
        """Cut a socket and latch it; while one cut is on its way, there is no second."""
        before = self._cut(socket)
        if before is not None and before.latch and before.command.is_open:
            return before.command
        command = self._new(socket, Action.CUT, by, reason, episode, now)
        latch = None if before is None else before.latch
        if latch is None:
            latch = Latch(
                id=command.id,
                device=socket[0],
                channel=socket[1],
                since=now,
                by=by,
                reason=reason,
                episode=command.episode,
            )
            self._caused.note_latch(latch, "latched", by, reason, now)
        self._keep(socket, Cut(command, latch), now)
        return command

    def clear(self, socket: SocketId, *, by: str, reason: str, now: datetime) -> Latch | None:
        """Clear a latch and order the release; None: there is no latch."""
        before = self._cut(socket)
        if before is None or before.latch is None:
            return None
        cleared = replace(before.latch, cleared_at=now, cleared_by=by, clear_reason=reason)
        self._caused.note_latch(cleared, "latch_cleared", by, reason, now)
        release = self._new(socket, Action.RELEASE, by, reason, cleared.episode, now)
        self._keep(socket, Cut(release, None), now)
        return cleared

    def sent(self, command_id: str, at: datetime) -> None:
        """Note that the broker has taken a command; an old one is no news."""
        socket, cut = self._find(command_id)
        if cut is not None:
            after = cutting.was_sent(cut.command, self._policy_of(socket[0]).cut, at)
            self._move(socket, cut, after, at)

    def cannot_be_sent(self, command_id: str, detail: str, at: datetime) -> None:
        socket, cut = self._find(command_id)
        if cut is not None:
            self._move(socket, cut, cutting.cannot_be_sent(cut.command, detail, at), at)

    def answered(
        self, device: DeviceId, command_id: str, *, ok: bool, detail: str, at: datetime
    ) -> None:
        """Take a device's word. One to another's command, or to an old one, is no news."""
        socket, cut = self._find(command_id)
        if cut is not None and socket[0] == device:
            after = cutting.answered(cut.command, ok=ok, detail=detail, at=at)
            self._move(socket, cut, after, at)

    # --- what follows ------------------------------------------------------------------

    def run(self, touched: AbstractSet[Subject], now: datetime) -> None:
        """Look at the devices and sites that have changed, and at what is due."""
        has_alerts = self._engine.has_alerts
        for subject in touched:
            if self._dangers or has_alerts(subject):  # most have none, and there are many
                if isinstance(subject, Group):
                    self._cut_for_site(subject, now)
                else:
                    self._cut_for_device(subject, now)
        for socket, due in list(self._due.items()):
            if socket[0] in touched or (due is not None and due <= now):
                self._look(socket, now)

    def _cut_for_site(self, group: Group, now: datetime) -> None:
        """Cut what charges at a site, if an alert of all of it is a reason."""
        if group.kind is not GroupKind.SITE:
            return
        self._dangers.pop(group.name, None)
        for alert in self._engine.alerts_of(group):
            if is_reason(alert, None, 0.0):
                self._dangers[group.name] = alert
                for member in list(self._engine.group(group).members):
                    self._cut_for_device(member, now)

    def _cut_for_device(self, device: DeviceId, now: datetime) -> None:
        """Cut for the device's own alerts, and for what is wrong with its whole site."""
        alerts = self._engine.alerts_of(device)
        state = self._engine.device(device) if alerts or self._dangers else None
        if state is None or state.kind is not Kind.CHARGER:
            return
        danger = self._dangers.get(state.site)
        if danger is not None:
            self._cut_for(danger, state, now)
        warm_c = self._policy_of(device).heat.warn_c
        for alert in alerts:
            if is_reason(alert, state, warm_c):
                self._cut_for(alert, state, now)

    def _cut_for(self, alert: Alert, device: DeviceState, now: datetime) -> None:
        """Cut each socket once for each episode: a person who clears it knows better."""
        policy = self._policy_of(device.id)
        if not policy.cut.automatic:
            return
        for part in list(sockets_concerned(alert, device, policy.charging.min_w)):
            cut = part.cut
            known = cut is not None and (cut.latch or cut.command.episode == alert.episode)
            if not known:
                self.order(
                    (device.id, part.channel),
                    by=ITSELF,
                    reason=alert.key.rule,
                    now=now,
                    episode=alert.episode,
                )

    def _look(self, socket: SocketId, now: datetime) -> None:
        """Judge one socket's command, and cut again what charges in spite of its latch."""
        part, cut = self._part(socket), self._cut(socket)
        if part is None or cut is None:
            self._due.pop(socket, None)
            return
        policy, seen = self._policy_of(socket[0]), part.seen()
        after = cutting.judged(cut.command, seen, policy.cut, policy.dark_below_w, now)
        self._move(socket, cut, after, now)
        cut = self._cut(socket)
        if (
            cut is not None
            and cut.latch is not None
            and _is_tried_again(part, cut, policy, now)
        ):
            self.order(socket, by=ITSELF, reason=AGAIN, now=now, episode=cut.latch.episode)

    # --- inside ------------------------------------------------------------------------

    def _new(  # noqa: PLR0913, PLR0917  (an order has this many parts)
        self,
        socket: SocketId,
        action: Action,
        by: str,
        reason: str,
        episode: str,
        now: datetime,
    ) -> Command:
        device, channel = socket
        limits = self._policy_of(device).cut
        before = self._cut(socket)
        if before is not None:
            self._supersede(before.command, now)
        command = cutting.ordered(
            device,
            channel,
            action,
            by=by,
            reason=reason,
            episode=episode,
            before=before.command.id if before else "",
            limits=limits,
            now=now,
        )
        self._caused.note(command, "ordered", by, reason, now)
        return command

    def _supersede(self, old: Command, now: datetime) -> None:
        self._sockets.pop(old.id, None)
        if old.is_open:
            old = cutting.superseded(old, now)
            self._caused.note(old, CommandState.FAILED, ITSELF, Failure.SUPERSEDED, now)

    def _move(self, socket: SocketId, cut: Cut, after: Command, now: datetime) -> None:
        before = cut.command
        if after is not before:
            self._caused.note_steps(before, after, now)
        latch = cut.latch
        verified = after.state is CommandState.VERIFIED and before.state is not after.state
        if latch is not None and latch.dark_at is None and verified:
            latch = replace(latch, dark_at=now)
            self._caused.latches[latch.id] = latch
        if after is not before or latch is not cut.latch:
            self._keep(socket, Cut(after, latch), now)
        else:
            self._watch(socket, cut, self._part(socket), now)

    def _keep(self, socket: SocketId, cut: Cut, now: datetime) -> None:
        changes = self._engine.note_cut(*socket, cut, now)
        self._caused.changes += changes
        self._watch(socket, cut, self._part(socket), now)

    def _watch(
        self, socket: SocketId, cut: Cut, part: Values | None, now: datetime | None
    ) -> None:
        command = cut.command
        self._sockets[command.id] = socket
        at: datetime | None = command.expires_at
        if part is not None and now is not None:
            at = cutting.due(command, part.seen(), self._policy_of(socket[0]).cut, now)
        if command.is_open or cut.latch is not None:
            self._due[socket] = at if command.is_open else None
        else:
            self._due.pop(socket, None)

    def _find(self, command_id: str) -> tuple[SocketId, Cut | None]:
        socket = self._sockets.get(command_id)
        cut = None if socket is None else self._cut(socket)
        if socket is None or cut is None or cut.command.id != command_id:
            return (DeviceId(""), None), None
        return socket, cut

    def _part(self, socket: SocketId) -> Values | None:
        state = self._engine.device(socket[0])
        return None if state is None else state.values(socket[1])

    def _cut(self, socket: SocketId) -> Cut | None:
        part = self._part(socket)
        return None if part is None else part.cut


def _is_tried_again(part: Values, cut: Cut, policy: Policy, now: datetime) -> bool:
    """Say whether power flows that no command on its way will end."""
    command, power_at = cut.command, part.power_at
    if command.is_open or command.ended_at is None or power_at is None:
        return False
    if (part.power_w or 0.0) < policy.dark_below_w:
        return False
    if command.state is CommandState.VERIFIED:
        return True  # it was dark, so this is a later reading
    never_sent = command.failure is Failure.EXPIRED
    pause = timedelta(0) if never_sent else cutting.AGAIN_AFTER
    return power_at > command.ended_at and now >= command.ended_at + pause
