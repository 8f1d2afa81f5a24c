"""The secrets of a village: made once, at random, each in a file of its own."""

import secrets
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from api.deploy.files import shared, write_shared
from api.settings import PLACEHOLDERS, real_secret
from ingest.errors import ChargewatchError

SECRET_BYTES = 24
FILE_BYTES_MAX = 64 * 1024

SERVICE = "service"
"""The folder whose files are settings of the service, whatever is put there."""
SIMULATOR = f"{SERVICE}/simulator_password"
SERVICE_AT_BROKER = f"{SERVICE}/chargewatch_broker__password"
MADE = (
    SERVICE_AT_BROKER,
    f"{SERVICE}/chargewatch_webhook__secret",
    "influx_admin_password",
    "influx_operator_token",
    "grafana_admin_password",
    "grafana_secret_key",
    "grafana_manager_password",
    SIMULATOR,
)
"""Every secret that we make up ourselves, by its path in the folder of secrets."""


class SecretsWrong(ChargewatchError):
    """A secret is missing, unreadable or a placeholder."""


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
        if f"{SERVICE}/{path.name}" not in MADE and path.is_file():
            yield from _complaint_about_others(path)


def _complaint_about_others(path: Path) -> Iterator[str]:
    """Complain of a secret from elsewhere, such as a mail server's, that nobody filled in."""
    try:
        text = path.read_text(errors="replace").strip().lower()
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    if not text or text in PLACEHOLDERS:
        yield f"{path}: empty, or a placeholder"
