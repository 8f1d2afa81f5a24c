"""A real service: a police station hears of its own area alone, and then the next tier."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.processes import ROOT, ServiceProcess, eventually, publish, service
from tests.receivers import HOST, Receiver, receiving

pytest_plugins = ["tests.system_fixtures"]

SITES = """\
[areas.east]
name = {{ zh = "东", en = "East" }}
[areas.west]
name = {{ zh = "西", en = "West" }}
{sites}
"""
POLICY = """\
[default.escalation]
after = "10 s"
tiers = 2
"""
SECRET = "0123456789abcdef0123456789abcdef"
PEOPLE = """\
[people.boss]
name = "Boss"
role = "manager"
areas = ["east", "west"]
language = "en"
ways = [{{via = "webhook", address = "{base}/boss", secret = "{secret}"}}]

[posts.east-police]
name = {{zh = "东派出所", en = "East police"}}
area = "east"
language = "en"
ways = [{{via = "webhook", address = "{base}/east-police", secret = "{secret}"}}]

[posts.west-police]
name = {{zh = "西派出所", en = "West police"}}
area = "west"
language = "en"
ways = [{{via = "webhook", address = "{base}/west-police", secret = "{secret}"}}]

[routes.all]
severity = "critical"
tiers = [["post:east-police", "post:west-police"], ["person:boss"]]
"""


@pytest.fixture
def ears() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def sites_file(folder: Path) -> Path:
    sites = "\n".join(
        f'[sites."{area}/yard"]\nname = {{ zh = "院", en = "Yard" }}\nclosed = []\n'
        f'[[devices]]\nid = "{area}/yard/smoke-1"\nkind = "smoke"\n'
        for area in ("east", "west")
    )
    file = folder / "sites.toml"
    file.write_text(SITES.format(sites=sites))
    return file


def heard(ears: Receiver, who: str) -> list[str]:
    """Return what somebody heard, in order: transition and area."""
    found = [post.json for post in ears.posts if post.path == f"/{who}"]
    return [f"{each['transition']} {each['area']}" for each in found]


def smoke(broker: Mosquitto, area: str, number: int, *, active: bool = True) -> None:
    said = {"event": "smoke", "active": active, "boot": "b", "seq": number}
    publish(broker, [(f"chargewatch/v1/{area}/yard/smoke-1/event", json.dumps(said))])


def import_people(watch: ServiceProcess, folder: Path, ears: Receiver) -> None:
    """Enter them beside the running service, and wait until it knows."""
    file = folder / "people.toml"
    base = f"http://{HOST}:{ears.server_port}"
    file.write_text(PEOPLE.format(base=base, secret=SECRET))
    subprocess.run(
        [str(ROOT / "chargewatch"), "people", "import", str(file)],
        env=os.environ | watch.environment,
        check=True,
        capture_output=True,
    )
    eventually(
        "the service knows of it",
        lambda: watch.get("/routes/explain", site="east/yard")["routes"] == ["all"],
    )


def test_each_station_hears_of_its_own_area_and_the_next_tier_if_nobody_answers(
    tmp_path: Path, broker: Mosquitto, ears: Receiver
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    settings = {"OUTGOING__ALLOW_PRIVATE": "true"}
    with service(
        tmp_path, broker, sites=sites_file(tmp_path), policy=policy, settings=settings
    ) as watch:
        watch.begin()
        import_people(watch, tmp_path, ears)
        smoke(broker, "east", 1)
        eventually("its station has it", lambda: heard(ears, "east-police") == ["firing east"])
        [alert] = watch.get("/alerts")["alerts"]
        deliveries = watch.get(f"/alerts/{alert['id']}")["deliveries"]
        assert [
            (each["recipient"], each["reason"])
            for each in deliveries
            if each["state"] == "skipped"
        ] == [("post:west-police", "not_their_area")]

        eventually("the next tier is told", lambda: heard(ears, "boss") == ["escalated east"])

        smoke(broker, "west", 1)
        eventually("its station has it", lambda: heard(ears, "west-police") == ["firing west"])
        [west, _] = watch.get("/alerts")["alerts"]
        watch.post(f"/alerts/{west['id']}/acknowledge", note="on our way")

        smoke(broker, "east", 2, active=False)
        smoke(broker, "west", 2, active=False)
        eventually(
            "the ends are told",
            lambda: (
                [heard(ears, "east-police")[-1], heard(ears, "west-police")[-1]]
                == ["resolved east", "resolved west"]
            ),
            120,
        )
        eventually("to whoever heard", lambda: heard(ears, "boss")[-1] == "resolved east")
        assert heard(ears, "boss") == ["escalated east", "resolved east"]
        assert heard(ears, "east-police") == ["firing east", "resolved east"]
        assert heard(ears, "west-police") == ["firing west", "resolved west"]
        assert SECRET not in watch.log_text()
        watch.stop()
