"""From the settings to the channels, and from what fires to what is said again."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from api.announce import firing_notices, title_heard
from api.channels import Notice
from api.channels.chosen import chosen
from api.channels.mqtt import MqttTopic
from api.channels.ntfy import Ntfy
from api.channels.webhook import verify
from api.settings import Settings
from api.text import Texts
from ingest.clock import utc_now
from ingest.mqtt_connection import BrokerAddress
from rules.alerts import Transition
from rules.readings import Reading
from tests.http_doubles import SMOKE, world
from tests.receivers import NOTICE, NOW, SECRET, now

BROKER = BrokerAddress(host="127.0.0.1", port=1883)
SECRET_TEXT = "0123456789abcdef"
ALL: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://hook.example/x", "secret": SECRET_TEXT},
    "smtp": {"host": "mail.example", "recipients": ["a@example.com"]},
    "dingtalk": {"url": "https://robot.example/send?access_token=1f", "secret": SECRET_TEXT},
    "wecom": {"url": "https://robot.example/send?key=1f"},
    "feishu": {"url": "https://robot.example/hook/1f", "secret": SECRET_TEXT},
    "ntfy": {"url": "https://ntfy.example/deep/alarms"},
    "sms": {
        "url": "https://sms.example",
        "numbers": ["13800001111", "13900002222"],
        "body": '{"to": "{number}", "text": "{text}"}',
    },
    "voice": {
        "url": "https://sms.example",
        "numbers": ["13800001111"],
        "body": "to={number}&text={text}",
        "form": "form",
    },
    "publish": {"topic": "alerts/{area}", "secret": SECRET_TEXT},
    "alertmanager": {"url": "http://alertmanager:9093/"},
}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_settings_there_are_no_channels() -> None:
    assert list(chosen(Settings(), BROKER, utc_now)) == []


def test_each_group_of_settings_switches_its_channels_on_and_shows_no_secret() -> None:
    channels = list(chosen(Settings.model_validate(ALL), BROKER, utc_now))
    assert [channel.name for channel in channels] == [
        "webhook",
        "mail to a@example.com",
        "dingtalk",
        "wecom",
        "feishu",
        "ntfy",
        "sms to 13800001111",
        "sms to 13900002222",
        "call to 13800001111",
        "mqtt",
        "alertmanager",
    ]
    assert SECRET_TEXT not in repr(channels)
    assert "1f" not in repr(channels)
    [ntfy] = [channel for channel in channels if isinstance(channel, Ntfy)]
    assert (ntfy.post.url, ntfy.topic) == ("https://ntfy.example/deep/", "alarms")


def test_who_is_named_twice_is_told_once() -> None:
    twice = {"numbers": ["13800001111", "13800001111"]}
    given = {
        "sms": ALL["sms"] | twice,
        "smtp": {"host": "mail.example", "recipients": ["a@example.com", "a@example.com"]},
        "apprise": {"urls": ["json://apprise.example", "json://apprise.example"]},
    }
    names = [
        channel.name for channel in chosen(Settings.model_validate(given), BROKER, utc_now)
    ]
    assert len(names) == len(set(names)) == 3


@pytest.mark.parametrize(("allowed", "guarded"), [(None, False), (True, False), (False, True)])
def test_the_operators_addresses_are_guarded_only_if_he_says_so(
    allowed: bool | None,
    guarded: bool,
) -> None:
    given = {"ntfy": ALL["ntfy"], "outgoing": {"allow_private": allowed}}
    [ntfy] = chosen(Settings.model_validate(given), BROKER, utc_now)
    assert isinstance(ntfy, Ntfy)
    assert (ntfy.post.guard is not None) is guarded


# --- MQTT ----------------------------------------------------------------------------------


def siren(topic: str) -> MqttTopic:
    return MqttTopic(broker=BROKER, client_id="w", topic=topic, secret=SECRET, now=now)


def test_what_is_published_is_signed_as_a_webhook_is() -> None:
    said = json.loads(siren("alerts").payload(NOTICE))
    headers = {
        "X-Chargewatch-Timestamp": said["timestamp"],
        "X-Chargewatch-Signature": said["signature"],
    }
    assert verify(SECRET, headers, said["notice"].encode(), NOW)
    assert json.loads(said["notice"])["title"] == NOTICE.title


@pytest.mark.parametrize(
    ("area", "site", "topic"),
    [
        ("a1", "s1", "cw/a1/s1"),
        ("a+b", "#", "cw/a_b/_"),
        ("x/../y", "", "cw/x_.._y/all"),
        ("{site}", "s1", "cw/{site}/s1"),
    ],
)
def test_a_name_is_one_level_of_the_topic(area: str, site: str, topic: str) -> None:
    assert siren("cw/{area}/{site}").topic_for(replace(NOTICE, area=area, site=site)) == topic


# --- what is said again, and how it is called ----------------------------------------------


def test_what_fires_and_was_told_is_said_again_until_it_is_over(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        firing = firing_notices(
            here.engine, here.registry, Texts.of("en"), "https://cw.example"
        )

        async def play() -> list[list[Notice]]:
            said = [list(firing())]
            await here.hear(SMOKE, Reading(smoke_alarm=True))
            said.append(list(firing()))
            await here.hear(SMOKE, Reading(smoke_alarm=False))
            await here.wait(timedelta(hours=1))
            said.append(list(firing()))
            return said

        before, during, after = asyncio.run(play())
    assert [notice.rule for notice in during] == ["smoke"]
    assert during[0].transition is Transition.FIRING
    assert during[0].title.startswith("Critical: Smoke")
    assert before == after == []


@pytest.mark.parametrize(
    ("heard", "start"),
    [
        (Transition.FIRING, "Critical: "),
        (Transition.RAISED, "Worse. Critical: "),
        (Transition.ESCALATED, "Nobody has answered. Critical: "),
    ],
)
def test_a_title_says_that_it_became_worse_or_nobody_answered(
    tmp_path: Path, heard: Transition, start: str
) -> None:
    with world(tmp_path) as here:
        asyncio.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
        [alert] = here.engine.open_alerts()
        assert title_heard(alert, heard, here.registry, Texts.of("en")).startswith(start)
