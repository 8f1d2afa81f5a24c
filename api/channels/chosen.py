"""Which ways of telling people are set up."""

from collections.abc import Iterator

import httpx
from pydantic import SecretStr

from api.channels import Channel
from api.channels.alertmanager import Alertmanager
from api.channels.by_apprise import ByApprise
from api.channels.dingtalk import DingTalk
from api.channels.feishu import Feishu
from api.channels.gateway import Confirmation, Sms, VoiceCall
from api.channels.guard import Guard
from api.channels.mqtt import MqttTopic
from api.channels.ntfy import Ntfy
from api.channels.posting import Post
from api.channels.smtp import mail_channels
from api.channels.template import Template
from api.channels.webhook import Webhook
from api.channels.wecom import WeCom
from api.settings import Settings
from api.settings_channels import GatewaySettings
from ingest.clock import Now
from ingest.mqtt_connection import BrokerAddress


def chosen(settings: Settings, broker: BrokerAddress, now: Now) -> Iterator[Channel]:
    """Yield the channels that the settings switch on; `broker` is where MQTT is published."""
    guard = Guard() if settings.outgoing.allow_private is False else None

    def post(url: SecretStr | str) -> Post:
        text = url if isinstance(url, str) else url.get_secret_value()
        return Post(url=text, guard=guard)

    if (url := settings.webhook.url) is not None:
        secret = _text(settings.webhook.secret).encode()
        yield Webhook(post=post(url), secret=secret, now=now)
    yield from mail_channels(settings.smtp, now)
    ding = settings.dingtalk
    if ding.url is not None:
        yield DingTalk(
            post=post(ding.url), secret=_text(ding.secret), mobiles=ding.mobiles, now=now
        )
    wecom = settings.wecom
    if wecom.url is not None:
        yield WeCom(post=post(wecom.url), mobiles=wecom.mobiles, users=wecom.users, now=now)
    feishu = settings.feishu
    if feishu.url is not None:
        yield Feishu(
            post=post(feishu.url), secret=_text(feishu.secret), users=feishu.users, now=now
        )
    if settings.ntfy.url is not None:
        server, topic = server_and_topic(settings.ntfy.url.get_secret_value())
        token = _text(settings.ntfy.token) or None
        yield Ntfy(post=post(server), topic=topic, token=token, now=now)
    yield from _phones(Sms, settings.sms, guard, now)
    yield from _phones(VoiceCall, settings.voice, guard, now)
    if settings.publish.topic is not None:
        yield MqttTopic(
            broker=broker,
            client_id=settings.broker.client_id,
            topic=settings.publish.topic,
            secret=_text(settings.publish.secret).encode(),
            now=now,
        )
    manager = settings.alertmanager
    if manager.url is not None:
        yield Alertmanager(
            post=post(manager.url.rstrip("/") + "/api/v2/alerts"),
            token=_text(manager.token) or None,
            now=now,
        )
    for address in dict.fromkeys(each.get_secret_value() for each in settings.apprise.urls):
        yield ByApprise.of(address)


def _phones(
    kind: type[Sms], settings: GatewaySettings, guard: Guard | None, now: Now
) -> Iterator[Sms]:
    if settings.url is None:
        return
    for number in dict.fromkeys(settings.numbers):  # twice the same is once
        post = Post(url=settings.url.get_secret_value(), guard=guard)
        yield phone(kind, settings, post, number, now)


def phone(kind: type[Sms], settings: GatewaySettings, post: Post, number: str, now: Now) -> Sms:
    """Return one number behind the gateway of the settings."""
    confirmation = None
    if settings.ok_pointer is not None:
        confirmation = Confirmation(pointer=settings.ok_pointer, value=settings.ok_value)
    return kind(
        post=post,
        number=number,
        template=Template.of(_text(settings.body), form=settings.form == "form"),
        headers={name: value.get_secret_value() for name, value in settings.headers.items()},
        confirmation=confirmation,
        now=now,
    )


def server_and_topic(address: str) -> tuple[str, str]:
    """Split a topic's address: a JSON message goes to the server and names its topic."""
    url = httpx.URL(address)
    folder, _, topic = url.path.rpartition("/")
    return str(url.copy_with(path=f"{folder}/")), topic


def _text(secret: SecretStr | None) -> str:
    """Return a secret; an empty text if it is not set."""
    return "" if secret is None else secret.get_secret_value()
