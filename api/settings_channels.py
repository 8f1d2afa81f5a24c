"""The settings of the ways of telling people: one group for each way; one not set is off."""

import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api.channels.template import Template, TemplateWrong
from api.settings_base import PLACEHOLDERS, Part, Port, real_address, real_secret

Address = Annotated[SecretStr | None, AfterValidator(real_address)]
"""An address that is itself a secret, for it holds a token."""
Secret = Annotated[SecretStr | None, AfterValidator(real_secret)]
Mobile = Annotated[str, Field(pattern=r"^\+?[0-9-]{3,20}$")]
DEVICES = re.compile(r"(chargewatch/v1|tele|stat|cmnd|zigbee2mqtt)(/|$)")
"""The beginnings of the topics that the service listens to, or gives orders on."""
PerMinute = Annotated[int, Field(ge=1, le=100_000)]
UserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]


class WebhookSettings(Part):
    url: str | None = Field(
        default=None, description="where alerts are posted, signed", pattern=r"^https?://.+"
    )
    secret: SecretStr | None = Field(
        default=None, description="key of the signature; needed if there is a URL"
    )

    _real = field_validator("secret")(real_secret)

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.url is not None and self.secret is None:
            raise ValueError("a webhook is always signed: set CHARGEWATCH_WEBHOOK__SECRET too")
        return self


class SmtpSettings(Part):
    host: str | None = Field(default=None, description="mail server; none, no mail")
    port: Port = Field(default=587, description="its port")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="how the connection is protected: starttls, tls or none"
    )
    username: str | None = Field(default=None, description="login at the mail server")
    password: SecretStr | None = Field(default=None, description="password at the mail server")
    sender: str = Field(default="chargewatch@localhost", description="the From address")
    recipients: tuple[str, ...] = Field(default=(), description="JSON list of addresses")
    per_minute: PerMinute = Field(
        default=60, description="mails that the server takes in a minute"
    )


class DingTalkSettings(Part):
    url: Address = Field(default=None, description="the DingTalk robot's webhook address")
    secret: Secret = Field(
        default=None, description="its signing secret (SEC…); needed if there is a URL"
    )
    mobiles: tuple[Mobile, ...] = Field(
        default=(), description="JSON list of the mobile numbers that it mentions"
    )

    @model_validator(mode="after")
    def _signed(self) -> Self:
        needs(self.url, "CHARGEWATCH_DINGTALK__SECRET", self.secret)
        return self


class WeComSettings(Part):
    url: Address = Field(default=None, description="the WeCom robot's webhook address")
    mobiles: tuple[Mobile, ...] = Field(
        default=(),
        description="JSON list of the mobile numbers that it mentions; the messages are then"
        " plain text of at most 2,048 bytes",
    )
    users: tuple[UserId, ...] = Field(
        default=(), description="JSON list of the user ids that it mentions"
    )


class FeishuSettings(Part):
    url: Address = Field(default=None, description="the Feishu or Lark robot's webhook address")
    secret: Secret = Field(
        default=None, description="its signing secret; needed if there is a URL"
    )
    users: tuple[UserId, ...] = Field(
        default=(), description="JSON list of the open_ids that it mentions"
    )

    @model_validator(mode="after")
    def _signed(self) -> Self:
        needs(self.url, "CHARGEWATCH_FEISHU__SECRET", self.secret)
        return self


class NtfySettings(Part):
    url: Address = Field(
        default=None, description="the ntfy topic's address: https://ntfy.sh/{topic}"
    )
    token: Secret = Field(default=None, description="access token of the ntfy server (tk_…)")

    @field_validator("url")
    @classmethod
    def _with_topic(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().rpartition("/")[2].strip():
            raise ValueError("the topic is missing: https://ntfy.sh/{topic}")
        return value


class GatewaySettings(Part):
    url: Address = Field(default=None, description="address of the HTTP gateway")
    numbers: tuple[Mobile, ...] = Field(
        default=(),
        description="JSON list of telephone numbers that are told of everything, beside those"
        " of people and posts",
    )
    form: Literal["json", "form"] = Field(
        default="json", description="how the body is written: json or form"
    )
    body: SecretStr | None = Field(
        default=None,
        description="what is posted, with {number} and {text} in it, and {title} and {key} if"
        " wanted",
    )
    headers: dict[str, SecretStr] = Field(
        default={}, description="JSON object of further headers, a login for example"
    )
    ok_pointer: str | None = Field(
        default=None,
        description="where in its JSON answer the gateway says that it took the message: /code",
        pattern=r"^(/[^/]*)+$",
    )
    ok_value: str = Field(default="0", description="and what it says there")
    per_minute: PerMinute = Field(
        default=60, description="messages that the gateway takes in a minute"
    )

    @field_validator("body")
    @classmethod
    def _parsed(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            try:
                Template.of(value.get_secret_value(), form=info.data.get("form") == "form")
            except TemplateWrong as error:
                raise ValueError(f"the template {error}") from error
        return value

    @field_validator("headers")
    @classmethod
    def _real(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in value.items():
            text = secret.get_secret_value()
            if text.lower() in PLACEHOLDERS or not (name + text).isascii():
                raise ValueError(f"header {name!r}: a placeholder, or not ASCII")
            if not name or not (name + text).isprintable():
                raise ValueError(f"header {name!r}: has control characters, or no name")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.url is not None and not self.body:
            raise ValueError("a gateway needs a __BODY beside its __URL")
        return self


class PublishSettings(Part):
    topic: str | None = Field(
        default=None,
        description="MQTT topic on which alerts are published, signed; may hold {area} and"
        " {site}",
        pattern=r"^[^$+#\x00-\x1f][^+#\x00-\x1f]{0,199}$",
    )
    secret: Secret = Field(
        default=None, description="key of the signature; needed if there is a topic"
    )

    @field_validator("topic")
    @classmethod
    def _not_a_devices(cls, value: str | None) -> str | None:
        if value is not None and DEVICES.match(value):
            raise ValueError("devices speak there: what is published would be heard as theirs")
        return value

    @model_validator(mode="after")
    def _signed(self) -> Self:
        needs(self.topic, "CHARGEWATCH_PUBLISH__SECRET", self.secret)
        return self


class AlertmanagerSettings(Part):
    url: str | None = Field(
        default=None,
        description="the Prometheus Alertmanager: http://alertmanager:9093",
        pattern=r"^https?://.+",
    )
    token: Secret = Field(default=None, description="bearer token of the proxy before it")


class AppriseSettings(Part):
    urls: tuple[SecretStr, ...] = Field(
        default=(), description="JSON list of Apprise URLs, for Telegram, Matrix and others"
    )


class OutgoingSettings(Part):
    allow_private: bool | None = Field(
        default=None,
        description="whether HTTP channels may reach private addresses; not set: those in these"
        " settings may",
    )


def needs(wanted: object, name: str, given: object) -> None:
    """Refuse a way of telling that would not be signed."""
    if wanted is not None and given is None:
        raise ValueError(f"messages there are always signed: set {name} too")
