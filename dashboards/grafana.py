"""Where Grafana is, and what we may say there: from the environment or the folder of secrets.

The names are those of the service's own settings (README), so that one `.env` serves both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import ChargewatchError

URL = "CHARGEWATCH_GRAFANA__URL"
TOKEN = "CHARGEWATCH_GRAFANA__TOKEN"  # noqa: S105  (a name)
INFLUX_URL = "CHARGEWATCH_INFLUX__URL"
INFLUX_TOKEN = "CHARGEWATCH_INFLUX__TOKEN"  # noqa: S105  (a name)
INFLUX_DATABASE = "CHARGEWATCH_INFLUX__DATABASE"
CONSOLE = "CHARGEWATCH_HTTP__URL"
SECRETS = "CHARGEWATCH_SECRETS_DIR"

PLACEHOLDERS = frozenset(
    {"change-me", "changeme", "change_me", "password", "secret", "admin", "test", "xxx", "todo"}
)
"""As in the service's settings; a test holds the two equal."""
SECRET_CHARS_MIN = 12


class GrafanaNotSet(ChargewatchError):
    """A setting is missing, cannot be read, or is a placeholder."""


class Secret(str):
    """A text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


@dataclass(frozen=True)
class Access:
    """Grafana, and the InfluxDB as Grafana reaches it. Its tokens are not in its repr."""

    url: str
    token: Secret
    influx_url: str
    influx_database: str
    influx_token: Secret | None


def access_of(environment: Mapping[str, str]) -> Access:
    """Return what the environment and the folder of secrets say; raises GrafanaNotSet."""
    url = _setting(environment, URL)
    if url is None or not url.startswith(("http://", "https://")):
        raise GrafanaNotSet(f"{URL} must be the address of Grafana: http://… or https://…")
    token = _secret(environment, TOKEN)
    if token is None:
        raise GrafanaNotSet(
            f"{TOKEN} is not set, nor is there a file {TOKEN.lower()} in {SECRETS}: make a"
            " service account of role Editor in Grafana, and a token for it"
        )
    return Access(
        url=url.rstrip("/"),
        token=token,
        influx_url=_setting(environment, INFLUX_URL) or "http://127.0.0.1:8086",
        influx_database=_setting(environment, INFLUX_DATABASE) or "chargewatch",
        influx_token=_secret(environment, INFLUX_TOKEN),
    )


def _secret(environment: Mapping[str, str], name: str) -> Secret | None:
    value = _setting(environment, name)
    if value is None:
        return None
    if value.lower() in PLACEHOLDERS or len(value) < SECRET_CHARS_MIN:
        raise GrafanaNotSet(
            f"{name} is a placeholder, or shorter than {SECRET_CHARS_MIN} characters"
        )
    return Secret(value)


def _setting(environment: Mapping[str, str], name: str) -> str | None:
    """Return a setting: the environment wins over the folder of secrets."""
    if value := environment.get(name):
        return value
    if not (folder := environment.get(SECRETS)):
        return None
    path = Path(folder) / name.lower()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise GrafanaNotSet(f"{path} cannot be read: {error}") from error
