"""Devices that speak seldom, and what that does to the truth; orders that take their time."""

import itertools
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest

from ingest.codecs.native import Telemetry
from rules.readings import Reading
from simulator.emissions import Emission
from simulator.orders import LATEST, Obedience
from simulator.player import Player, recorded
from simulator.truth import Incident
from simulator.village import Village, sites_toml
from tests.backtests import run
from tests.simulated import PILE, PLACE, SENSOR, at, played, village

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
AP3000 = PLACE.replace('carrier = "radio"', 'cadence = "ap3000", sensor_cadence = "nb-iot"')
CHARGE = f'lasts = "6 h"\n[[events]]\nfault = "bike"\nat = "01:00"\nwhere = "{PILE}#3"\n'


def telemetry(said: list[Emission], device: str) -> list[tuple[Emission, Telemetry]]:
    return [
        (each, msgspec.json.decode(each.payload, type=Telemetry))
        for each in said
        if each.topic.endswith(f"{device}/telemetry")
    ]


def of_socket(said: list[Emission], channel: int) -> list[tuple[Emission, Reading]]:
    return [
        (each, reading)
        for each, body in telemetry(said, PILE)
        for reading in body.readings
        if reading.channel == channel
    ]


def test_a_pile_like_an_ap3000_says_every_three_minutes_how_it_is() -> None:
    said = telemetry(played(village('lasts = "6 h"\n', place=AP3000)), PILE)
    gaps = [later[0].at - sooner[0].at for sooner, later in itertools.pairwise(said)]
    assert 110 <= len(said) <= 121
    assert all(3 * MINUTE <= gap <= 3.6 * MINUTE for gap in gaps)


def test_it_says_what_flows_every_five_minutes_of_a_charge_and_at_its_end() -> None:
    told = [
        (each.at, reading)
        for each, reading in of_socket(played(village(CHARGE, place=AP3000)), 3)
        if at(1) <= each.at <= at(4)
    ]
    figures = [when for when, reading in told if reading.power_w is not None]
    assert at(1) + 5 * MINUTE <= figures[0] <= at(1) + 6 * MINUTE
    for number, when in enumerate(figures, start=1):
        late = when - at(1) - number * 5 * MINUTE
        assert timedelta(0) <= late <= 33 * SECOND
    states = [reading for _, reading in told if reading.power_w is None]
    assert {reading.port_state for reading in states} == {"charging"}
    assert all(reading.energy_kwh is None for reading in states)
    *_, (when, last) = [
        (each.at, reading)
        for each, reading in of_socket(played(village(CHARGE, place=AP3000)), 3)
        if each.at <= at(5) + MINUTE
    ]
    assert at(5) < when
    assert (last.port_state, last.power_w is not None) == ("idle", True)


def test_a_socket_that_is_cut_says_so_at_once() -> None:
    player = Player(village(CHARGE, place=AP3000).devices())
    for _ in player.play(at(2)):
        """Until somebody has had enough."""
    order = b'{"id": "c", "command": "switch_off", "channel": 3}'
    said = player.obey(f"chargewatch/v1/{PILE}/command", order, at(2))
    [*_, (_, last)] = of_socket(said, 3)
    assert last.port_state == "cut"
    assert last.power_w is not None
    assert last.power_w < 3


def test_a_detector_on_nb_iot_says_a_word_a_day_and_smoke_at_once() -> None:
    words = (
        f'lasts = "3 d"\n[[events]]\nfault = "smoke"\nat = "day 2 03:00"\nwhere = "{SENSOR}"\n'
    )
    said = played(village(words, place=AP3000))
    mine = [each for each in said if each.device == SENSOR]
    beats = [each.at for each in mine if each.topic.endswith("/telemetry")]
    smoke = [each.at for each in mine if each.topic.endswith("/event")]
    assert smoke[0] == at(27)
    assert len([when for when in beats if not at(26.9) <= when <= at(28)]) == 3


def test_other_devices_are_not_changed_by_a_cadence() -> None:
    south = PLACE.partition('"town/south"')[2]
    place = PLACE.replace(south, south.replace('carrier = "radio"', 'cadence = "ap3000"'))
    plain, other = played(village(CHARGE)), played(village(CHARGE, place=place))

    def elsewhere(said: list[Emission]) -> list[Emission]:
        return [each for each in said if not each.device.startswith("town/south/pile")]

    assert elsewhere(plain) == elsewhere(other)
    assert plain != other


OVERLOAD = """lasts = "6 h"
[[events]]
fault = "overload"
at = "02:00"
where = "{pile}#2"
came_before = "{before} min"
lasts = "{lasts} min"
"""


