"""What a check can find, and how bad each of it is: the one list of them.

docs/doctor.md explains each, and the catalogue has its words; tests hold the three together.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The check itself did not come to an end."""
    SKIPPED = "skipped"
    """There is nothing to check, or no way to."""


class Finding(msgspec.Struct, frozen=True):
    """`facts` fill the words of this outcome, and are what a program reads."""

    check: str
    outcome: str
    status: Status
    facts: dict[str, str | int | float] = {}


EVERYWHERE = {"timeout": Status.UNKNOWN, "fault": Status.UNKNOWN}
"""What may become of any check."""

OUTCOMES: dict[str, dict[str, Status]] = {
    "settings": {"fine": Status.OK, "wrong": Status.FAILED},
    "version": {"fine": Status.OK},
    "sites": {
        "fine": Status.OK,
        "none": Status.WARNING,
        "calendar": Status.WARNING,
        "wrong": Status.FAILED,
    },
    "policy": {
        "fine": Status.OK,
        "none": Status.OK,
        "nowhere": Status.WARNING,
        "wrong": Status.FAILED,
    },
    "files": {"fine": Status.OK, "none": Status.SKIPPED, "exposed": Status.FAILED},
    "disk": {
        "fine": Status.OK,
        "none": Status.SKIPPED,
        "fills": Status.WARNING,
        "low": Status.WARNING,
        "unwritable": Status.FAILED,
        "full": Status.FAILED,
    },
    "ledger": {
        "fine": Status.OK,
        "partly": Status.OK,
        "none": Status.SKIPPED,
        "older": Status.WARNING,
        "newer": Status.FAILED,
        "damaged": Status.FAILED,
    },
    "log": {"fine": Status.OK, "none": Status.SKIPPED, "broken": Status.FAILED},
    "journal": {"fine": Status.OK, "none": Status.SKIPPED, "behind": Status.WARNING},
    "messages": {
        "fine": Status.OK,
        "none": Status.SKIPPED,
        "never": Status.WARNING,
        "old": Status.WARNING,
    },
    "notifications": {
        "fine": Status.OK,
        "none": Status.SKIPPED,
        "given_up": Status.WARNING,
        "waiting": Status.FAILED,
    },
    "clock": {
        "fine": Status.OK,
        "unknown": Status.SKIPPED,
        "unsynchronised": Status.WARNING,
        "set_back": Status.FAILED,
    },
    "broker": {
        "fine": Status.OK,
        "unreachable": Status.FAILED,
        "untrusted": Status.FAILED,
        "refused": Status.FAILED,
        "unusable": Status.FAILED,
    },
    "access": {
        "fine": Status.OK,
        "open": Status.WARNING,
        "plain": Status.WARNING,
        "subscription": Status.FAILED,
    },
    "broker_limits": {"unreadable": Status.SKIPPED},
    "history": {
        "fine": Status.OK,
        "in_use": Status.OK,
        "none": Status.SKIPPED,
        "retention": Status.WARNING,
        "unreadable": Status.FAILED,
        "unreachable": Status.FAILED,
        "token": Status.FAILED,
        "no_bucket": Status.FAILED,
    },
    "grafana": {
        "fine": Status.OK,
        "no_token": Status.OK,
        "none": Status.SKIPPED,
        "no_dashboards": Status.WARNING,
        "unreachable": Status.FAILED,
        "token": Status.FAILED,
        "source": Status.FAILED,
    },
    "channels": {"fine": Status.OK, "only_log": Status.WARNING},
    "webhook": {
        "fine": Status.OK,
        "none": Status.SKIPPED,
        "unreachable": Status.FAILED,
        "untrusted": Status.FAILED,
    },
    "mail": {
        "fine": Status.OK,
        "none": Status.SKIPPED,
        "nobody": Status.WARNING,
        "unreachable": Status.FAILED,
        "untrusted": Status.FAILED,
        "refused": Status.FAILED,
    },
    "certificate": {"fine": Status.OK, "soon": Status.WARNING, "ending": Status.FAILED},
    "service": {
        "fine": Status.OK,
        "partly": Status.WARNING,
        "not_running": Status.FAILED,
        "unwell": Status.FAILED,
    },
    "console": {"fine": Status.OK, "unreachable": Status.WARNING},
}


def found(check: str, outcome: str, **facts: str | float) -> Finding:
    """Return a finding; one that is not in the list is a KeyError."""
    return Finding(check, outcome, (OUTCOMES[check] | EVERYWHERE)[outcome], facts)


EXIT = {Status.FAILED: 2, Status.WARNING: 1, Status.UNKNOWN: 3}
"""As monitoring programs count since Nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""


def exit_status(findings: Iterable[Finding]) -> int:
    """Return the worst: what failed, then what is to be seen to, then what nobody knows."""
    seen = {finding.status for finding in findings}
    return next((code for status, code in EXIT.items() if status in seen), 0)
