"""Switching off for safety, end to end: the service, a real broker, and simulated piles.

The piles of the simulator obey, refuse, lose orders or are welded; everything between a
meter and a relay is real.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ingest.clock import utc_now
from simulator.batteries import BATTERIES
from simulator.charging import charge, joined
from simulator.pile_plans import PilePlan
from simulator.piles import Pile
from simulator.player import Player
from simulator.publisher import Broker, Publisher
from simulator.sockets import Switching, Use
from tests.brokers import Mosquitto
from tests.processes import (
    Json,
    ServiceProcess,
    WebhookReceiver,
    eventually,
    publish,
    service,
)

pytest_plugins = ["tests.system_fixtures"]

PILE = "cut/site/pile-1"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
SITES = f"""
[areas.cut]
name = {{ zh = "断电", en = "Cut" }}
[sites."cut/site"]
name = {{ zh = "站", en = "Site" }}
closed = []
[[devices]]
id = "{PILE}"
kind = "charger"
sockets = 4
"""
VERIFY_WITHIN_S = 3
POLICY = f"""
[site."cut/site"]
cut.automatic = true
cut.verify_within = "{VERIFY_WITHIN_S} s"
cut.retry_after = "2 s"
overload.hold = "2 s"
overload.keep_firing = "1 s"
"""
REPLUGGED_AFTER = 30 * SECOND
"""Until then the first cut must be done; it takes some 5 s."""


@pytest.fixture
def watch(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver
) -> Iterator[ServiceProcess]:
    sites, policy = tmp_path / "sites.toml", tmp_path / "policy.toml"
    sites.write_text(SITES, encoding="utf-8")
    policy.write_text(POLICY, encoding="utf-8")
    with service(tmp_path, broker, sites=sites, policy=policy, receiver=receiver) as process:
        yield process


@contextmanager
def pile(
    broker: Mosquitto, switching: dict[int, Switching], *uses: Use, starts: datetime
) -> Iterator[None]:
    """Let a pile talk and obey, in real time, from a thread of its own."""
    plan = PilePlan(id=PILE, sockets=4, uses=uses, switching=switching, beat=SECOND)
    loop, ended = asyncio.new_event_loop(), threading.Event()

    async def play() -> None:
        player = Player([Pile(plan, starts - 20 * SECOND, seed=7)])
        await Publisher(player, Broker.at(broker.url), utc_now, 1.0).run(starts + HOUR)

    task = loop.create_task(play())

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def bike(channel: int, since: datetime, until: datetime | None = None) -> Use:
    return Use(channel, since, until or since + 9 * HOUR, charge(BATTERIES[2], 0.1))


def overloading(channel: int, since: datetime, until: datetime | None = None) -> Use:
    """Return a bike, and something on the same adapter that draws 1060 W more."""
    curve = joined(charge(BATTERIES[0], 0.3), SECOND, extra_w=1060)
    return Use(channel, since, until or since + 9 * HOUR, curve)


def socket(watch: ServiceProcess, channel: int) -> Json:
    [device] = watch.get("/devices", q=PILE)["devices"]
    found: list[Json] = [each for each in device["sockets"] if each["channel"] == channel]
    return found[0]


def power_w(watch: ServiceProcess, channel: int) -> float:
    return float(socket(watch, channel)["power_w"] or 0.0)


def commands(watch: ServiceProcess, channel: int) -> list[Json]:
    found: list[Json] = watch.get("/commands", device=PILE, channel=channel)["commands"]
    return found


def states(watch: ServiceProcess, channel: int) -> list[tuple[str, str]]:
    return [(each["action"], each["state"]) for each in commands(watch, channel)]


def latches(watch: ServiceProcess) -> list[Json]:
    found: list[Json] = watch.get("/latches", device=PILE)["latches"]
    return found


def told(receiver: WebhookReceiver, rule: str, transition: str = "firing") -> bool:
    return (rule, PILE, transition) in receiver.heard()


def test_an_overload_is_cut_and_latched_until_a_person_clears_it(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    watch.begin()
    began = utc_now()
    replugged_at = began + REPLUGGED_AFTER
    uses = (
        overloading(1, began, replugged_at - 2 * SECOND),
        bike(1, replugged_at),
        bike(2, began),
    )

    def all_there_is() -> object:
        return commands(watch, 1), watch.alerts(), watch.log_text()

    with pile(broker, {}, *uses, starts=began):
        # Overload at the act level, a command, no power, a latch.
        eventually("it is told", lambda: told(receiver, "overload"), 20, shown=all_there_is)
        eventually(
            "the cut is verified",
            lambda: states(watch, 1) == [("switch_off", "verified")],
            20,
            shown=all_there_is,
        )
        assert utc_now() < replugged_at - 2 * SECOND, "this machine is too slow for the test"
        assert power_w(watch, 1) < 1
        assert power_w(watch, 2) > 100  # its neighbour charges on
        [latch] = latches(watch)
        assert (latch["channel"], latch["by"], latch["reason"]) == (
            1,
            "chargewatch",
            "overload",
        )
        [command] = commands(watch, 1)
        log = watch.get(f"/commands/{command['id']}")["log"]
        said = [line["what"] for line in log]
        wanted = ["firing", "command_ordered", "latched", "command_sent", "command_verified"]
        assert [what for what in said if what in wanted][:5] == wanted

        # A second plug-in does not start.
        eventually(
            "another bike is plugged in",
            lambda: socket(watch, 1)["values"].get("session_duration_s") == 0,
            (replugged_at - utc_now()).total_seconds() + 10,
            shown=lambda: socket(watch, 1),
        )
        assert power_w(watch, 1) < 1
        assert states(watch, 1) == [("switch_off", "verified")]

        # Somebody starts the session again from afar: it is cut again.
        again = {"id": "app-1", "command": "switch_on", "channel": 1}
        publish(broker, [(f"chargewatch/v1/{PILE}/command", json.dumps(again))])
        eventually(
            "it is cut again",
            lambda: states(watch, 1) == [("switch_off", "verified")] * 2,
            20,
            shown=all_there_is,
        )
        eventually("it is told", lambda: told(receiver, "latched_charging"), shown=all_there_is)
        assert power_w(watch, 1) < 1
        assert [each["id"] for each in latches(watch)] == [latch["id"]]

        # A person clears it.
        watch.post(f"/latches/{latch['id']}/clear", reason="charger replaced")
        eventually("it charges", lambda: power_w(watch, 1) > 100, 20, shown=all_there_is)
        eventually(
            "the release is done", lambda: states(watch, 1)[0] == ("switch_on", "verified")
        )
        assert latches(watch) == []
        assert len(commands(watch, 1)) == 3
    assert not told(receiver, "cut_failed")
    watch.stop()


def test_a_welded_relay_and_a_deaf_one_raise_cut_failed_within_their_time(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    watch.begin()
    began = utc_now()
    switching = {1: Switching.WELDED, 2: Switching.LOSES, 3: Switching.REFUSES}
    uses = (overloading(1, began), overloading(2, began), overloading(3, began))

    def ended(channel: int) -> bool:
        return [state for _, state in states(watch, channel)] == ["failed"]

    with pile(broker, switching, *uses, starts=began):
        eventually(
            "all three have failed",
            lambda: all(ended(channel) for channel in (1, 2, 3)),
            40,
            shown=lambda: (commands(watch, 1), watch.log_text()),
        )
        found = {channel: commands(watch, channel)[0] for channel in (1, 2, 3)}
        assert [found[n]["failure"] for n in (1, 2, 3)] == [
            "still_flows",
            "no_reply",
            "refused",
        ]
        assert found[2]["attempts"] == 3
        welded = found[1]
        confirmed, ended_at = (
            datetime.fromisoformat(welded[key]) for key in ("confirmed_at", "ended_at")
        )
        assert ended_at - confirmed < (VERIFY_WITHIN_S + 3) * SECOND
        alerts = {
            each["channel"]: each for each in watch.alerts(rule="cut_failed", state="firing")
        }
        assert alerts.keys() == {1, 2, 3}
        assert {each["severity"] for each in alerts.values()} == {"emergency"}
        eventually("it is told", lambda: told(receiver, "cut_failed"))
        assert {latch["channel"] for latch in latches(watch)} == {1, 2, 3}
        assert power_w(watch, 1) > 1000
    watch.stop()


def test_an_order_outlives_a_kill_and_a_broker_that_is_away(
    broker: Mosquitto, watch: ServiceProcess
) -> None:
    watch.begin()
    began = utc_now()
    with pile(broker, {}, bike(1, began), starts=began):
        eventually("it charges", lambda: power_w(watch, 1) > 100, 20)
        broker.stop()
        order = watch.post("/cut", device=PILE, channel=1, reason="smells of burning")
        watch.kill()
        broker.start()
        watch.begin()
        eventually(
            "the cut is verified",
            lambda: states(watch, 1) == [("switch_off", "verified")],
            40,
            shown=lambda: (commands(watch, 1), watch.log_text()),
        )
        [command] = commands(watch, 1)
        assert command["id"] == order["id"]
        assert [latch["id"] for latch in latches(watch)] == [order["id"]]
        assert power_w(watch, 1) < 1
    watch.stop()