def overload(before: int, lasts: int = 30, place: str = AP3000) -> tuple[Village, Incident]:
    here = village(OVERLOAD.format(pile=PILE, before=before, lasts=lasts), place=place)
    [incident] = [each for each in here.happens if each.kind == "overload"]
    return here, incident


@pytest.mark.parametrize(("before", "next_report"), [(95, 0.5), (93, 2), (91, 4), (94, 1)])
def test_an_overload_between_two_reports_is_knowable_at_the_next(
    before: int, next_report: float
) -> None:
    _, incident = overload(before)
    due = at(2) + next_report * MINUTE
    assert abs(incident.earliest - due) < SECOND
    assert incident.latest is not None
    assert incident.latest > incident.earliest


def test_with_a_report_every_half_minute_it_is_knowable_in_half_a_minute() -> None:
    _, incident = overload(93, place=PLACE)
    assert incident.earliest <= at(2) + MINUTE


def test_an_overload_that_no_report_need_show_is_expected_of_nobody() -> None:
    _, incident = overload(93, lasts=3)
    assert incident.expected_rules == ()


@pytest.mark.parametrize("before", [90, 91, 93, 94, 96])
def test_the_product_raises_it_no_sooner_than_the_truth_says_and_in_time(
    tmp_path: Path, before: int
) -> None:
    here, incident = overload(before)
    result = run(tmp_path, map(recorded, played(here)), sites=sites_toml(here))
    fired = [each.fired_at for each in result.in_force.episodes if each.rule == "overload"]
    assert incident.latest is not None
    assert incident.earliest <= fired[0] <= incident.latest


# --- orders ----------------------------------------------------------------------------

ORDER = b'{"id": "c-%d", "command": "switch_off", "channel": 3}'


def ordered(words: str, times: int = 1) -> tuple[list[Emission], list[Emission]]:
    """Return what is said at once upon orders, and what within the next 20 minutes."""
    place = PLACE.replace('carrier = "radio"', f"orders = {{ {words} }}")
    player = Player(village(CHARGE, place=place).devices())
    for _ in player.play(at(2)):
        """A charge goes on."""
    at_once, topic = [], f"chargewatch/v1/{PILE}/command"
    for number in range(times):
        at_once += player.obey(topic, ORDER % number, at(2) + number * SECOND)
    later = list(player.play(at(2) + 20 * MINUTE))
    mine = [[each for each in said if each.device == PILE] for said in (at_once, later)]
    return mine[0], mine[1]


def replies(said: list[Emission]) -> list[Emission]:
    return [each for each in said if each.topic.endswith("/reply")]


def test_an_order_takes_its_time() -> None:
    at_once, later = ordered('half_within = "3 s", most_within = "20 s"')
    assert replies(at_once) == []
    [reply] = replies(later)
    assert at(2) < reply.at < at(2) + 2 * MINUTE
    first = next(reading for each, reading in of_socket(later, 3) if each.at >= reply.at)
    assert first.port_state == "cut"
    assert all(r.port_state == "charging" for e, r in of_socket(later, 3) if e.at < reply.at)


def test_a_lost_order_has_no_answer_and_no_effect() -> None:
    at_once, later = ordered("loses = 1.0")
    assert replies(at_once + later) == []
    assert {reading.port_state for _, reading in of_socket(later, 3)} == {"charging"}


def test_a_refused_order_is_answered_and_has_no_effect() -> None:
    at_once, later = ordered("refuses = 1.0")
    [reply] = replies(at_once)
    assert b'"ok":false' in reply.payload
    assert {reading.port_state for _, reading in of_socket(later, 3)} == {"charging"}


def test_a_share_of_the_orders_is_lost() -> None:
    at_once, _ = ordered("loses = 0.5", times=100)
    assert 30 < len(replies(at_once)) < 70


def test_who_does_not_say_otherwise_obeys_at_once() -> None:
    at_once, _ = ordered("")
    assert [reply.at for reply in replies(at_once)] == [at(2)]


def test_latencies_are_as_the_scenario_says() -> None:
    chance = Random(7)
    orders = Obedience(half_within=2 * SECOND, most_within=10 * SECOND)
    drawn = sorted(orders.latency(chance) or timedelta(0) for _ in range(4000))
    assert drawn[2000] / SECOND == pytest.approx(2, rel=0.1)
    assert drawn[3800] / SECOND == pytest.approx(10, rel=0.15)
    assert drawn[0] > timedelta(0)
    slow = Obedience(half_within=5 * MINUTE, most_within=60 * MINUTE)
    assert max(slow.latency(chance) or LATEST for _ in range(200)) == LATEST
