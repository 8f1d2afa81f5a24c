"""What somebody does to a village that runs: physics, dialects, truth, and nobody else."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from api.backtest.truth import read_truth
from ingest.codecs.native import Event, Telemetry
from rules.readings import Reading
from simulator.emissions import Emission
from simulator.faults.charges import Bike
from simulator.faults.devices import OldFirmwareHere
from simulator.faults.fault import Fault
from simulator.faults.fires import Smoke
from simulator.faults.messages import Stranger
from simulator.faults.network import CarrierOutage, LinkDown
from simulator.faults.supply import PowerCut
from simulator.improvising import Deed
from simulator.meddling import CHOICES, NOW, MeddledPlayer, at_hand
from simulator.player import Player
from simulator.scene import Subject
from simulator.skins import SensorSkinName, SkinName
from simulator.sockets import Use
from simulator.truth import Incident
from simulator.village import Site, Village
from tests.simulated import NOON, quiet, readings, with_fault
from tests.simulated import at as hour

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DONE = NOON + 2 * MINUTE
"""When everything here is done."""
NORTH = Site("town", "north", "北", "N", 2, 2, 30.0, 120.0, carrier="radio")
SOUTH = Site("town", "south", "南", "S", 2, 1, 30.0, 120.0, carrier="radio")
PILE, OTHER = "town/north/pile-01", "town/north/pile-02"
SENSOR, SECOND_SENSOR = "town/north/smoke-01", "town/north/smoke-02"
BY_KEY = {choice.key: choice.fault for choice in CHOICES}
COMMAND = f"chargewatch/v1/{PILE}/command"


def village(skin: SkinName = "native", sensor_skin: SensorSkinName = "native") -> Village:
    """Return two stations at which nobody charges."""
    return quiet(NORTH, SOUTH, skin=skin, sensor_skin=sensor_skin)


def begun(here: Village | None = None) -> MeddledPlayer:
    player = MeddledPlayer(here or village())
    for _ in player.play(DONE):
        """It has begun."""
    return player


@pytest.fixture
def player() -> MeddledPlayer:
    return begun()


def whom(fault: Fault) -> Subject:
    """Return the third socket of the first pile, or what of that place a fault befalls."""
    if fault.target in {"site", "carrier"}:
        return Subject(NORTH)
    if "sensor" in {fault.target, getattr(fault, "kind", "")}:
        return Subject(NORTH, SENSOR)
    return Subject(NORTH, PILE, 3 if fault.target == "socket" else None)


def done(player: MeddledPlayer, what: str | Fault, minutes: float = 5) -> list[Emission]:
    """Do something, and return all that is said in the time after it."""
    fault = BY_KEY[what] if isinstance(what, str) else what
    said = player.do(fault, whom(fault), DONE)
    return [*said, *player.play(DONE + minutes * MINUTE)]


def ended(player: MeddledPlayer, after: float) -> list[Emission]:
    [deed] = player.open_deeds()
    return player.end(deed, DONE + after * MINUTE)


def ordered(player: MeddledPlayer, now: datetime, command: str, channel: int = 3) -> bool:
    """Give a pile an order, and say whether it says that it has obeyed."""
    order = {"id": f"{command}-{now}", "command": command, "channel": channel}
    said = player.obey(COMMAND, json.dumps(order).encode(), now)
    replies = [json.loads(each.payload) for each in said if each.topic.endswith("/reply")]
    return [each["ok"] for each in replies] == [True]


def of_socket(said: Iterable[Emission], channel: int = 3, pile: str = PILE) -> list[Reading]:
    return readings(said, pile, channel)


def true(player: MeddledPlayer, kind: str, minutes: float = 60) -> list[Incident]:
    found = player.truth(NOON + MINUTE, DONE + minutes * MINUTE)
    return [each for each in found if each.kind == kind]


# --- physics ------------------------------------------------------------------------------


def test_an_overload_is_a_load_that_warms_the_contact_sags_the_mains_and_is_counted(
    player: MeddledPlayer,
) -> None:
    said = done(player, "o", 20)
    socket = of_socket(said)
    [alone, *both] = socket
    assert 100 < (alone.power_w or 0) < 400
    assert all((each.power_w or 0) > 1100 and each.relay_on for each in both)
    assert all((each.current_a or 0) > 6 for each in both)
    first, last = both[0], both[-1]
    kwh = (last.energy_kwh or 0) - (first.energy_kwh or 0)
    assert kwh == pytest.approx(1.23 * 20 / 60, rel=0.05)
    assert last.session_energy_kwh == pytest.approx(kwh, rel=0.05)
    assert (last.device_temperature_c or 0) > (first.device_temperature_c or 0) + 10
    still = [each.voltage_v or 0 for each in of_socket(said, pile=OTHER)]
    assert (last.voltage_v or 0) < sum(still) / len(still)
    assert all((each.power_w or 0) < 20 for each in of_socket(said, channel=4))
    plugs = [json.loads(each.payload) for each in said if each.topic.endswith("/event")]
    assert [(each["event"], each["channel"]) for each in plugs] == [("plugged", 3)]


def test_an_order_really_ends_an_overload_and_the_truth_knows(player: MeddledPlayer) -> None:
    done(player, "o")
    cut_at = DONE + 6 * MINUTE
    assert ordered(player, cut_at, "switch_off")
    dark = of_socket(player.play(DONE + 20 * MINUTE))
    assert all((each.power_w or 0) < 1 and each.relay_on is False for each in dark)
    assert dark[-1].energy_kwh == dark[0].energy_kwh
    assert (dark[-1].device_temperature_c or 0) < (dark[0].device_temperature_c or 0)
    assert ordered(player, DONE + 20 * MINUTE, "switch_on")
    again = of_socket(player.play(DONE + 30 * MINUTE))
    assert all((each.power_w or 0) > 1100 for each in again)
    first, second = true(player, "overload")
    assert first.ends == cut_at
    assert first.expected_rules == second.expected_rules == ("overload",)
    assert second.begins == DONE + 20 * MINUTE


def test_an_overload_that_is_ended_leaves_the_socket_empty_at_once(
    player: MeddledPlayer,
) -> None:
    done(player, "o")
    [unplugged] = [each for each in ended(player, 6) if each.topic.endswith("/event")]
    assert json.loads(unplugged.payload)["event"] == "unplugged"
    later = of_socket(player.play(DONE + 15 * MINUTE))
    assert all((each.power_w or 0) < 1 and each.port_state == "idle" for each in later)
    [incident] = true(player, "overload")
    assert incident.ends == DONE + 6 * MINUTE
    assert incident.expected_rules == ("overload",)


def test_a_contact_gets_hot_by_what_flows_and_cools_when_nothing_does(
    player: MeddledPlayer,
) -> None:
    warm = [each.device_temperature_c or 0 for each in of_socket(done(player, "h", 8))]
    assert warm == sorted(warm)
    assert warm[0] < 30
    assert warm[-1] > 60
    assert ordered(player, DONE + 8 * MINUTE, "switch_off")
    cools = [
        each.device_temperature_c or 0 for each in of_socket(player.play(DONE + 40 * MINUTE))
    ]
    assert cools == sorted(cools, reverse=True)
    assert cools[-1] < 40
    [incident] = true(player, "contact_heating", 240)
    assert incident.expected_rules == ("warm", "heat")


def test_a_welded_relay_says_off_and_no_order_stops_the_current(player: MeddledPlayer) -> None:
    off = of_socket(done(player, "w"))[1:]
    assert all(each.relay_on is False and (each.power_w or 0) > 200 for each in off)
    assert ordered(player, DONE + 6 * MINUTE, "switch_off")
    still = of_socket(player.play(DONE + 12 * MINUTE))
    assert all(each.relay_on is False and (each.power_w or 0) > 200 for each in still)
    ended(player, 13)
    assert ordered(player, DONE + 14 * MINUTE, "switch_on")
    well = of_socket(player.play(DONE + 15 * MINUTE))
    assert all((each.power_w or 0) < 1 for each in well)
    player.do(Bike(at=NOW), Subject(NORTH, PILE, 3), DONE + 15 * MINUTE)
    assert ordered(player, DONE + 16 * MINUTE, "switch_off")
    cut = of_socket(player.play(DONE + 17 * MINUTE))
    assert all((each.power_w or 0) < 1 for each in cut), "its relay was replaced"


def test_a_battery_that_runs_away_swells_smokes_flames_and_takes_its_pile_with_it(
    player: MeddledPlayer,
) -> None:
    said = done(player, "f", 20)
    swells = DONE + 5 * SECOND
    smokes = [each for each in said if each.topic.endswith("/event") and "smoke-" in each.topic]
    assert {each.device for each in smokes} == {SENSOR, SECOND_SENSOR}
    assert all(msgspec.json.decode(each.payload, type=Event).active for each in smokes)
    assert all(3 * MINUTE <= each.at - swells < 4 * MINUTE for each in smokes)
    mine = [each for each in said if each.topic.endswith(f"{PILE}/telemetry")]
    by_minute = {int((each.at - swells) / MINUTE): each for each in mine}
    assert (of_socket([by_minute[3]])[0].power_w or 0) > 100
    assert (of_socket([by_minute[5]])[0].power_w or 0) < 1, "the charger has tripped"
    assert (of_socket([by_minute[5]])[0].device_temperature_c or 0) < 30
    for channel in (3, 4):
        [burns] = of_socket([by_minute[8]], channel)
        assert (burns.device_temperature_c or 0) > 100
    assert mine[-1].at <= swells + 9 * MINUTE, "then it has melted"
    assert any(each.device == OTHER and each.at > swells + 15 * MINUTE for each in said)
    [incident] = true(player, "thermal_runaway")
    assert (incident.site, incident.device) == ("town/north", None)
    assert incident.onset == swells
    assert incident.expected_rules == ("smoke", "fire")


def test_after_a_fire_what_burnt_is_replaced_and_the_smoke_is_gone(
    player: MeddledPlayer,
) -> None:
    done(player, "f", 20)
    clear = [each for each in ended(player, 21) if each.topic.endswith("/event")]
    assert {each.device for each in clear} >= {SENSOR, SECOND_SENSOR}
    said = list(player.play(DONE + 30 * MINUTE))
    births = [each for each in said if each.device == PILE and each.topic.endswith("/status")]
    assert [json.loads(each.payload)["online"] for each in births] == [True]
    third = of_socket(said)
    assert len(third) > 10
    assert all((each.device_temperature_c or 0) < 40 for each in third)
    assert not any(each.smoke_alarm for each in readings(said, SENSOR, None))
    assert true(player, "thermal_runaway")[0].ends == DONE + 21 * MINUTE


@pytest.mark.parametrize("key", ["d", "l"])
def test_a_device_that_is_gone_says_and_obeys_nothing_until_it_is_replaced(
    player: MeddledPlayer, key: str
) -> None:
    said = [each for each in done(player, key, 15) if each.device == PILE]
    if key == "d":
        assert said == []
    else:
        [will] = said
        assert will.retain
        assert json.loads(will.payload)["online"] is False
    assert not ordered(player, DONE + 15 * MINUTE, "switch_off")
    ended(player, 16)
    back = [each for each in player.play(DONE + 20 * MINUTE) if each.device == PILE]
    birth, *reports = back
    assert json.loads(birth.payload)["online"] is True
    assert len(reports) >= 7
    [incident] = true(player, "device_dead" if key == "d" else "connection_lost")
    assert incident.ends == DONE + 16 * MINUTE
    assert incident.expected_rules == ("silence",)


def test_a_device_that_was_dead_too_short_for_anybody_is_expected_of_nobody(
    player: MeddledPlayer,
) -> None:
    done(player, "d", 3)
    ended(player, 3)
    [incident] = true(player, "device_dead")
    assert incident.expected_rules == ()


def test_without_mains_piles_are_dark_and_detectors_live_on_their_batteries(
    player: MeddledPlayer,
) -> None:
    said = done(player, "p", 10)
    assert {each.device for each in said if each.device.startswith("town/north")} == {
        SENSOR,
        SECOND_SENSOR,
    }
    assert any(each.device.startswith("town/south") for each in said)
    ended(player, 11)
    back = list(player.play(DONE + 15 * MINUTE))
    assert {PILE, OTHER} <= {each.device for each in back}
    [incident] = true(player, "power_cut")
    assert incident.expected_rules == ("site_outage",)


def test_a_power_cut_that_is_over_sooner_than_was_agreed_on_is_a_trap(
    player: MeddledPlayer,
) -> None:
    done(player, "p", 2)
    ended(player, 2)
    [incident] = true(player, "power_cut")
    assert incident.severity == "trap"
    assert "site_outage" in incident.must_not_rules


def test_what_was_kept_during_an_outage_comes_when_it_is_ended_marked_as_kept(
    player: MeddledPlayer,
) -> None:
    assert done(player, CarrierOutage(at=NOW), 10) == []
    ended(player, 10)
    said = list(player.play(DONE + 15 * MINUTE))
    kept = [
        telemetry
        for each in said
        if each.topic.endswith(f"{PILE}/telemetry")
        and (telemetry := msgspec.json.decode(each.payload, type=Telemetry)).buffered
    ]
    assert len(kept) >= 20
    assert [each.seq for each in kept] == sorted(each.seq or 0 for each in kept)
    [incident] = true(player, "carrier_outage")
    assert (incident.site, incident.expected_rules) == ("", ("carrier_outage",))


def test_a_stuck_meter_shows_the_same_whatever_flows(player: MeddledPlayer) -> None:
    powers = {each.power_w for each in of_socket(done(player, "m", 10))[1:]}
    assert len(powers) == 1
    assert ordered(player, DONE + 10 * MINUTE, "switch_off")
    assert {each.power_w for each in of_socket(player.play(DONE + 12 * MINUTE))} == powers


def test_a_battery_runs_low_and_is_replaced(player: MeddledPlayer) -> None:
    low = [each.battery_pct or 0 for each in readings(done(player, "b", 20), SENSOR, None)]
    assert low
    assert all(each < 10 for each in low)
    ended(player, 21)
    new = readings(player.play(DONE + 30 * MINUTE), SENSOR, None)
    assert all((each.battery_pct or 0) > 70 for each in new)


def test_a_clock_at_1970_runs_on_from_there_until_it_is_set(player: MeddledPlayer) -> None:
    def times(said: Iterable[Emission]) -> list[datetime]:
        mine = (each for each in said if each.topic.endswith(f"{PILE}/telemetry"))
        found = (msgspec.json.decode(each.payload, type=Telemetry).at for each in mine)
        return [each for each in found if each is not None]

    wrong = times(done(player, "c"))
    assert {each.year for each in wrong} == {1970}
    assert wrong == sorted(wrong)
    ended(player, 6)
    assert {each.year for each in times(player.play(DONE + 8 * MINUTE))} == {2026}


def test_old_firmware_is_a_fault_without_an_end_that_can_be_ended(
    player: MeddledPlayer,
) -> None:
    assert all(
        each.port_state is None for each in of_socket(done(player, OldFirmwareHere(at=NOW)))
    )
    ended(player, 6)
    assert all(each.port_state for each in of_socket(player.play(DONE + 9 * MINUTE)))


def test_a_stranger_comes_and_goes(player: MeddledPlayer) -> None:
    said = done(player, Stranger(at=NOW))
    strange = {each.topic for each in said if "unknown" in each.topic}
    assert len(strange) == 1
    ended(player, 6)
    assert not [each for each in player.play(DONE + 9 * MINUTE) if "unknown" in each.topic]


def test_several_things_may_be_the_matter_and_end_one_by_one(player: MeddledPlayer) -> None:
    player.do(BY_KEY["o"], Subject(NORTH, PILE, 3), DONE)
    player.do(BY_KEY["h"], Subject(NORTH, PILE, 5), DONE)
    player.do(BY_KEY["c"], Subject(NORTH, PILE), DONE)
    first, second, third = player.open_deeds()
    for _ in range(2):  # a second time changes nothing
        player.end(first, DONE + 8 * MINUTE)
    said = list(player.play(DONE + 12 * MINUTE))
    assert all((each.power_w or 0) < 20 for each in of_socket(said)[1:])
    assert any((each.device_temperature_c or 0) > 60 for each in of_socket(said, 5))
    assert list(player.open_deeds()) == [second, third]


# --- who is in the way ---------------------------------------------------------------------


def test_who_charges_at_the_chosen_socket_has_to_go_and_the_next_comes_as_planned() -> None:
    curve = Bike(at=NOW).curve()
    uses = tuple(
        Use(3, DONE + minutes * MINUTE, DONE + (minutes + 15) * MINUTE, curve)
        for minutes in (-10, 15, 40)
    )
    undone = village()
    pile, *others = undone.piles
    busy = msgspec.structs.replace(pile, uses=uses)
    player = begun(msgspec.structs.replace(undone, piles=(busy, *others)))
    said = player.do(BY_KEY["w"], Subject(NORTH, PILE, 3), DONE)
    events = [json.loads(each.payload)["event"] for each in said]
    assert events == ["unplugged", "plugged"]
    [deed] = player.open_deeds()
    assert player.is_taken(Subject(NORTH, PILE, 3), DONE + MINUTE)
    assert not player.is_taken(Subject(NORTH, PILE, 4), DONE + MINUTE)
    player.do(BY_KEY["o"], Subject(NORTH, PILE, 3), DONE + SECOND)
    assert [*player.open_deeds()] == [deed], "one thing at a time"
    for _ in player.play(DONE + MINUTE):
        """By then its relay is welded."""
    while_taken = of_socket(player.play(DONE + 20 * MINUTE))
    assert all(each.relay_on is False for each in while_taken), "nobody else came"
    player.end(deed, DONE + 20 * MINUTE)
    assert not player.is_taken(Subject(NORTH, PILE, 3), DONE + 21 * MINUTE)
    empty = of_socket(player.play(DONE + 39 * MINUTE))
    assert all(each.port_state == "idle" for each in empty)
    for _ in player.play(DONE + 41 * MINUTE):
        """The third has come."""
    last = of_socket(player.play(DONE + 50 * MINUTE))
    assert all((each.power_w or 0) > 100 for each in last)


# --- nobody else ---------------------------------------------------------------------------


def test_a_village_to_which_nothing_is_done_says_what_it_would_have_said() -> None:
    meddled, plain = MeddledPlayer(village()), Player(village().devices())
    assert list(meddled.play(NOON + 10 * MINUTE)) == list(plain.play(NOON + 10 * MINUTE))
    assert meddled.said > 0


def test_what_is_done_to_one_changes_no_byte_of_what_others_say() -> None:
    undisturbed = list(Player(village().devices()).play(DONE + 20 * MINUTE))
    for fault in at_hand():
        player = begun()
        said = done(player, fault, 8)
        [deed] = player.deeds
        said += [*player.end(deed, DONE + 8 * MINUTE), *player.play(DONE + 20 * MINUTE)]
        befallen = {*deed.scene.on}
        strangers = {plan.id for plan in deed.scene.intruders}
        others = {each.id for each in village().own_devices()} - befallen
        assert others or deed.fault.target == "carrier"
        for name in others:
            mine = [each for each in said if each.device == name]
            assert mine == [
                each for each in undisturbed if each.device == name and each.at > DONE
            ], f"{deed.name} changes what {name} says"
        assert {each.device for each in said} <= befallen | others | {
            f"{name}/intruder-1000" for name in strangers
        }


def test_the_same_deed_at_the_same_moment_leads_to_the_same_bytes() -> None:
    for key in ("f", "o"):
        first, second = (done(begun(), key, 12) for _ in range(2))
        assert first == second


# --- dialects ------------------------------------------------------------------------------


@pytest.fixture
def dressed() -> MeddledPlayer:
    return begun(village("tasmota", "zigbee2mqtt"))


def meters(said: Iterable[Emission]) -> Iterator[list[int]]:
    name = PILE.replace("/", "_")
    for each in said:
        if each.topic == f"tele/{name}/SENSOR":
            yield json.loads(each.payload)["ENERGY"]["Power"]


def test_an_overload_of_a_tasmota_strip_is_ended_by_its_own_order(
    dressed: MeddledPlayer,
) -> None:
    assert max(list(meters(done(dressed, "o")))[-1]) > 1100
    name = PILE.replace("/", "_")
    said = dressed.obey(f"cmnd/{name}/POWER3", b"OFF", DONE + 6 * MINUTE)
    assert any(each.topic == f"stat/{name}/POWER3" and each.payload == b"OFF" for each in said)
    assert max(list(meters(dressed.play(DONE + 9 * MINUTE)))[-1]) < 2
    assert dressed.last[PILE].topic.endswith("/telemetry")  # what the view reads


def test_a_zigbee_detector_sees_the_smoke_of_a_fire_in_its_own_words(
    dressed: MeddledPlayer,
) -> None:
    said = [each for each in done(dressed, "f") if each.topic == f"zigbee2mqtt/{SENSOR}"]
    assert any(json.loads(each.payload).get("smoke") is True for each in said)
    assert any(
        json.loads(each.payload).get("smoke") is False
        for each in ended(dressed, 6)
        if each.topic == f"zigbee2mqtt/{SENSOR}"
    )


# --- truth ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "by_hand", "lasts"),
    [
        ('fault = "smoke"\nwhere = "*/smoke-01"', Smoke(at=NOW), 8),
        ('fault = "power_cut"', PowerCut(at=NOW), 40),
        (
            'fault = "overload"\nwhere = "*/pile-01#3"\ncame_before = "5 s"\nlasts = "10 min"',
            BY_KEY["o"],
            10 + 5 / 60,
        ),
        (
            'fault = "relay_welded"\nwhere = "*/pile-01#3"\ncame_before = "5 s"',
            BY_KEY["w"],
            60 + 5 / 60,
        ),
    ],
)
def test_what_is_done_by_hand_is_as_true_as_what_a_scenario_does(
    words: str, by_hand: Fault, lasts: float
) -> None:
    shortly = 5 if "came_before" in words else 0
    scheduled = with_fault(f'at = "12:00:{shortly:02}"\n{words}')
    [first, *_] = scheduled.happens
    device = first.device or ""
    place = first.site or device.rpartition("/")[0]
    [site] = [each for each in scheduled.sites if each.id == place]
    player = MeddledPlayer(with_fault('fault = "smoke"\nat = "23:59"'))
    for _ in player.play(hour(12)):
        """Nothing has happened."""
    player.do(by_hand, Subject(site, device, first.channel), hour(12))
    [deed] = player.open_deeds()
    player.end(deed, hour(12) + lasts * MINUTE)
    found = player.truth(hour(11), hour(20))
    assert found == [*scheduled.happens]


def test_a_link_that_comes_back_by_hand_does_so_after_a_moment_of_its_own(
    player: MeddledPlayer,
) -> None:
    done(player, LinkDown(at=NOW), 15)
    ended(player, 15)
    [down], [backlog] = true(player, "link_down"), true(player, "backlog")
    assert down.ends == backlog.begins
    assert 0 <= (backlog.begins - DONE) / MINUTE - 15 <= 2
    assert (down.expected_rules, backlog.severity) == (("silence",), "trap")


def test_the_truth_of_every_fault_can_be_read_by_whoever_scores(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    for fault in at_hand():
        player = begun()
        done(player, fault, 8)
        ended(player, 8)
        found = player.truth(NOON, DONE + 10 * MINUTE)
        path.write_bytes(msgspec.json.Encoder().encode_lines(found))
        read = read_truth(path)
        assert [each.kind for each in read] == [each.kind for each in found]
        assert all(each.ends is None or each.ends >= each.begins for each in read)


def test_what_still_goes_on_when_nobody_watches_any_more_is_due_only_if_there_was_time(
    player: MeddledPlayer,
) -> None:
    done(player, "s", 10)
    [incident] = player.truth(NOON, DONE + 10 * MINUTE)
    assert (incident.ends, incident.expected_rules) == (None, ("smoke",))
    [incident] = player.truth(NOON, DONE + MINUTE)
    assert incident.expected_rules == ()


def test_what_ought_to_come_of_a_deed_is_known_when_it_is_done() -> None:
    def deed(what: str) -> Deed:
        player = begun()
        done(player, what, 0)
        return player.deeds[0]

    load, fire, cut = deed("o"), deed("f"), deed("p")
    assert (load.expected, load.place) == (("overload",), (PILE, 3))
    assert (fire.expected, fire.place) == (("smoke", "fire"), ("", None))
    assert {*cut.expected} == {"site_outage", "silence"}
    assert "carrier_outage" in cut.must_not
    assert cut.sites == ("town/north",)
