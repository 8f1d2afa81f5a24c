"""The secrets of a village: made once, at random, each in a file of its own.

Containers have users of their own, which nobody on this machine has. So a file may be read by
its group, which the containers are given in addition (`DEPLOY_GID`), and the folder around all
of them is closed to everybody but its owner: what is mounted into a container is reached
without it.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from api.settings import PLACEHOLDERS, real_secret
from ingest.errors import ChargewatchError

CLOSED, SHARED_FOLDER, SHARED_FILE = 0o700, 0o2750, 0o640
"""For the owner alone; for the owner's group too, which files inside inherit."""
SECRET_BYTES = 24
FILE_BYTES_MAX = 64 * 1024

SERVICE = "service"
"""The folder whose files are settings of the service, whatever is put there."""
INFLUX_OPERATOR = "influx_operator_token"
GRAFANA_MANAGER = "grafana_manager_password"
SIMULATOR = f"{SERVICE}/simulator_password"
SERVICE_AT_BROKER = f"{SERVICE}/chargewatch_broker__password"
MADE = (
    SERVICE_AT_BROKER,
    f"{SERVICE}/chargewatch_webhook__secret",
    "influx_admin_password",
    INFLUX_OPERATOR,
    "grafana_admin_password",
    "grafana_secret_key",
    GRAFANA_MANAGER,
    SIMULATOR,
)
"""Every secret that we make up ourselves, by its path in the folder of secrets."""


class SecretsWrong(ChargewatchError):
    """A secret is missing, unreadable, a placeholder, or open to others."""


def made_secrets(folder: Path) -> list[str]:
    """Make those that are missing, and return their names; what there is stays as it is."""
    for place in (folder, folder / SERVICE):
        shared(place)
    missing = [name for name in MADE if not (folder / name).exists()]
    for name in missing:
        write_shared(folder / name, secrets.token_hex(SECRET_BYTES) + "\n")
    refuse_wrong(folder)
    return missing


def refuse_wrong(folder: Path) -> None:
    """Raise SecretsWrong with all that is wrong in the folder; no secret is quoted."""
    wrong = list(_complaints(folder))
    if wrong:
        raise SecretsWrong("; ".join(wrong))


def closed(folder: Path) -> None:
    """Make a folder for its owner alone; raise SecretsWrong if it is somebody else's."""
    _made(folder, CLOSED)


def shared(folder: Path) -> None:
    """Make a folder whose files the containers may read; SecretsWrong as in `closed`."""
    _made(folder, SHARED_FOLDER)


def _made(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise SecretsWrong(f"{folder} belongs to somebody else")
    folder.chmod(mode)


def read_secret(path: Path) -> str:
    """Return what a file of one line holds; raises SecretsWrong if it is no real secret."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX).decode().strip()
    except (OSError, UnicodeError) as error:
        raise SecretsWrong(f"{path}: {error}") from error
    try:
        real_secret(SecretStr(text))
    except ValueError as error:
        raise SecretsWrong(f"{path}: {error}") from None
    return text


def _complaints(folder: Path) -> Iterator[str]:
    for name in MADE:
        if not (folder / name).is_file():
            yield f"{folder / name} is missing: run `./chargewatch deploy init`"
            continue
        try:
            read_secret(folder / name)
        except SecretsWrong as error:
            yield str(error)
    for path in sorted((folder / SERVICE).glob("*")):
        given_by_others = f"{SERVICE}/{path.name}" not in MADE
        if given_by_others and path.is_file() and _left_open(path):
            yield f"{path}: empty, or a placeholder"


def _left_open(path: Path) -> bool:
    """Say whether a secret of somebody else's, such as a mail server's, was never filled in."""
    text = path.read_text(errors="replace").strip().lower()
    return not text or text in PLACEHOLDERS


def write_shared(path: Path, text: str) -> None:
    """Write a file that the containers may read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.chmod(SHARED_FILE)
    fresh.replace(path)
