"""Telling a Mosquitto on this machine to read its files again.

On SIGHUP it reads passwords, access rights and certificates, and throws out whoever is
connected with a login that is gone or has another password.
"""

import os
import signal
from pathlib import Path

from api.credentials.logins import CredentialsWrong

PROGRAM = "mosquitto"


def reload_broker(pid_file: Path) -> int:
    """Send SIGHUP to the process in Mosquitto's pid file, and return its number.

    Raises CredentialsWrong if that is no Mosquitto, or none of ours to tell.
    """
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        name = Path(f"/proc/{pid}/comm")
        if pid <= 1 or (name.exists() and name.read_text(encoding="utf-8").strip() != PROGRAM):
            raise CredentialsWrong(f"{pid_file}: {pid} is no {PROGRAM}; is the broker running?")
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise CredentialsWrong(f"the broker could not be told: {pid_file}: {error}") from error
    return pid
