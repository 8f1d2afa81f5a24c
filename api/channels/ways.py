"""A person's or a post's way, made into a channel.

Telephones and mail go through the gateway and the server of the settings. Robots, ntfy and
webhooks have addresses that people entered, so the guard stands before them, always.
"""

import ssl
from dataclasses import dataclass, field
from functools import cached_property

from api.channels import Channel, Limits, Notice
from api.channels.chosen import phone, server_and_topic
from api.channels.dingtalk import DingTalk
from api.channels.feishu import Feishu
from api.channels.gateway import Sms, VoiceCall
from api.channels.guard import Guard
from api.channels.lanes import WEBHOOK_PER_MINUTE, Lane, lane_of, marked
from api.channels.ntfy import Ntfy
from api.channels.posting import Post
from api.channels.smtp import Smtp, SmtpServer, server_of
from api.channels.webhook import Webhook
from api.channels.wecom import WeCom
from api.settings import Settings
from api.settings_channels import GatewaySettings
from ingest.clock import Now
from ingest.errors import ChargewatchError
from ingest.people import Via, Way


class WayNotSetUp(ChargewatchError):
    """The settings have no gateway or server for it, or its address cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A channel to somebody, by one way of theirs."""

    name: str
    """`{via}:{id}`."""
    channel: Channel = field(repr=False)
    lane: Lane

    @property
    def limits(self) -> Limits:
        return self.channel.limits

    async def send(self, notice: Notice) -> str:
        return await self.channel.send(notice)


def name_of(via: Via, recipient: str) -> str:
    """Return what the outbox calls a way of `person:{id}` or `post:{id}`."""
    return f"{via}:{recipient.partition(':')[2]}"


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Makes channels of ways; cheap enough to make one for each message."""

    settings: Settings = field(repr=False)
    now: Now = field(repr=False)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    """One for all: making one takes longer than most messages."""

    @property
    def set_up(self) -> frozenset[Via]:
        """The kinds for which the settings have what it takes."""
        settings = self.settings
        there = {
            Via.SMS: settings.sms.url is not None,
            Via.VOICE: settings.voice.url is not None,
            Via.EMAIL: self._mail_server is not None,
        }
        return frozenset(via for via in Via if there.get(via, True))

    @property
    def guard(self) -> Guard:
        """What stands before addresses that people entered."""
        return Guard(allow_private=self.settings.outgoing.allow_private is True)

    def channel_for(self, way: Way, recipient: str) -> Reached:
        """Return the channel of a way of `person:{id}` or `post:{id}`.

        Raises WayNotSetUp, whose words give away no address.
        """
        try:
            channel = self._channel(way)
        except ValueError as error:  # it was checked when it was entered; the code has changed
            raise WayNotSetUp(f"{way.via}: the address or its secret cannot be used") from error
        if isinstance(channel, Webhook):
            name = marked(way.via, channel.post)
            lane = Lane(name=name, per_minute=WEBHOOK_PER_MINUTE, folds=True)
        else:
            lane = lane_of(channel, self.settings)
        return Reached(name=name_of(way.via, recipient), channel=channel, lane=lane)

    def _channel(self, way: Way) -> Channel:
        match way.via:
            case Via.SMS:
                return self._phone(Sms, self.settings.sms, way)
            case Via.VOICE:
                return self._phone(VoiceCall, self.settings.voice, way)
            case Via.EMAIL:
                return self._mail(way)
            case Via.DINGTALK:
                return DingTalk(post=self._post(way.address), secret=way.secret, now=self.now)
            case Via.WECOM:
                return WeCom(post=self._post(way.address), now=self.now)
            case Via.FEISHU:
                return Feishu(post=self._post(way.address), secret=way.secret, now=self.now)
            case Via.NTFY:
                server, topic = server_and_topic(way.address)
                token = way.secret or None
                return Ntfy(post=self._post(server), topic=topic, token=token, now=self.now)
            case Via.WEBHOOK:
                return Webhook(
                    post=self._post(way.address), secret=way.secret.encode(), now=self.now
                )

    def _post(self, url: str) -> Post:
        return Post(url=url, guard=self.guard, tls=self.tls)

    def _phone(self, kind: type[Sms], gateway: GatewaySettings, way: Way) -> Sms:
        if gateway.url is None:
            raise WayNotSetUp(f"{way.via}: the settings have no gateway")
        post = Post(url=gateway.url.get_secret_value(), guard=self._own_guard, tls=self.tls)
        return phone(kind, gateway, post, way.address, self.now)

    def _mail(self, way: Way) -> Smtp:
        server = self._mail_server
        if server is None:
            raise WayNotSetUp(f"{way.via}: the settings have no mail server")
        return Smtp(server=server, recipient=way.address, now=self.now)

    @property
    def _own_guard(self) -> Guard | None:
        """Return what stands before the operator's own addresses: nothing, unless asked for."""
        return Guard() if self.settings.outgoing.allow_private is False else None

    @cached_property
    def _mail_server(self) -> SmtpServer | None:
        return server_of(self.settings.smtp)
