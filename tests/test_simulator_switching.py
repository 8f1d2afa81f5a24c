"""Sockets of simulated piles that obey, refuse, lose their orders, or are welded."""

from datetime import UTC, datetime, timedelta

import msgspec

from ingest.codecs.native import Telemetry
from rules.readings import Reading
from simulator.batteries import BATTERIES
from simulator.charging import charge
from simulator.emissions import Emission
from simulator.pile_plans import PilePlan, Rescan
from simulator.piles import Pile
from simulator.sockets import Switching, Use

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
NOW = START + 60 * SECOND


def pile(*switching: Switching, rescan_at: datetime | None = None) -> Pile:
    """Return a pile whose sockets all charge; socket n takes orders as the n-th says."""
    uses = tuple(
        Use(channel, START, START + 9 * HOUR, charge(BATTERIES[2], 0.1))
        for channel, _ in enumerate(switching, start=1)
    )
    plan = PilePlan(
        id="town/north/pile-1",
        sockets=len(switching),
        uses=uses,
        switching=dict(enumerate(switching, start=1)),
        rescans=() if rescan_at is None else (Rescan(1, rescan_at),),
    )
    made = Pile(plan, START, seed=7)
    played(made, NOW)
    return made


def played(device: Pile, until: datetime) -> list[Emission]:
    said: list[Emission] = []
    while (at := device.next_at()) is not None and at <= until:
        said += device.act()
    return said


def order(device: Pile, channel: int, now: datetime = NOW, **more: object) -> list[Emission]:
    body = {"id": "c-1", "command": "switch_off", "channel": channel, **more}
    return device.obey(msgspec.json.encode(body), now)


def readings(said: list[Emission], channel: int) -> list[Reading]:
    bodies = [e.payload for e in said if e.topic.endswith("/telemetry")]
    return [
        each
        for body in bodies
        for each in msgspec.json.decode(body, type=Telemetry).readings
        if each.channel == channel
    ]


def replies(said: list[Emission]) -> list[tuple[str, bool]]:
    bodies = [msgspec.json.decode(e.payload) for e in said if e.topic.endswith("/reply")]
    return [(body["id"], body["ok"]) for body in bodies]


def test_a_socket_that_loses_its_orders_neither_acts_nor_answers() -> None:
    device = pile(Switching.LOSES)
    assert order(device, 1) == []
    [*_, last] = readings(played(device, NOW + 60 * SECOND), 1)
    assert last.relay_on is True
    assert (last.power_w or 0) > 100


def test_a_socket_that_refuses_says_so_and_goes_on() -> None:
    device = pile(Switching.REFUSES)
    assert replies(order(device, 1)) == [("c-1", False)]
    [*_, last] = readings(played(device, NOW + 60 * SECOND), 1)
    assert last.relay_on is True
    assert (last.power_w or 0) > 100


def test_a_welded_socket_says_yes_and_draws_power_on_and_on() -> None:
    device = pile(Switching.WELDED)
    assert replies(order(device, 1)) == [("c-1", True)]
    [*_, last] = readings(played(device, NOW + 60 * SECOND), 1)
    assert last.relay_on is False
    assert (last.power_w or 0) > 100


def test_a_socket_that_obeys_is_dark_and_its_neighbour_is_not() -> None:
    device = pile(Switching.OBEYS, Switching.WELDED)
    said = order(device, 1)
    assert replies(said) == [("c-1", True)]
    said += played(device, NOW + 60 * SECOND)
    assert all((each.power_w or 0) < 1 for each in readings(said, 1))
    assert all((each.power_w or 0) > 100 for each in readings(said, 2))


def test_an_owner_who_scans_again_starts_the_session_again() -> None:
    device = pile(Switching.OBEYS, rescan_at=NOW + 120 * SECOND)
    order(device, 1)
    before = readings(played(device, NOW + 119 * SECOND), 1)
    after = readings(played(device, NOW + 150 * SECOND), 1)
    assert all((each.power_w or 0) < 1 for each in before)
    assert all((each.power_w or 0) > 100 for each in after)


def test_a_repeated_order_is_answered_again_and_carried_out_once() -> None:
    device = pile(Switching.OBEYS, rescan_at=NOW + 10 * SECOND)
    order(device, 1)
    played(device, NOW + 20 * SECOND)
    assert replies(order(device, 1, NOW + 21 * SECOND)) == [("c-1", True)]
    [*_, last] = readings(played(device, NOW + 60 * SECOND), 1)
    assert (last.power_w or 0) > 100


def test_an_order_that_comes_too_late_is_refused() -> None:
    device = pile(Switching.OBEYS)
    said = order(device, 1, expires_at=(NOW - SECOND).isoformat())
    assert replies(said) == [("c-1", False)]
    assert b"expired" in said[0].payload
