"""The robots of DingTalk, WeCom and Feishu: signatures, forms, limits, and their own codes."""

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api.channels import Channel, Notice
from api.channels.dingtalk import DingTalk
from api.channels.feishu import Feishu
from api.channels.ntfy import Ntfy
from api.channels.wecom import WeCom
from rules.alerts import Transition
from rules.verdict import Severity
from tests.receivers import NOTICE, NOW, Receiver, failure, now, post_to, receiving, sent

SECRET = "SEC0123456789abcdef"
MOBILES = ("13800001111", "13900002222")
RESOLVED = replace(NOTICE, transition=Transition.RESOLVED, title="【已解除】过载：桩1")
ESCALATED = replace(NOTICE, transition=Transition.ESCALATED)
LOOKS = [
    replace(NOTICE, severity=Severity.EMERGENCY),
    NOTICE,
    replace(NOTICE, severity=Severity.WARNING),
    ESCALATED,
    RESOLVED,
    replace(NOTICE, drill=True),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        server.confirmation = b'{"errcode":0,"code":0}'
        yield server


def dingtalk(receiver: Receiver, mobiles: tuple[str, ...] = ()) -> DingTalk:
    url = f"{receiver.url}?access_token=0123456789abcdef"
    return DingTalk(post=post_to(url), secret=SECRET, mobiles=mobiles, now=now)


def wecom(
    receiver: Receiver, users: tuple[str, ...] = (), mobiles: tuple[str, ...] = ()
) -> WeCom:
    post = post_to(f"{receiver.url}?key=0123456789")
    return WeCom(post=post, users=users, mobiles=mobiles, now=now)


def feishu(receiver: Receiver, users: tuple[str, ...] = ()) -> Feishu:
    return Feishu(post=post_to(receiver.url), secret=SECRET, users=users, now=now)


def posted(receiver: Receiver, channel: Channel, notice: Notice = NOTICE) -> Any:
    receiver.posts.clear()
    sent(channel, notice)
    [post] = receiver.posts
    return post.json


# --- signatures ----------------------------------------------------------------------------


def hmac_of(key: bytes, words: bytes) -> str:
    """HMAC-SHA-256 as RFC 2104 writes it down, in base64: not the library that we use."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(each ^ 0x36 for each in block) + words).digest()
    outer = hashlib.sha256(bytes(each ^ 0x5C for each in block) + inner).digest()
    return base64.b64encode(outer).decode()


def test_our_second_implementation_makes_the_value_that_dingtalk_published() -> None:
    # The example of DingTalk's page on signatures (ding-doc.dingtalk.com, hxs5v9), kept by
    # francistm/dingtalk-sdk, spec/dingtalk_spec.rb: the timestamp alone under the secret.
    published = unquote("HCbG3xNE3vzhO%2Bu7qCUL1jS5hsu2n5r2cFhnTrtyDAE%3D")
    assert hmac_of(b"testappSecret", b"1546084445901") == published


def test_dingtalk_gets_a_timestamp_in_milliseconds_and_its_signature(
    receiver: Receiver,
) -> None:
    sent(dingtalk(receiver))
    [post] = receiver.posts
    stamp = str(int(NOW.timestamp()) * 1000)
    assert post.query == {
        "access_token": "0123456789abcdef",
        "timestamp": stamp,
        "sign": hmac_of(SECRET.encode(), f"{stamp}\n{SECRET}".encode()),
    }


@pytest.mark.parametrize("second", range(0, 60, 7))
def test_a_signature_survives_its_way_through_the_address(
    receiver: Receiver, second: int
) -> None:
    at = datetime(2026, 1, 5, 8, 0, second, tzinfo=UTC)
    sent(DingTalk(post=post_to(receiver.url), secret=SECRET, now=lambda: at))
    [post] = receiver.posts
    stamp = post.query["timestamp"]
    assert post.query["sign"] == hmac_of(SECRET.encode(), f"{stamp}\n{SECRET}".encode())


def test_feishu_gets_seconds_and_the_hmac_of_nothing_under_both(receiver: Receiver) -> None:
    body = posted(receiver, feishu(receiver))
    stamp = str(int(NOW.timestamp()))
    assert body["timestamp"] == stamp
    assert body["sign"] == hmac_of(f"{stamp}\n{SECRET}".encode(), b"")


# --- what they show ------------------------------------------------------------------------


def test_dingtalk_shows_title_facts_and_link_and_mentions_by_number(receiver: Receiver) -> None:
    body = posted(receiver, dingtalk(receiver, MOBILES))
    assert body["msgtype"] == "markdown"
    assert body["markdown"]["title"] == "🔴 桩1 插座2 过载"
    text = body["markdown"]["text"]
    assert text.startswith("### 🔴 桩1 插座2 过载\n")
    assert "> 1,234 W，上限 1,000 W。\n" in text
    assert f"[打开控制台]({NOTICE.console_url})" in text
    assert text.endswith("\n@13800001111 @13900002222\n")
    assert body["at"] == {"atMobiles": list(MOBILES), "isAtAll": False}


def test_wecom_is_markdown_with_a_colour_and_mentions_by_user(receiver: Receiver) -> None:
    body = posted(receiver, wecom(receiver, users=("zhang", "li")))
    text = body["markdown"]["content"]
    assert text.startswith('<font color="warning">**🔴 桩1 插座2 过载**</font>\n')
    assert text.endswith(f"[打开控制台]({NOTICE.console_url})\n<@zhang> <@li>")
    over = posted(receiver, wecom(receiver), RESOLVED)
    assert over["markdown"]["content"].startswith('<font color="info">')


def test_wecom_is_plain_text_where_mobile_numbers_are_mentioned(receiver: Receiver) -> None:
    channel = wecom(receiver, mobiles=MOBILES)
    body = posted(receiver, channel)
    assert body["msgtype"] == "text"
    assert body["text"]["mentioned_mobile_list"] == list(MOBILES)
    assert body["text"]["content"].endswith(NOTICE.console_url)
    assert (channel.limits.bytes_max, wecom(receiver).limits.bytes_max) == (2048, 4096)


def test_feishu_is_a_card_with_a_button_and_mentions_apart_from_the_text(
    receiver: Receiver,
) -> None:
    body = posted(receiver, feishu(receiver, ("ou_1",)))
    header, elements = body["card"]["header"], body["card"]["elements"]
    assert header == {
        "title": {"tag": "plain_text", "content": "🔴 桩1 插座2 过载"},
        "template": "red",
    }
    text, mention, action = elements
    assert text["text"] == {"tag": "plain_text", "content": "1,234 W，上限 1,000 W。"}
    assert mention["text"] == {"tag": "lark_md", "content": "<at id=ou_1></at>"}
    assert action["actions"][0]["url"] == NOTICE.console_url


def test_ntfy_rings_for_what_is_dangerous_and_opens_the_console(receiver: Receiver) -> None:
    channel = Ntfy(post=post_to(receiver.url), topic="alarms", token="tk_1", now=now)
    body = posted(receiver, channel)
    assert body == {
        "topic": "alarms",
        "title": "桩1 插座2 过载",
        "message": "1,234 W，上限 1,000 W。",
        "priority": 5,
        "tags": ["red_circle", "overload"],
        "click": NOTICE.console_url,
    }
    [post] = receiver.posts
    assert post.headers["authorization"] == "Bearer tk_1"
    assert "tk_1" not in repr(channel)
    assert posted(receiver, channel, RESOLVED)["priority"] == 3


def test_alarm_escalation_and_recovery_look_different_everywhere(receiver: Receiver) -> None:
    for channel in (dingtalk(receiver), feishu(receiver), wecom(receiver)):
        bodies = [str(posted(receiver, channel, notice)) for notice in LOOKS]
        signs = [sign for body in bodies for sign in "🚨🔴🟡⏫✅🧪" if sign in body]
        assert signs == list("🚨🔴🟡⏫✅🧪")
    cards = [posted(receiver, feishu(receiver), notice)["card"] for notice in LOOKS]
    assert len({card["header"]["template"] for card in cards}) == len(LOOKS)


def test_the_words_around_are_in_the_notices_language(receiver: Receiver) -> None:
    english = replace(NOTICE, language="en", text="x" * 50_000)
    for channel in (dingtalk(receiver), wecom(receiver)):
        assert "[Open the console](" in str(posted(receiver, channel, english))
        assert "(cut; all of it is in the console)" in str(posted(receiver, channel, english))


# --- whatever devices say ------------------------------------------------------------------

NASTY = st.sampled_from(
    [
        "@all",
        "@13800001111",
        "<@all>",
        "<at id=all></at>",
        "<at user_id='all'>",
        "[here](https://evil.example)",
        "![x](https://evil.example/x.png)",
        "https://evil.example",
        "www.evil.example",
        "&#64;all",
        "**bold** `code` # head",
        '"}], "isAtAll": true, "x": [{"',
        "\r\n\r\n> quote",
        "\u202eright to left",
        "\x00\x1b[31m",
        "火" * 3_000,
        "🔥" * 3_000,
        "_" * 4_000,
        "\n" * 3_000,
        "a\n" * 3_000,
        "\\" * 3_000,
        "\ud800".encode("utf-8", "replace").decode(),
    ]
)
TEXTS = st.lists(NASTY | st.text(), max_size=6).map("".join)
TITLES = TEXTS.map(lambda text: f"【严重】过载：桩1 {text}")
NOTICES = st.builds(
    lambda title, text, word, look: replace(
        look, title=title, text=text, area=word, site=word, device=word, episode=word, rule=word
    ),
    TITLES,
    TEXTS,
    TEXTS,
    st.sampled_from(LOOKS),
)
CHATS = ("dingtalk", "wecom markdown", "wecom text", "feishu")
LINKS = re.compile(r"\[[^\]]*\]\(|://|www\.")


@pytest.fixture(scope="module")
def anywhere() -> Iterator[Receiver]:
    with receiving() as server:
        server.confirmation = b'{"errcode":0,"code":0}'
        yield server


@settings(max_examples=200)
@given(NOTICES, st.sampled_from(CHATS))
def test_whatever_a_device_says_the_message_is_whole_small_and_mentions_nobody(
    anywhere: Receiver, notice: Notice, chat: str
) -> None:
    channels: dict[str, Channel] = {
        "dingtalk": dingtalk(anywhere),
        "wecom markdown": wecom(anywhere),
        "wecom text": wecom(anywhere, mobiles=MOBILES),
        "feishu": feishu(anywhere),
    }
    channel = channels[chat]
    body = posted(anywhere, channel, notice)
    [post] = anywhere.posts
    match chat:
        case "dingtalk":
            assert body["at"] == {"atMobiles": [], "isAtAll": False}
            size, text = len(post.body), body["markdown"]["text"]
        case "wecom markdown":
            text = body["markdown"]["content"]
            size = len(text.encode())
            text = re.sub(r'^<font color="\w+">\*\*|\*\*</font>', "", text)
        case "wecom text":
            assert body["text"]["mentioned_mobile_list"] == list(MOBILES)
            assert body["text"]["mentioned_list"] == []
            size, text = len(body["text"]["content"].encode()), body["text"]["content"]
        case _:
            assert [each["tag"] for each in body["card"]["elements"]] == ["div", "action"]
            size = len(post.body)
            text = f"{body['card']['header']['title']['content']} {NOTICE.console_url}"
    assert channel.limits.bytes_max
    assert size <= channel.limits.bytes_max
    assert "【严重】过载：桩1" in text
    assert NOTICE.console_url in text
    ours = text.replace(f"[打开控制台]({NOTICE.console_url})", "").replace(
        NOTICE.console_url, ""
    )
    assert not LINKS.search(ours)
    if chat != "feishu":  # its plain_text knows no markup
        assert not set("@<`*[]&\\") & set(ours)
    assert not any(ord(char) < 32 and char != "\n" for char in ours)


def test_what_is_too_long_is_cut_between_characters_and_says_so(receiver: Receiver) -> None:
    long = replace(NOTICE, text="火" * 9_000)
    for channel in (dingtalk(receiver), wecom(receiver), wecom(receiver, mobiles=MOBILES)):
        assert "火……（已截断，全文见控制台）" in str(posted(receiver, channel, long))
    assert "\ufffd" not in str(posted(receiver, feishu(receiver), long))


# --- what became of it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "permanent", "reason"),
    [
        ('{"errcode":310000,"errmsg":"keywords not in content, more: […]"}', True, "keyword"),
        ('{"errcode":310000,"errmsg":"sign not match, more: […]"}', True, "signature"),
        ('{"errcode":310000,"errmsg":"ip 10.0.0.7 not in whitelist"}', True, "address"),
        ('{"errcode":310000,"errmsg":"invalid timestamp"}', False, "too old"),
        ('{"errcode":310000,"errmsg":"机器人发送签名过期"}', False, "too old"),
        ('{"errcode":300001,"errmsg":"token is not exist"}', True, "no robot"),
        ('{"errcode":400102,"errmsg":"机器人已停用"}', True, "stopped"),
        ('{"errcode":460101,"errmsg":"message too long"}', True, "too long"),
        ('{"errcode":-1,"errmsg":"系统繁忙"}', False, "DingTalk -1"),
        ('{"errcode":987654,"errmsg":"something new"}', False, "something new"),
        ('{"errcode":"0"}', False, "no errcode"),
    ],
)
def test_what_dingtalk_refuses_has_a_name_and_is_for_good_or_not(
    receiver: Receiver, said: str, reason: str, *, permanent: bool
) -> None:
    receiver.confirmation = said.encode()
    failed = failure(dingtalk(receiver))
    assert (failed.permanent, failed.retry_after) == (permanent, None)
    assert reason in failed.reason


@pytest.mark.parametrize("code", [130101, 410100])
def test_too_fast_for_dingtalk_is_later_after_a_minute(receiver: Receiver, code: int) -> None:
    words = "send too fast, exceed 20 times per minute"  # nightingale #369
    receiver.confirmation = f'{{"errcode":{code},"errmsg":"{words}"}}'.encode()
    failed = failure(dingtalk(receiver))
    assert (failed.permanent, failed.retry_after) == (False, timedelta(minutes=1))
    assert failed.reason.startswith("sent too fast: ")


@pytest.mark.parametrize(
    ("code", "permanent", "pause"),
    [
        (45009, False, timedelta(minutes=1)),
        (-1, False, None),
        (93000, True, None),
        (40058, True, None),
        (12345, False, None),
    ],
)
def test_wecoms_codes_are_told_apart(
    receiver: Receiver, code: int, pause: timedelta | None, *, permanent: bool
) -> None:
    receiver.confirmation = f'{{"errcode":{code},"errmsg":"hm"}}'.encode()
    failed = failure(wecom(receiver))
    assert (failed.permanent, failed.retry_after) == (permanent, pause)


@pytest.mark.parametrize(
    ("status", "said", "permanent", "too_fast"),
    [
        # With status 400 in the wild: nightingale #1437.
        ("400", '{"code":9499,"msg":"too many request","data":{}}', False, True),
        ("400", '{"code":9499,"msg":"Bad Request","data":{}}', True, False),
        ("200", '{"code":11232,"msg":"frequency limited"}', False, True),
        ("200", '{"code":19021,"msg":"sign match fail"}', True, False),
        ("200", '{"code":19022,"msg":"Ip Not Allowed"}', True, False),
        ("200", '{"code":19024,"msg":"Key Words Not Found"}', True, False),
        ("200", '{"code":1,"msg":"something new"}', False, False),
        ("500", '{"code":0,"msg":"a proxy made this up"}', False, False),
    ],
)
def test_feishus_codes_count_whatever_the_status(
    receiver: Receiver, status: str, said: str, *, permanent: bool, too_fast: bool
) -> None:
    receiver.behaviour, receiver.confirmation = status, said.encode()
    failed = failure(feishu(receiver))
    assert failed.permanent is permanent
    assert (failed.retry_after is not None) is too_fast
