"""What a provider counts: a lane is one robot, one gateway, one mail server.

However many people are reached by it, a provider sees one sender. So its limit is the
lane's, and not that of any one address behind it.
"""

import hashlib

import msgspec

from api.channels import Channel
from api.channels.alertmanager import Alertmanager
from api.channels.by_apprise import ByApprise
from api.channels.console_log import ConsoleLog
from api.channels.dingtalk import DingTalk
from api.channels.feishu import Feishu
from api.channels.gateway import Sms, VoiceCall
from api.channels.mqtt import MqttTopic
from api.channels.ntfy import Ntfy
from api.channels.posting import Post
from api.channels.smtp import Smtp
from api.channels.webhook import Webhook
from api.channels.wecom import WeCom
from api.settings import Settings
from ingest.people import Via

APPRISE_PER_MINUTE = 20
"""What Telegram takes in a group; of the hundred others nobody knows better."""
WEBHOOK_PER_MINUTE = 60
"""Of one that a person entered: behind it is who reads."""
MARK_CHARS = 6


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One sender in a provider's eyes."""

    name: str
    """For people and metrics; gives no address away."""
    per_minute: int | None = None
    """Messages; None: as many as there are."""
    folds: bool = False
    """Whether people read there, so that what is too much may come as a digest."""


def lane_of(channel: Channel, settings: Settings) -> Lane:
    """Return the lane of a channel; machines, and what is unknown, have one of their own."""
    match channel:
        case ConsoleLog() | MqttTopic() | Alertmanager() | Webhook():
            return Lane(name=channel.name)
        case VoiceCall():
            return Lane(name=Via.VOICE, per_minute=settings.voice.per_minute, folds=True)
        case Sms():
            return Lane(name=Via.SMS, per_minute=settings.sms.per_minute, folds=True)
        case Smtp():
            return Lane(name=Via.EMAIL, per_minute=settings.smtp.per_minute, folds=True)
        case DingTalk():
            return _of_address(Via.DINGTALK, channel)
        case WeCom():
            return _of_address(Via.WECOM, channel)
        case Feishu():
            return _of_address(Via.FEISHU, channel)
        case Ntfy():  # its server counts, whatever the topic
            return _of_address(Via.NTFY, channel)
        case ByApprise():
            return Lane(name=channel.name, per_minute=APPRISE_PER_MINUTE, folds=True)
        case _:
            per_minute = channel.limits.per_minute
            return Lane(name=channel.name, per_minute=per_minute, folds=per_minute is not None)


def marked(name: str, post: Post) -> str:
    """Return a name that tells addresses apart and gives none away."""
    return f"{name} {hashlib.sha256(post.url.encode()).hexdigest()[:MARK_CHARS]}"


def _of_address(via: Via, channel: DingTalk | WeCom | Feishu | Ntfy) -> Lane:
    return Lane(
        name=marked(via, channel.post), per_minute=channel.limits.per_minute, folds=True
    )
