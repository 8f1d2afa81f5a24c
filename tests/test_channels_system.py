"""One smoke alarm, and everybody who is set up has it: the service as a process."""

import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.alertmanagers import alertmanager
from tests.brokers import Mosquitto
from tests.processes import eventually, publish, service
from tests.providers import MAIL_DOMAIN, mail_server
from tests.receivers import HOST, Receiver, receiving

pytest_plugins = ["tests.system_fixtures"]

SECRET = "0123456789abcdef0123456789abcdef"
SMOKE = ("chargewatch/v1/a/s/smoke-1/event", '{"boot": "b", "seq": 1, "event": "smoke"}')
PATHS = {"/robot/send", "/hook/0123456789", "/webhook/send", "/", "/sms", "/apprise"}
"""What each of them posts to; ntfy's topic goes into the body."""


@pytest.fixture
def robots() -> Iterator[Receiver]:
    with receiving() as server:
        server.confirmation = b'{"errcode":0,"code":0}'
        yield server


def test_smoke_reaches_robot_telephone_mailbox_push_siren_and_alertmanager(
    tmp_path: Path, broker: Mosquitto, robots: Receiver
) -> None:
    base = f"http://{HOST}:{robots.server_port}"
    with alertmanager(tmp_path) as manager, mail_server() as mail:
        settings = {
            "HTTP__URL": "http://watch.example",
            "SMTP__HOST": HOST,
            "SMTP__PORT": str(mail.port),
            "SMTP__SECURITY": "none",
            "SMTP__SENDER": f"watch@{MAIL_DOMAIN}",
            "SMTP__RECIPIENTS": '["desk@example.org"]',
            "DINGTALK__URL": f"{base}/robot/send?access_token=0123456789",
            "DINGTALK__SECRET": SECRET,
            "DINGTALK__MOBILES": '["13800001111"]',
            "FEISHU__URL": f"{base}/hook/0123456789",
            "FEISHU__SECRET": SECRET,
            "WECOM__URL": f"{base}/webhook/send?key=0123456789",
            "NTFY__URL": f"{base}/alarms",
            "SMS__URL": f"{base}/sms",
            "SMS__NUMBERS": '["13800001111"]',
            "SMS__BODY": '{"to": "{number}", "text": "{text}"}',
            "SMS__OK_POINTER": "/code",
            "PUBLISH__TOPIC": "alerts/{area}",
            "PUBLISH__SECRET": SECRET,
            "ALERTMANAGER__URL": manager.url,
            "APPRISE__URLS": json.dumps([f"json://{HOST}:{robots.server_port}/apprise"]),
        }
        with service(tmp_path, broker, settings=settings) as watch:
            watch.begin()
            publish(broker, [SMOKE])
            eventually(
                "everybody has it",
                lambda: {post.path.partition("?")[0] for post in robots.posts} >= PATHS,
                shown=watch.log_text,
            )
            [alert] = eventually("Alertmanager has it", manager.alerts, shown=watch.log_text)
            assert alert["labels"]["alertname"] == "smoke"
            [letter] = eventually("it is mailed", lambda: mail.mails, shown=watch.log_text)
            text = str(message_from_bytes(letter, policy=policy.default).get_content())
            assert "smoke-1" in text
            assert "http://watch.example" in text  # where to act
            [dingtalk] = [post for post in robots.posts if post.path.startswith("/robot/send")]
            assert "(http://watch.example" in dingtalk.json["markdown"]["text"]
            assert all("smoke-1" in post.body.decode() for post in robots.posts)

            eventually(
                "nobody listens on the topic: that waits, and says why",
                lambda: "NO_MATCHING_SUBSCRIBERS" in watch.ready()[1]["delivery"]["reason"],
            )
            for secret in (SECRET, "0123456789"):
                assert secret not in watch.log_text()
            watch.stop()
