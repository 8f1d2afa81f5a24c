"""Telephones through a gateway: the body's template, what confirms, who is called."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.channels.gateway import SMS_BYTES_MAX, Confirmation, Sms, VoiceCall
from api.channels.template import Template, TemplateWrong
from rules.alerts import Transition
from rules.verdict import Severity
from tests.receivers import NOTICE, Receiver, failure, now, post_to, receiving, sent

NUMBER = "+8613800001111"
JSON_BODY = """{"account": "cw", "to": ["{number}"], "priority": 1,
    "params": {"title": "{title}", "text": "{text}", "ref": "{key}"},
    "nested": "{\\"text\\": \\"{text}\\"}"}"""
FORM_BODY = "account=cw&mobile={number}&content={text}&sign=a%26b"
VALUES = {"number": NUMBER, "title": "t", "text": "x", "key": "k"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def phone(receiver: Receiver, kind: type[Sms] = Sms, **settings: Any) -> Sms:
    template = Template.of(JSON_BODY, form=False)
    made: dict[str, Any] = {"template": template, "now": now, "number": NUMBER, **settings}
    return kind(post=post_to(receiver.url), **made)


def test_an_sms_says_title_measured_fact_and_where_to_look(receiver: Receiver) -> None:
    channel = phone(receiver, headers={"Authorization": "Basic c2VjcmV0"})
    assert channel.name == f"sms to {NUMBER}"
    sent(channel)
    [post] = receiver.posts
    body = post.json
    assert body["to"] == [NUMBER]
    assert body["priority"] == 1
    assert body["params"]["text"] == (
        f"桩1 插座2 过载 1,234 W，上限 1,000 W。 {NOTICE.console_url}"
    )
    assert json.loads(body["nested"])["text"] == body["params"]["text"]
    assert body["params"]["ref"] == post.headers["idempotency-key"]
    assert post.headers["authorization"] == "Basic c2VjcmV0"
    assert post.headers["content-type"] == "application/json"
    assert "c2VjcmV0" not in repr(channel)


def test_a_form_is_encoded(receiver: Receiver) -> None:
    sent(phone(receiver, template=Template.of(FORM_BODY, form=True)))
    [post] = receiver.posts
    fields = dict(parse_qsl(post.body.decode()))
    assert fields["mobile"] == NUMBER
    assert fields["sign"] == "a&b"
    assert fields["content"].startswith("桩1 插座2 过载 ")
    assert post.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_call_speaks_no_web_address(receiver: Receiver) -> None:
    channel = phone(receiver, VoiceCall)
    assert channel.name == f"call to {NUMBER}"
    sent(channel)
    [post] = receiver.posts
    assert post.json["params"]["text"] == "桩1 插座2 过载. 1,234 W，上限 1,000 W。"


@pytest.mark.parametrize(
    ("notice", "called"),
    [
        (replace(NOTICE, severity=Severity.EMERGENCY), True),
        (NOTICE, True),
        (replace(NOTICE, transition=Transition.ESCALATED), True),
        (replace(NOTICE, severity=Severity.WARNING), False),
        (replace(NOTICE, transition=Transition.RESOLVED), False),
    ],
)
def test_nobody_is_called_for_a_warning_or_for_an_end(
    receiver: Receiver, notice: Any, *, called: bool
) -> None:
    receipt = sent(phone(receiver, VoiceCall), notice)
    assert len(receiver.posts) == called
    assert receipt.startswith("no call: ") is not called
    sent(phone(receiver), notice)
    assert len(receiver.posts) == called + 1


@pytest.mark.parametrize(
    ("pointer", "value", "said", "taken"),
    [
        ("/code", "0", '{"code": 0}', True),
        ("/code", "0", '{"code": "0"}', True),
        ("/code", "0", '{"code": 1, "msg": "no money"}', False),
        ("/code", "0", "{}", False),
        ("/code", "0", "[]", False),
        ("/code", "0", "no JSON", False),
        ("/ok", "true", '{"ok": true}', True),
        ("/list/1/a~1b", "OK", '{"list": [{}, {"a/b": "OK"}]}', True),
        ("/list/2", "OK", '{"list": []}', False),
        ("/list/x", "OK", '{"list": []}', False),
        ("/a/b", "OK", '{"a": "OK"}', False),
    ],
)
def test_a_gateway_confirms_where_its_json_says_so(
    receiver: Receiver, pointer: str, value: str, said: str, *, taken: bool
) -> None:
    receiver.confirmation = said.encode()
    channel = phone(receiver, confirmation=Confirmation(pointer=pointer, value=value))
    if taken:
        assert said in sent(channel)
        return
    failed = failure(channel)
    assert not failed.permanent
    assert failed.reason.startswith("the gateway did not take it: HTTP 200")


@pytest.mark.parametrize(
    ("text", "form", "complaint"),
    [
        ('{"to": "{number}"}', False, "has no {text}"),
        ('{"what": "{text}"}', False, "has no {number}"),
        ("{number} {text}", False, "is no JSON"),
        ("{number} {text}", True, "is no form"),
    ],
)
def test_a_template_that_cannot_work_is_refused(
    text: str, complaint: str, *, form: bool
) -> None:
    with pytest.raises(TemplateWrong) as raised:
        Template.of(text, form=form)
    assert str(raised.value) == complaint


def test_a_place_in_a_text_is_not_filled_in_again() -> None:
    filled = Template.of(JSON_BODY, form=False).filled({**VALUES, "text": "{number}{key}"})
    assert json.loads(filled)["params"]["text"] == "{number}{key}"


@given(st.text(), st.text())
def test_no_text_changes_the_form_of_a_body(text: str, title: str) -> None:
    values = {**VALUES, "text": text, "title": title}
    said = json.loads(Template.of(JSON_BODY, form=False).filled(values))
    assert (said["params"]["text"], said["params"]["title"]) == (text, title)
    assert said.keys() == json.loads(JSON_BODY).keys()
    form = parse_qsl(
        Template.of(FORM_BODY, form=True).filled(values).decode(), keep_blank_values=True
    )
    assert form == [("account", "cw"), ("mobile", NUMBER), ("content", text), ("sign", "a&b")]


@pytest.fixture(scope="module")
def anywhere() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@given(st.text(), st.text() | st.just("火" * 2_000), st.sampled_from([Sms, VoiceCall]))
def test_whatever_a_device_says_the_words_fit_and_stay_inside_nested_json(
    anywhere: Receiver, title: str, text: str, kind: type[Sms]
) -> None:
    anywhere.posts.clear()
    notice = replace(NOTICE, title=f"【严重】过载：桩1 {title}", text=text)
    sent(phone(anywhere, kind), notice)
    [post] = anywhere.posts
    said = post.json["params"]["text"]
    assert len(said.encode()) <= SMS_BYTES_MAX
    assert said.startswith("【严重】过载：桩1")
    assert (NOTICE.console_url in said) is (kind is Sms)
    assert json.loads(post.json["nested"]) == {"text": said}
