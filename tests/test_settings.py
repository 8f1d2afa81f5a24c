"""Settings: every name works, mistakes are said, and nothing changes afterwards."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from api.settings import SecretsUnreadable, Settings, read_settings
from api.settings_base import PLACEHOLDERS
from api.settings_channels import PublishSettings
from ingest.codecs import all_codecs

PREFIX = "CHARGEWATCH_"
ROBOT = "https://robot.example/send?access_token=0123456789abcdef"
BODY = "to={number}&text={text}"
APPRISE = "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/987654321/"
NEEDED = {
    "WEBHOOK__URL": ["WEBHOOK__SECRET"],
    "DINGTALK__URL": ["DINGTALK__SECRET"],
    "FEISHU__URL": ["FEISHU__SECRET"],
    "PUBLISH__TOPIC": ["PUBLISH__SECRET"],
    "SMS__URL": ["SMS__BODY", "SMS__FORM"],
    "SMS__BODY": ["SMS__FORM"],
    "VOICE__URL": ["VOICE__BODY", "VOICE__FORM"],
    "VOICE__BODY": ["VOICE__FORM"],
}
"""What has to be set too."""
VALUES: dict[str, tuple[str, Any]] = {
    "SECRETS_DIR": ("/run/secrets", Path("/run/secrets")),
    "TOKENS_DIR": ("/run/tokens", Path("/run/tokens")),
    "DATA_DIR": ("/srv/cw", Path("/srv/cw")),
    "POLICY_FILE": ("/etc/policy.toml", Path("/etc/policy.toml")),
    "SITES_FILE": ("/etc/sites.toml", Path("/etc/sites.toml")),
    "LOG": ("json", "json"),
    "LANGUAGE": ("en", "en"),
    "BROKER__HOST": ("broker.example", "broker.example"),
    "BROKER__PORT": ("8883", 8883),
    "BROKER__TLS": ("true", True),
    "BROKER__CA_FILE": ("/etc/ca.pem", Path("/etc/ca.pem")),
    "BROKER__USERNAME": ("watch", "watch"),
    "BROKER__PASSWORD": ("correct horse battery", SecretStr("correct horse battery")),
    "BROKER__CLIENT_ID": ("watch-2", "watch-2"),
    "HTTP__HOST": ("::", "::"),
    "HTTP__PORT": ("80", 80),
    "HTTP__TRUSTED_PROXIES": ('["127.0.0.1/32"]', (ip_network("127.0.0.1/32"),)),
    "HTTP__URL": ("https://cw.example", "https://cw.example"),
    "HISTORY__KIND": ("influxdb", "influxdb"),
    "HISTORY__KEEP_DAYS": ("7", 7),
    "INFLUX__URL": ("https://influx.example", "https://influx.example"),
    "INFLUX__ORG": ("village", "village"),
    "INFLUX__DATABASE": ("watch", "watch"),
    "INFLUX__TOKEN": ("0123456789abcdef", SecretStr("0123456789abcdef")),
    "INFLUX__CA_FILE": ("/etc/ca.pem", Path("/etc/ca.pem")),
    "GRAFANA__URL": ("https://grafana.example", "https://grafana.example"),
    "GRAFANA__TOKEN": ("0123456789abcdef", SecretStr("0123456789abcdef")),
    "WEBHOOK__URL": ("https://hook.example/x", "https://hook.example/x"),
    "WEBHOOK__SECRET": ("0123456789abcdef", SecretStr("0123456789abcdef")),
    "SMTP__HOST": ("mail.example", "mail.example"),
    "SMTP__PORT": ("465", 465),
    "SMTP__SECURITY": ("tls", "tls"),
    "SMTP__USERNAME": ("watch", "watch"),
    "SMTP__PASSWORD": ("correct horse battery", SecretStr("correct horse battery")),
    "SMTP__SENDER": ("cw@example.com", "cw@example.com"),
    "DINGTALK__URL": (ROBOT, SecretStr(ROBOT)),
    "DINGTALK__SECRET": ("SEC0123456789abc", SecretStr("SEC0123456789abc")),
    "DINGTALK__MOBILES": ('["13800001111"]', ("13800001111",)),
    "WECOM__URL": (ROBOT, SecretStr(ROBOT)),
    "WECOM__MOBILES": ('["13800001111"]', ("13800001111",)),
    "WECOM__USERS": ('["zhang"]', ("zhang",)),
    "FEISHU__URL": (ROBOT, SecretStr(ROBOT)),
    "FEISHU__SECRET": ("0123456789abcdef", SecretStr("0123456789abcdef")),
    "FEISHU__USERS": ('["ou_1"]', ("ou_1",)),
    "NTFY__URL": ("https://ntfy.example/alarms", SecretStr("https://ntfy.example/alarms")),
    "NTFY__TOKEN": ("tk_0123456789abc", SecretStr("tk_0123456789abc")),
    **{
        f"{kind}__{name}": value
        for kind in ("SMS", "VOICE")
        for name, value in {
            "URL": ("https://sms.example/send", SecretStr("https://sms.example/send")),
            "NUMBERS": ('["+8613800001111"]', ("+8613800001111",)),
            "BODY": (BODY, SecretStr(BODY)),
            "FORM": ("form", "form"),
            "HEADERS": ('{"X-Key": "0123"}', {"X-Key": SecretStr("0123")}),
            "OK_POINTER": ("/code", "/code"),
            "OK_VALUE": ("OK", "OK"),
        }.items()
    },
    "PUBLISH__TOPIC": ("alerts/{area}/{site}", "alerts/{area}/{site}"),
    "PUBLISH__SECRET": ("0123456789abcdef", SecretStr("0123456789abcdef")),
    "ALERTMANAGER__URL": ("http://alertmanager:9093", "http://alertmanager:9093"),
    "ALERTMANAGER__TOKEN": ("0123456789abcdef", SecretStr("0123456789abcdef")),
    "APPRISE__URLS": (f'["{APPRISE}"]', (SecretStr(APPRISE),)),
    "OUTGOING__ALLOW_PRIVATE": ("false", False),
    "CHECKS__ANSWER_SECONDS": ("120", 120),
    "SMTP__PER_MINUTE": ("100", 100),
    "SMS__PER_MINUTE": ("600", 600),
    "VOICE__PER_MINUTE": ("10", 10),
    "SMTP__RECIPIENTS": (
        '["a@example.com", "b@example.com"]',
        ("a@example.com", "b@example.com"),
    ),
}
PLACEHOLDER_ADDRESSES = [
    "robot.example",
    "ftp://robot.example/send",
    "http://",
    "http://[",
    "https://robot.example/send?access_token=xxx",
    "https://robot.example/send?access_token=XXXXXXXX",
    "https://robot.example/send?key=change-me",
    "https://robot.example/hook/your-webhook-id",
    "https://robot.example/send?access_token=…",
]
REFUSED = {
    "BROKER__PORT": ["0", "65536", "mqtt"],
    "BROKER__CLIENT_ID": ["", "two words", "x" * 65, "a/b"],
    "HTTP__PORT": ["-1"],
    "HTTP__TRUSTED_PROXIES": ['["everybody"]', '["10.0.0.1/8"]'],
    "HISTORY__KEEP_DAYS": ["0", "forever"],
    "HISTORY__KIND": ["influx", "sqlite"],
    "INFLUX__URL": ["influx.example"],
    "INFLUX__DATABASE": ["", "a/b", 'x" DROP'],
    "INFLUX__TOKEN": ["change-me", "short"],
    "GRAFANA__URL": ["grafana.example"],
    "GRAFANA__TOKEN": ["admin"],
    "WEBHOOK__URL": ["hook.example", "ftp://hook.example", "http://"],
    "WEBHOOK__SECRET": [*sorted(PLACEHOLDERS), "CHANGE-ME", "eleven-char", ""],
    "SMTP__SECURITY": ["ssl"],
    "DINGTALK__URL": PLACEHOLDER_ADDRESSES,
    "WECOM__URL": PLACEHOLDER_ADDRESSES,
    "FEISHU__URL": PLACEHOLDER_ADDRESSES,
    "DINGTALK__SECRET": ["change-me", "SEC"],
    "DINGTALK__MOBILES": ['["all"]', '["@all"]', '[""]'],
    "WECOM__USERS": ['["@all>"]', '["a b"]'],
    "FEISHU__USERS": ['["x></at><at id=all"]'],
    "NTFY__URL": ["https://ntfy.sh/", "ntfy.sh/topic"],
    "SMS__BODY": ['{"to": "{number}"}', "{number}{text}"],
    "SMS__NUMBERS": ['["110; DROP"]'],
    "SMS__HEADERS": [
        '{"Authorization": "change-me"}',
        '{"a\\nb": "c"}',
        '{"a": "b\\r\\nc: d"}',
    ],
    "SMS__OK_POINTER": ["code", ""],
    "PUBLISH__TOPIC": ["a/+/b", "a/#", "$SYS/x", ""],
    "ALERTMANAGER__URL": ["alertmanager:9093"],
    "LOG": ["xml"],
    "LANGUAGE": ["de"],
    "BROKER__PASWORD": ["a typing mistake"],
}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VALUES:
        monkeypatch.delenv(PREFIX + name, raising=False)


def names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper()


def looked_up(settings: Settings, name: str) -> object:
    found: object = settings
    for part in name.lower().split("__"):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_refuses(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert name.lower().replace("__", ".") in str(caught.value).replace("\n", " ")


def test_a_refused_secret_is_not_quoted_and_a_way_to_a_real_one_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHARGEWATCH_WEBHOOK__SECRET", "hunter2-x")
    with pytest.raises(ValidationError) as caught:
        Settings()
    [mistake] = caught.value.errors()
    assert "openssl rand" in mistake["msg"]
    assert "hunter2" not in mistake["msg"]


@pytest.mark.parametrize(
    ("name", "secret"),
    [(name, secret) for name, [secret, *_] in NEEDED.items() if secret.endswith("SECRET")],
)
def test_what_would_not_be_signed_is_refused(
    name: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, VALUES[name][0])
    with pytest.raises(ValidationError, match=PREFIX + secret):
        Settings()


@pytest.mark.parametrize("kind", ["SMS", "VOICE"])
def test_a_gateway_without_a_body_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}{kind}__URL", "https://sms.example")
    with pytest.raises(ValidationError, match="needs a __BODY"):
        Settings()


def test_the_tests_know_every_setting() -> None:
    assert set(VALUES) == set(names(Settings))


@pytest.mark.parametrize("name", VALUES)
def test_every_setting_has_a_name_in_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = VALUES[name]
    assert looked_up(Settings(), name) != value
    for other in NEEDED.get(name, []):
        monkeypatch.setenv(PREFIX + other, VALUES[other][0])
    monkeypatch.setenv(PREFIX + name, text)
    assert looked_up(Settings(), name) == value


def test_alerts_are_not_published_where_devices_are_listened_to() -> None:
    heard = [each for codec in all_codecs() for each in (*codec.filters, *codec.urgent_filters)]
    for name in (each.replace("+", "x").replace("#", "x") for each in heard):
        with pytest.raises(ValidationError, match="devices speak there"):
            PublishSettings(topic=name, secret=SecretStr("0123456789abcdef"))
    free = PublishSettings(topic="chargewatch/alerts", secret=SecretStr("0123456789abcdef"))
    assert free.topic == "chargewatch/alerts"


def test_a_file_may_hold_them_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("CHARGEWATCH_HTTP__PORT=81\nCHARGEWATCH_LOG=json\nOTHER=1\n")
    monkeypatch.setenv("CHARGEWATCH_HTTP__PORT", "82")
    settings = Settings()
    assert (settings.http.port, settings.log) == (82, "json")


def test_nothing_changes_afterwards() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.log = "json"
    with pytest.raises(ValidationError, match="frozen"):
        settings.broker.port = 1


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER__PASSWORD", "WEBHOOK__SECRET", "SMTP__PASSWORD"):
        monkeypatch.setenv(PREFIX + name, "correct horse battery")
    for name in ("DINGTALK__SECRET", "WECOM__URL", "SMS__HEADERS", "APPRISE__URLS"):
        monkeypatch.setenv(PREFIX + name, VALUES[name][0])
    for part in ("horse", "0123", "abcdefghi"):
        assert part not in repr(Settings())


def test_every_setting_says_what_it_is_for() -> None:
    def described(model: type[BaseModel]) -> Iterator[bool]:
        for field in model.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from described(field.annotation)
            else:
                yield bool(field.description)

    assert all(described(Settings))


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "chargewatch_broker__password").write_text("correct horse battery\n")
    settings = read_settings({"CHARGEWATCH_SECRETS_DIR": str(folder)})
    assert settings.broker.password == SecretStr("correct horse battery")


def test_the_environment_wins_over_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "chargewatch_broker__password").write_text("of the file")
    monkeypatch.setenv("CHARGEWATCH_BROKER__PASSWORD", "of the environment")
    settings = read_settings({"CHARGEWATCH_SECRETS_DIR": str(folder)})
    assert settings.broker.password == SecretStr("of the environment")


def test_a_placeholder_in_a_file_is_refused_and_not_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "chargewatch_influx__token").write_text("hunter2-x")
    with pytest.raises(ValidationError) as caught:
        read_settings({"CHARGEWATCH_SECRETS_DIR": str(folder)})
    assert "openssl rand" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_folder_of_secrets_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SecretsUnreadable, match="does not exist"):
        read_settings({"CHARGEWATCH_SECRETS_DIR": str(tmp_path / "nowhere")})


def test_what_programs_made_wins_over_what_was_given(tmp_path: Path) -> None:
    given, made = tmp_path / "given", tmp_path / "made"
    for folder in (given, made):
        folder.mkdir()
        (folder / "chargewatch_influx__token").write_text(f"of the folder {folder.name}")
    (given / "chargewatch_broker__password").write_text("of the folder given")
    settings = read_settings(
        {"CHARGEWATCH_SECRETS_DIR": str(given), "CHARGEWATCH_TOKENS_DIR": str(made)}
    )
    assert settings.influx.token == SecretStr("of the folder made")
    assert settings.broker.password == SecretStr("of the folder given")
