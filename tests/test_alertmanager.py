"""Alarms at a real Alertmanager: they fire, become worse, end, and outlive its restarts."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api.channels import DeliveryFailed, Notice
from api.channels.alertmanager import LASTS, TOGETHER_MAX, Alertmanager
from ingest.clock import utc_now
from rules.alerts import Transition
from rules.verdict import Severity
from tests import alertmanagers
from tests.processes import eventually
from tests.receivers import NOTICE, post_to, receiving, sent

STARTED = utc_now()
FIRING = replace(
    NOTICE,
    severity=Severity.WARNING,
    began_at=STARTED - timedelta(minutes=1),
    at=STARTED,
)
RAISED = replace(FIRING, transition=Transition.RAISED, severity=Severity.EMERGENCY)
RESOLVED = replace(RAISED, transition=Transition.RESOLVED)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[alertmanagers.Alertmanager]:
    with alertmanagers.alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


def channel(server: alertmanagers.Alertmanager) -> Alertmanager:
    return Alertmanager(post=post_to(f"{server.url}/api/v2/alerts"), now=utc_now)


def severities(server: alertmanagers.Alertmanager) -> list[str]:
    return sorted(alert["labels"]["severity"] for alert in server.alerts())


def test_an_alarm_fires_with_its_place_and_link_until_it_is_over(
    server: alertmanagers.Alertmanager,
) -> None:
    assert sent(channel(server), FIRING) == "HTTP 200"
    [alert] = server.alerts()
    assert alert["labels"] == {
        "alertname": "overload",
        "severity": "warning",
        "area": "a1",
        "site": "s1",
        "device": "桩1",
        "socket": "2",
        "subject": "桩1:2",
        "source": "chargewatch",
    }
    assert alert["annotations"]["summary"] == FIRING.title
    assert alert["annotations"]["description"] == FIRING.text
    assert alert["generatorURL"] == FIRING.console_url
    assert alert["status"]["state"] in {"active", "unprocessed"}
    ends_at = datetime.fromisoformat(alert["endsAt"])
    assert ends_at - utc_now() > LASTS - timedelta(minutes=5)
    sent(channel(server), replace(FIRING, transition=Transition.RESOLVED))
    assert server.alerts() == []


def test_what_becomes_worse_is_one_alert_with_the_worse_severity_and_ends_as_one(
    server: alertmanagers.Alertmanager,
) -> None:
    sent(channel(server), FIRING)
    sent(channel(server), RAISED)
    assert severities(server) == ["emergency"]
    sent(channel(server), RESOLVED)
    assert server.alerts() == []


def test_a_drill_says_that_it_is_one(server: alertmanagers.Alertmanager) -> None:
    drill = replace(FIRING, drill=True)
    sent(channel(server), drill)
    [alert] = server.alerts()
    assert alert["labels"]["drill"] == "true"
    sent(channel(server), replace(drill, transition=Transition.RESOLVED))
    assert server.alerts() == []


def test_two_groups_without_a_device_are_two_alerts(
    server: alertmanagers.Alertmanager,
) -> None:
    outages = [
        replace(FIRING, area="", site="", device="", channel=None, episode=f"out@{name}@1")
        for name in ("carrier:one", "carrier:two")
    ]
    for outage in outages:
        sent(channel(server), outage)
    assert len(server.alerts()) == 2
    for outage in outages:
        sent(channel(server), replace(outage, transition=Transition.RESOLVED))
    assert server.alerts() == []


def test_an_alertmanager_that_forgot_everything_hears_it_again(tmp_path: Path) -> None:
    with alertmanagers.alertmanager(tmp_path) as forgetful:
        manager = channel(forgetful)
        many = [replace(FIRING, channel=each) for each in range(1, TOGETHER_MAX + 2)]
        sent(manager, many[0])
        forgetful.kill()
        with pytest.raises(DeliveryFailed):
            asyncio.run(manager.say_again(lambda: many))
        forgetful.start()
        assert forgetful.alerts() == []
        assert asyncio.run(manager.say_again(lambda: many)) == len(many)
        assert len(forgetful.alerts()) == len(many)


def test_repetition_goes_on_through_failures() -> None:
    with receiving() as receiver:
        receiver.behaviour = "500"
        manager = Alertmanager(post=post_to(receiver.url), now=utc_now)

        async def play() -> None:
            asked, often = 0, asyncio.Event()

            def firing() -> list[Notice]:
                nonlocal asked
                asked += 1
                if asked > 2:
                    often.set()
                return [FIRING]

            saying = asyncio.create_task(manager.keep_saying(firing, 0.01))
            async with asyncio.timeout(10):
                await often.wait()
            saying.cancel()

        asyncio.run(play())
        assert len(receiver.posts) >= 2


def test_an_end_waits_for_a_repetition_that_is_on_its_way() -> None:
    with receiving() as receiver:
        receiver.behaviour = "held"
        manager = Alertmanager(post=post_to(receiver.url), now=utc_now)
        firing = [FIRING]

        async def play() -> None:
            again = asyncio.create_task(manager.say_again(lambda: list(firing)))
            await asyncio.to_thread(eventually, "it is on its way", lambda: receiver.posts)
            firing.clear()
            end = asyncio.create_task(
                manager.send(replace(FIRING, transition=Transition.RESOLVED))
            )
            await asyncio.sleep(0.2)  # for an end that does not wait
            assert len(receiver.posts) == 1
            receiver.released.set()
            await again
            await end
            assert await manager.say_again(lambda: list(firing)) == 0

        asyncio.run(play())
        assert [over(post.json[0]) for post in receiver.posts] == [False, True]


def over(alert: dict[str, Any]) -> bool:
    return datetime.fromisoformat(alert["endsAt"]) <= utc_now()


def test_the_token_of_a_proxy_is_sent_and_not_shown() -> None:
    with receiving() as receiver:
        manager = Alertmanager(
            post=post_to(receiver.url), token="0123456789abcdef", now=utc_now
        )
        sent(manager, FIRING)
        [posted] = receiver.posts
        assert posted.headers["authorization"] == "Bearer 0123456789abcdef"
        assert "0123456789" not in repr(manager)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=300), name=st.text(max_size=100))
def test_whatever_a_device_says_alertmanager_takes_it_and_lets_it_end(
    server: alertmanagers.Alertmanager, text: str, name: str
) -> None:
    said: Notice = replace(
        FIRING, title=text, text=text, device=name, site=name, episode=f"x@{name}@1"
    )
    sent(channel(server), said)
    assert len(server.alerts()) == 1
    sent(channel(server), replace(said, transition=Transition.RESOLVED))
    assert server.alerts() == []
