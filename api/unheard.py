"""Dangers that last and of which no person was told, although there are routes."""

from api.watch import Part
from ingest.ledger.commit import Commit, ToTell
from ingest.ledger.outbox import FIRST, REACHED_NOBODY
from rules.alerts import Transition

KEPT_MAX = 1_000


class Unheard:
    """Learns of them with each commit; a restart forgets them, and the alerts' pages do not."""

    def __init__(self) -> None:
        self._why: dict[str, ToTell] = {}

    def committed(self, batch: Commit) -> None:
        for told in batch.to_tell:
            if told.not_told in REACHED_NOBODY and told.urgency == FIRST:
                if len(self._why) < KEPT_MAX:
                    self._why[told.episode] = told
            elif told.recipient and told.not_told is None:
                self._why.pop(told.episode, None)
        for alert, transition in batch.changes:
            if transition is Transition.RESOLVED:
                self._why.pop(alert.episode, None)

    def part(self) -> Part:
        """Say for `ready` how many there are, and why of the last."""
        if not self._why:
            return Part("people", ok=True, vital=False)
        *_, last = self._why.values()
        reason = f"{len(self._why)} alarms reached no person; the last: {last.not_told}"
        return Part("people", ok=False, reason=reason, since=last.alert.since, vital=False)
