"""People's ways, made into channels: by whose gateway, behind which guard, in which lane."""

from typing import Any

import pytest

from api.channels.chosen import chosen
from api.channels.lanes import lane_of
from api.channels.ways import WayNotSetUp, Ways
from api.settings import Settings
from ingest.mqtt_connection import BrokerAddress
from ingest.people import Via, Way
from tests.receivers import NOTICE, SECRET, TLS, Receiver, failure, now, receiving, sent

SECRET_TEXT = SECRET.decode()
BROKER = BrokerAddress(host="127.0.0.1", port=1883)
ADDRESSES = {
    Via.VOICE: "13800001111",
    Via.SMS: "13800001111",
    Via.EMAIL: "duty@example.com",
    Via.DINGTALK: "https://robot.example/send?access_token=5a",
    Via.WECOM: "https://robot.example/send?key=5a",
    Via.FEISHU: "https://robot.example/hook/5a",
    Via.NTFY: "https://ntfy.example/alarms",
    Via.WEBHOOK: "https://hook.example/alarms",
}
ROBOTS = (Via.DINGTALK, Via.WECOM, Via.FEISHU, Via.NTFY, Via.WEBHOOK)
GATEWAY = {"url": "https://sms.example", "body": '{"to": "{number}", "text": "{text}"}'}


def settings(**given: Any) -> Settings:
    everything = {"sms": GATEWAY, "voice": GATEWAY, "smtp": {"host": "mail.example"}}
    return Settings.model_validate(everything | given)


def ways(**given: Any) -> Ways:
    return Ways(settings=settings(**given), now=now, tls=TLS)


def way(via: Via, address: str = "", secret: str = SECRET_TEXT) -> Way:
    return Way(via=via, address=address or ADDRESSES[via], secret=secret)


@pytest.mark.parametrize("via", Via)
def test_each_way_is_a_channel_named_after_it_and_whose_it_is(via: Via) -> None:
    reached = ways().channel_for(way(via), "person:wang")
    assert reached.name == f"{via}:wang"
    assert reached.lane.folds
    assert reached.lane.per_minute
    for secret in (SECRET_TEXT, "5a", "13800001111"):
        assert secret not in repr(reached)


@pytest.mark.parametrize("via", [Via.SMS, Via.VOICE, Via.EMAIL])
def test_what_the_settings_have_no_gateway_for_is_said_so(via: Via) -> None:
    bare = Ways(settings=Settings(), now=now, tls=TLS)
    with pytest.raises(WayNotSetUp, match=f"{via}: the settings have no"):
        bare.channel_for(way(via), "person:wang")


@pytest.mark.parametrize(
    ("via", "address", "secret"),
    [
        (Via.EMAIL, "duty at the station", ""),
        (Via.WEBHOOK, ADDRESSES[Via.WEBHOOK], ""),
        (Via.DINGTALK, "ftp://robot.example/5a", ""),
        (Via.NTFY, "5a", ""),
    ],
    ids=["mail", "unsigned", "scheme", "no-host"],
)
def test_an_address_that_cannot_be_used_is_named_by_its_way_only(
    via: Via, address: str, secret: str
) -> None:
    with pytest.raises(WayNotSetUp) as raised:
        ways().channel_for(Way(via=via, address=address, secret=secret), "post:desk")
    assert str(raised.value).startswith(f"{via}: ")
    assert address not in str(raised.value)


@pytest.mark.parametrize("via", ROBOTS)
@pytest.mark.parametrize("allowed", [None, False])
def test_an_address_that_somebody_entered_leads_to_nothing_private(
    via: Via, *, allowed: bool | None
) -> None:
    with receiving() as end:
        reached = ways(outgoing={"allow_private": allowed}).channel_for(
            way(via, end.url), "person:mallory"
        )
        refused = failure(reached)
    assert refused.permanent
    assert "not a public address" in refused.reason
    assert end.posts == []


def told_to(end: Receiver, via: Via, secret: str) -> str:
    end.confirmation = b'{"errcode": 0, "code": 0}'
    private = ways(outgoing={"allow_private": True})
    return sent(private.channel_for(way(via, end.url, secret), "person:wang"), NOTICE)


@pytest.mark.parametrize("via", ROBOTS)
def test_a_private_address_is_reached_where_the_operator_allows_it(via: Via) -> None:
    with receiving() as end:
        assert "200" in told_to(end, via, SECRET_TEXT)
        assert len(end.posts) == 1


@pytest.mark.parametrize("via", [Via.DINGTALK, Via.FEISHU])
def test_a_robot_without_a_secret_is_not_signed_for(via: Via) -> None:
    with receiving() as end:
        told_to(end, via, "")
        [post] = end.posts
    assert "sign" not in {**post.query, **post.json}


def test_a_telephone_is_reached_through_the_operators_gateway_wherever_that_is() -> None:
    with receiving() as end:
        for via in (Via.SMS, Via.VOICE):
            gateway = GATEWAY | {"url": end.url}
            sent(ways(**{str(via): gateway}).channel_for(way(via), "post:desk"))
        assert [post.json["to"] for post in end.posts] == ["13800001111"] * 2


def test_all_telephones_share_the_gateways_lane_and_each_robot_has_its_own() -> None:
    made = ways(sms=GATEWAY | {"per_minute": 7})
    first, second = (
        made.channel_for(way(Via.SMS, number), f"person:{who}").lane
        for who, number in (("wang", "13800001111"), ("li", "13900002222"))
    )
    assert first == second
    assert (first.name, first.per_minute) == ("sms", 7)
    robots = {
        made.channel_for(way(Via.DINGTALK, f"https://robot.example/{n}"), "post:a").lane.name
        for n in range(3)
    }
    assert len(robots) == 3


def test_a_robot_of_the_settings_and_the_same_of_a_post_are_one_lane() -> None:
    url = ADDRESSES[Via.DINGTALK]
    both = settings(dingtalk={"url": url, "secret": SECRET_TEXT})
    [house] = [each for each in chosen(both, BROKER, now) if each.name == "dingtalk"]
    theirs = Ways(settings=both, now=now, tls=TLS).channel_for(way(Via.DINGTALK), "post:desk")
    assert lane_of(house, both) == theirs.lane
    assert theirs.lane.per_minute == 20


def test_machines_have_lanes_that_never_fold() -> None:
    given = settings(
        webhook={"url": "https://hook.example/x", "secret": SECRET_TEXT},
        publish={"topic": "alerts", "secret": SECRET_TEXT},
        alertmanager={"url": "http://alertmanager:9093"},
    )
    for channel in chosen(given, BROKER, now):
        lane = lane_of(channel, given)
        assert (lane.name, lane.per_minute, lane.folds) == (channel.name, None, False)
