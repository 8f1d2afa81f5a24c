"""What Apprise tells for us, through its own JSON plugin."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from api.channels.by_apprise import AppriseUrlWrong, ByApprise
from rules.alerts import Transition
from tests.receivers import HOST, HOSTILE, NOTICE, Receiver, failure, receiving, sent


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def channel(receiver: Receiver, within_s: float = 10.0) -> ByApprise:
    url = f"json://user:0123456789@{HOST}:{receiver.server_port}/hook"
    return ByApprise.of(url, timedelta(seconds=within_s))


def test_it_says_title_text_link_and_what_kind_of_news_it_is(receiver: Receiver) -> None:
    assert sent(channel(receiver)) == "Apprise says that it was taken"
    sent(channel(receiver), replace(NOTICE, transition=Transition.RESOLVED))
    alarm, end = (json.loads(post.body) for post in receiver.posts)
    assert alarm["title"] == "🔴 桩1 插座2 过载"
    assert alarm["message"] == f"1,234 W，上限 1,000 W。\n{NOTICE.console_url}"
    assert (alarm["type"], end["type"]) == ("failure", "success")


def test_hostile_and_long_words_are_plain_and_cut(receiver: Receiver) -> None:
    sent(channel(receiver), replace(HOSTILE, text="火" * 10_000))
    [post] = receiver.posts
    said = json.loads(post.body)
    assert len(said["message"].encode()) <= 3_500
    assert said["message"].endswith(f"……（已截断，全文见控制台）\n{NOTICE.console_url}")
    assert "\x1b" not in said["title"]


@pytest.mark.parametrize("behaviour", ["404", "500", "cut"])
def test_a_no_without_a_reason_is_tried_again(receiver: Receiver, behaviour: str) -> None:
    receiver.behaviour = behaviour
    assert not failure(channel(receiver)).permanent


def test_what_hangs_is_given_up_in_time(receiver: Receiver) -> None:
    receiver.behaviour = "slow"
    assert failure(channel(receiver, 0.2)).reason == "no answer within 0.2 s"
    receiver.released.set()


def test_the_name_tells_addresses_apart_and_shows_no_secret(receiver: Receiver) -> None:
    first = channel(receiver)
    other = ByApprise.of(f"json://{HOST}/other")
    assert first.name.startswith("JSON ")
    assert first.name != other.name
    assert "0123456789" not in repr(first) + first.name


@pytest.mark.parametrize("url", ["", "nosuch://x", "not a url with-a-token"])
def test_what_apprise_does_not_know_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(AppriseUrlWrong) as raised:
        ByApprise.of(url)
    assert "token" not in str(raised.value)
