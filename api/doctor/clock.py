"""The clock of this machine: whether somebody sets it right, and whether it was set back."""

import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from api.doctor.finding import Finding, found
from api.doctor.ledger import newest_commit
from api.doctor.patient import Patient

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes this file when it has set the clock."""
ANSWERS_WITHIN_S = 2.0
TOLERANCE = timedelta(seconds=5)


def check_clock(patient: Patient) -> list[Finding]:
    return [judge_clock(patient.now, newest_commit(patient), synchronised())]


def judge_clock(now: datetime, newest: datetime | None, in_step: bool | None) -> Finding:
    """Say whether the clock can be right; `in_step` None: nobody can tell."""
    if newest is not None and newest > now + TOLERANCE:
        behind = int((newest - now).total_seconds())
        return found("clock", "set_back", seconds=behind)
    if in_step is None:
        return found("clock", "unknown")
    return found("clock", "fine" if in_step else "unsynchronised")


def synchronised() -> bool | None:
    """Return what systemd says of the clock; None where there is no systemd."""
    if SYNCHRONISED.exists():
        return True
    program = shutil.which("timedatectl")
    if program is None:
        return None
    try:
        said = subprocess.run(  # noqa: S603  (a constant, found in PATH)
            [program, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=ANSWERS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(said.stdout.strip())
