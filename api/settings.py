"""What can be set: read once from the environment, checked whole, frozen, given out in parts.

Every field is `CHARGEWATCH_<PART>__<NAME>` in the environment, a line in a `.env` file, or a
file of that name, in small letters, in a folder of secrets; the first of these wins.
The table in the README is made from these descriptions, and a test holds the two equal.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, Field, IPvAnyNetwork, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from api.settings_base import PLACEHOLDERS, OwnPort, Part, Port, real_secret
from api.settings_channels import (
    AlertmanagerSettings,
    AppriseSettings,
    DingTalkSettings,
    FeishuSettings,
    GatewaySettings,
    NtfySettings,
    OutgoingSettings,
    PublishSettings,
    SmtpSettings,
    WebhookSettings,
    WeComSettings,
)
from ingest.errors import ChargewatchError
from ingest.post_checks import ANSWER_WITHIN

__all__ = [
    "PLACEHOLDERS",
    "SecretsUnreadable",
    "SettingUnknown",
    "Settings",
    "SmtpSettings",
    "WebhookSettings",
    "read_settings",
    "real_secret",
    "secret_names",
    "table",
]


class BrokerSettings(Part):
    host: str = Field(default="127.0.0.1", description="the MQTT broker")
    port: Port = Field(default=1883, description="its port; 8883 is usual with TLS")
    tls: bool = Field(default=False, description="speak TLS and check the broker's certificate")
    ca_file: Path | None = Field(
        default=None, description="trust this authority instead of the system's"
    )
    username: str | None = Field(default=None, description="login at the broker")
    password: SecretStr | None = Field(default=None, description="password at the broker")
    client_id: str = Field(
        default="chargewatch",
        description="names the persistent session; only one service may use it",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
    )


class HttpSettings(Part):
    host: str = Field(default="127.0.0.1", description="address of the console and the API")
    port: OwnPort = Field(default=8000, description="port of the console and the API")
    url: str = Field(
        default="http://127.0.0.1:8000",
        description="how people reach the console; used in messages",
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="JSON list of networks of the proxies before the console, whose word on who"
        " asks (X-Forwarded-For, X-Forwarded-Proto) is believed",
        max_length=20,
    )


class HistorySettings(Part):
    kind: Literal["duckdb", "influxdb"] = Field(
        default="duckdb", description="where readings are kept: duckdb (a file) or influxdb"
    )
    keep_days: int = Field(
        default=400, ge=1, le=36_500, description="readings older than this are deleted"
    )


class InfluxSettings(Part):
    url: str = Field(
        default="http://127.0.0.1:8086",
        description="the InfluxDB, if readings are kept there",
        pattern=r"^https?://.+",
    )
    org: str = Field(default="chargewatch", description="organisation in InfluxDB 2")
    database: str = Field(
        default="chargewatch",
        description="bucket (InfluxDB 2) or database (1.8) of the readings; what is kept for"
        " years is in its retention policy `long`",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    )
    token: SecretStr | None = Field(
        default=None, description="token of InfluxDB 2, or user:password of 1.8"
    )
    ca_file: Path | None = Field(
        default=None, description="trust this authority instead of the system's"
    )

    _real = field_validator("token")(real_secret)


class GrafanaSettings(Part):
    url: str | None = Field(
        default=None,
        description="the Grafana that shows the dashboards, if there is one",
        pattern=r"^https?://.+",
    )
    token: SecretStr | None = Field(
        default=None, description="token of a service account, to push dashboards"
    )

    _real = field_validator("token")(real_secret)


class ChecksSettings(Part):
    answer_seconds: int = Field(
        default=int(ANSWER_WITHIN.total_seconds()),
        ge=5,
        le=3_600,
        description="how long a duty post has to answer whether somebody is there"
        " (docs/duty-checks.md)",
    )


class SettingUnknown(ChargewatchError):
    """There is no setting of that name: a slip of the pen must not be a silent default."""


class SecretsUnreadable(ChargewatchError):
    """The folder of secrets, or a file in it, cannot be read."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="CHARGEWATCH_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
        secrets_dir_missing="error",
    )

    secrets_dir: Path | None = Field(
        default=None,
        description="folder of files that hold one setting each, as container secrets do:"
        " `chargewatch_broker__password`",
    )
    tokens_dir: Path | None = Field(
        default=None,
        description="a second folder of that kind, for what programs made; it wins over the"
        " first",
    )
    data_dir: Path = Field(default=Path("var"), description="where ledger and history are kept")
    sites_file: Path | None = Field(
        default=None, description="TOML file of areas, sites and devices (docs/sites.md)"
    )
    policy_file: Path | None = Field(
        default=None, description="TOML file of the rules' limits (docs/policy.md)"
    )
    log: Literal["human", "json"] = Field(
        default="human", description="form of the log: human or json"
    )
    language: Literal["zh", "en"] = Field(
        default="zh", description="language of notifications: zh or en"
    )
    broker: BrokerSettings = BrokerSettings()
    http: HttpSettings = HttpSettings()
    history: HistorySettings = HistorySettings()
    influx: InfluxSettings = InfluxSettings()
    grafana: GrafanaSettings = GrafanaSettings()
    webhook: WebhookSettings = WebhookSettings()
    smtp: SmtpSettings = SmtpSettings()
    dingtalk: DingTalkSettings = DingTalkSettings()
    wecom: WeComSettings = WeComSettings()
    feishu: FeishuSettings = FeishuSettings()
    ntfy: NtfySettings = NtfySettings()
    sms: GatewaySettings = GatewaySettings()
    voice: GatewaySettings = GatewaySettings()
    publish: PublishSettings = PublishSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    apprise: AppriseSettings = AppriseSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    checks: ChecksSettings = ChecksSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (pydantic hands it over)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over `.env`, and both over the folder of secrets."""
        secrets = NestedSecretsSettingsSource(file_secret_settings)
        return init_settings, env_settings, dotenv_settings, secrets


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; a variable that looks like one of ours and is none is refused.

    Raises SettingUnknown, SecretsUnreadable, or pydantic's ValidationError. The variables of
    our tests and of the simulator (CHARGEWATCH_TEST_…, CHARGEWATCH_MQTT_…) are none of the
    service's.
    """
    known = {name for name, _, _ in table()}
    for name in environment:
        others = name.startswith(("CHARGEWATCH_TEST_", "CHARGEWATCH_MQTT_"))
        if name.startswith("CHARGEWATCH_") and not others and name not in known:
            raise SettingUnknown(f"there is no setting {name}; the README lists all of them")
    try:
        given = (environment.get(f"CHARGEWATCH_{name}_DIR") for name in ("SECRETS", "TOKENS"))
        folders = [folder for folder in given if folder]
        return Settings(_secrets_dir=folders)  # type: ignore[call-arg]  # BaseSettings takes it
    except (SettingsError, OSError, UnicodeError) as error:
        raise SecretsUnreadable(f"a folder of secrets: {error}") from error


def table() -> list[tuple[str, str, str]]:
    """Return every setting as (environment variable, default, what it is)."""
    return [
        (name, _shown(field.default), field.description or "")
        for name, field in _fields(Settings, "CHARGEWATCH_")
    ]


def secret_names() -> frozenset[str]:
    """Return the environment variables of those settings that nobody may read."""
    return frozenset(
        name
        for name, field in _fields(Settings, "CHARGEWATCH_")
        if _holds_secret(field.annotation)
    )


def _fields(part: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in part.model_fields.items():
        if isinstance(field.default, Part):
            yield from _fields(type(field.default), f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", field


def _shown(default: object) -> str:
    return "" if default is None else "[]" if default == () else str(default)


def _holds_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_holds_secret, get_args(annotation)))
