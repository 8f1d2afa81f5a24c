"""The simulator: one seed, one stream; a truth that the wire and the rules bear out."""

import hashlib
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api import policy_file
from ingest.clock import utc_now, warped
from ingest.codecs.native import Native
from ingest.registry import Device, Name, Registry, Site
from ingest.wire import Message, Profile, Rejected, Said
from rules.alerts import Alert, Change, Transition
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.readings import DeviceId, Kind, Report
from simulator.__main__ import app
from simulator.batteries import BATTERIES, Battery
from simulator.charging import Curve, charge, joined
from simulator.emissions import Emission
from simulator.pile_plans import PilePlan
from simulator.player import Player, recorded
from simulator.publisher import Broker
from simulator.village import POLICY_TOML, Village, ledger, sites_toml
from simulator.village_evening import (
    DROPPED,
    DYING,
    FORGOTTEN,
    INRUSH,
    LOST_IN_TIME,
    OVERLOADED,
    SMOKY,
    village_evening,
)

DAY = date(2026, 5, 12)
ZONE = ZoneInfo("Asia/Shanghai")
SEEDS = (1, 7, 20260512)
CODEC = Native()


def local(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 5, 12, hour, minute, second, tzinfo=ZONE)


def played(village: Village) -> list[Emission]:
    return list(Player(village.devices()).play(village.ends))


@cache
def evening(seed: int) -> tuple[Village, tuple[Emission, ...]]:
    village = village_evening(seed, DAY)
    return village, tuple(played(village))


def digest(emissions: list[Emission] | tuple[Emission, ...]) -> str:
    return hashlib.sha256(b"".join(map(recorded, emissions))).hexdigest()


def said(emission: Emission) -> Said | Rejected:
    message = Message(emission.topic, emission.payload, emission.at)
    name = CODEC.address(emission.topic, ())
    assert name == emission.device
    heard = CODEC.decode(message, emission.device, Profile())
    assert isinstance(heard, Said | Rejected)
    return heard


def powers(
    emissions: tuple[Emission, ...],
) -> dict[tuple[str, int], list[tuple[datetime, float]]]:
    """Return what each socket reports, in order."""
    series = defaultdict(list)
    for emission in emissions:
        heard = said(emission)
        for reading in heard.readings if isinstance(heard, Said) else ():
            if reading.channel and reading.power_w is not None:
                series[emission.device, reading.channel].append((emission.at, reading.power_w))
    return series


# --- one seed, one stream -----------------------------------------------------------


def test_one_seed_says_the_same_bytes_and_another_seed_others() -> None:
    again = played(village_evening(7, DAY))
    assert digest(again) == digest(evening(7)[1])
    assert digest(again) != digest(evening(1)[1])


def test_one_device_more_changes_nothing_about_the_others() -> None:
    village, before = evening(7)
    extra = PilePlan(id="beilun/east-gate/pile-99")
    after = played(msgspec.structs.replace(village, piles=(extra, *village.piles)))
    assert [e for e in after if e.device != extra.id] == list(before)
    assert len(after) > len(before)


def test_the_stream_is_in_the_order_of_time() -> None:
    moments = [emission.at for emission in evening(7)[1]]
    assert moments == sorted(moments)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_message_is_understood_but_the_one_that_is_cut_in_half(seed: int) -> None:
    village, emissions = evening(seed)
    refused = [e for e in emissions if isinstance(said(e), Rejected)]
    assert len(refused) == village.expected_refused == 1


def test_messages_are_numbered_without_a_gap_and_births_are_retained() -> None:
    numbers = defaultdict(list)
    for emission in evening(7)[1]:
        if not emission.last_will and not isinstance(said(emission), Rejected):
            numbers[emission.device].append(msgspec.json.decode(emission.payload)["seq"])
        assert emission.retain == emission.topic.endswith("/status")
        assert emission.qos == 1
    for device, seqs in numbers.items():
        assert sorted(set(seqs)) == list(range(1, len(set(seqs)) + 1)), device


# --- the truth of the evening -------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_overloaded_socket_stays_above_1000_w(seed: int) -> None:
    for socket, series in powers(evening(seed)[1]).items():
        above: datetime | None = None
        for at, power_w in series:
            above = (above or at) if power_w > 1000 else None
            if above and at - above >= timedelta(seconds=15):
                assert socket == OVERLOADED
                assert local(21, 42) <= at <= local(21, 52, 30)


def test_an_inrush_is_seen_above_1000_w_and_is_soon_over() -> None:
    high = [at for at, w in powers(evening(7)[1])[INRUSH] if w > 1000]
    assert high == [local(21, 44, 1)]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_grace_only_the_forgotten_bike_charges(seed: int) -> None:
    charging = {
        socket
        for socket, series in powers(evening(seed)[1]).items()
        for at, power_w in series
        if power_w >= 15 and at >= local(22, 7) and socket[0] != DYING
    }
    assert charging == {FORGOTTEN}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_pile_comes_near_its_limit(seed: int) -> None:
    totals: dict[tuple[str, datetime], float] = defaultdict(float)
    for (pile, _), series in powers(evening(seed)[1]).items():
        for at, power_w in series:
            totals[pile, at] += power_w
    assert max(totals.values()) < 7800 * 0.8


def test_the_dying_pile_says_nothing_more_and_the_dropped_sensor_only_its_will() -> None:
    last = {emission.device: emission for emission in evening(7)[1]}
    assert local(21, 48, 55) < last[DYING].at <= local(21, 49, 30)
    assert not last[DYING].last_will
    assert last[DROPPED].last_will
    assert last[DROPPED].retain
    assert last[DROPPED].at == local(21, 54)
    others = [e.at for device, e in last.items() if device not in {DYING, DROPPED}]
    assert min(others) > local(23, 34)


def test_one_pile_lives_in_1970_until_its_clock_is_set() -> None:
    heard = [said(e) for e in evening(7)[1] if e.device == LOST_IN_TIME]
    years = [h.at.year for h in heard if isinstance(h, Said) and h.at]
    assert set(years) == {1970, 2026}
    assert years == sorted(years)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_in_force_find_the_truth_and_nothing_else(seed: int) -> None:
    village, emissions = evening(seed)
    engine = judging({device.id: device.kind for device in village.devices()})
    fired = []
    for emission in emissions:
        while (due := engine.next_deadline()) and due <= emission.at:
            fired += begun(engine.advance(due), due)
        heard = said(emission)
        if isinstance(heard, Said):
            report = Report(
                device=DeviceId(emission.device),
                at=emission.at,
                received_at=emission.at,
                identity="",
                readings=heard.readings,
            )
            fired += begun(engine.observe(report, emission.at), emission.at)
    found = {(a.key.rule, str(a.key.device), a.key.channel): at for at, a in fired}
    assert len(found) == len(fired)
    assert found.keys() == {(t.rule, t.device, t.channel) for t in village.truth()}
    for truth in village.truth():
        at = found[truth.rule, truth.device, truth.channel]
        assert truth.earliest <= at <= truth.latest


def judging(kinds: dict[str, Kind]) -> Engine:
    registry = Registry([], [], [])
    sites = {"/".join(device.split("/")[:2]) for device in kinds}
    name = Name("", "")
    registry.declare(
        [],
        [Site(id=site, area=site.partition("/")[0], name=name) for site in sites],
        [
            Device(
                id=DeviceId(device),
                site="/".join(device.split("/")[:2]),
                dialect="native",
                name=device,
                kind=kind,
            )
            for device, kind in kinds.items()
        ],
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    registry.apply(policy_file.parsed(POLICY_TOML.encode()))
    return Engine(*rules_in_force(), registry)


def begun(changes: Iterable[Change], at: datetime) -> list[tuple[datetime, Alert]]:
    """Return the alerts that begin to fire."""
    return [(at, alert) for alert, what in changes if what is Transition.FIRING]


def test_the_first_alarm_is_due_within_6_minutes_and_all_within_50() -> None:
    village = evening(7)[0]
    latest = sorted(truth.latest - village.starts for truth in village.truth())
    assert latest[0] <= timedelta(minutes=6)
    assert latest[-1] <= timedelta(minutes=50)
    assert {t.rule for t in village.truth()} == {"overload", "smoke", "silence", "after_hours"}


def test_the_register_and_the_truth_can_be_read_back() -> None:
    village = evening(7)[0]
    register = tomllib.loads(sites_toml(village))
    assert register["areas"]["beilun"]["name"] == {"zh": "北仑", "en": "Beilun"}
    assert register["sites"]["beilun/east-gate"] == {
        "name": {"zh": "东门充电站", "en": "East Gate"},
        "zone": "Asia/Shanghai",
        "closed": ["22:00-05:00"],
        "location": {"latitude": 29.8995, "longitude": 121.8402},
    }
    kinds = {device["id"]: device["kind"] for device in register["devices"]}
    assert kinds == {device.id: device.kind for device in village.devices()}
    assert len(register["sites"]) == 12
    read = msgspec.json.decode(ledger(village))
    assert read["expected_refused"] == 1
    assert {alert["device"] for alert in read["alerts"]} <= kinds.keys()


# --- commands -----------------------------------------------------------------------


def test_a_socket_that_is_switched_off_draws_nothing_until_it_is_switched_on() -> None:
    player, now = at_work()
    pile, channel = FORGOTTEN
    reply, telemetry = command(player, pile, now, command="switch_off", channel=channel)
    assert msgspec.json.decode(reply.payload)["ok"] is True
    assert reply.topic == f"chargewatch/v1/{pile}/reply"
    assert power_of(telemetry, channel) < 1
    later = [e for e in player.play(now + timedelta(minutes=3)) if e.device == pile]
    assert max(power_of(e, channel) for e in later if e.topic.endswith("telemetry")) < 1
    now += timedelta(minutes=3)
    *_, telemetry = command(player, pile, now, command="switch_on", channel=channel)
    assert power_of(telemetry, channel) > 200


def test_a_sensor_tests_itself_when_told_to() -> None:
    player, now = at_work()
    reply, event, telemetry = command(player, SMOKY, now, command="self_test")
    assert b'"ok":true' in reply.payload
    assert b'"event":"self_test"' in event.payload
    assert b'"self_test":true' in telemetry.payload
    after = [e for e in player.play(now + timedelta(seconds=11)) if e.device == SMOKY]
    assert b'"self_test":false' in after[0].payload


@pytest.mark.parametrize(
    ("device", "payload", "why"),
    [
        (FORGOTTEN[0], b'{"id":"c1","command":"switch_off","channel":11}', "no socket 11"),
        (FORGOTTEN[0], b'{"id":"c1","command":"switch_off"}', "channel missing"),
        (FORGOTTEN[0], b'{"id":"c1","command":"explode"}', "not understood"),
        (SMOKY, b'{"id":"c1","command":"switch_off","channel":1}', "nothing to switch"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    device: str, payload: bytes, why: str
) -> None:
    player, now = at_work()
    (reply,) = player.obey(f"chargewatch/v1/{device}/command", payload, now)
    answer = msgspec.json.decode(reply.payload)
    assert (answer["id"], answer["ok"]) == ("c1", False)
    assert why in answer["detail"]


def test_nobody_answers_for_the_dead_or_for_a_stranger() -> None:
    player, _ = at_work()
    list(player.play(local(21, 50)))
    order = b'{"id":"c1","command":"report_now"}'
    stranger = "chargewatch/v1/beilun/east-gate/pile-77/command"
    assert player.obey(f"chargewatch/v1/{DYING}/command", order, local(21, 50)) == []
    assert player.obey(stranger, order, local(21, 50)) == []
    assert player.obey("something/else", order, local(21, 50)) == []


@given(st.binary(max_size=200) | st.just(b"[" * 100_000))
def test_any_bytes_are_answered_and_never_crash(payload: bytes) -> None:
    player = Player(evening(7)[0].devices()[:1])
    (reply,) = player.obey(
        "chargewatch/v1/beilun/east-gate/pile-01/command", payload, local(21, 40)
    )
    assert msgspec.json.decode(reply.payload)["ok"] is False


def at_work() -> tuple[Player, datetime]:
    player, now = Player(village_evening(7, DAY).devices()), local(21, 41)
    list(player.play(now))
    return player, now


def command(player: Player, device: str, now: datetime, **words: object) -> list[Emission]:
    payload = msgspec.json.encode({"id": f"c-{now.isoformat()}", **words})
    return player.obey(f"chargewatch/v1/{device}/command", payload, now)


def power_of(emission: Emission, channel: int) -> float:
    heard = said(emission)
    assert isinstance(heard, Said)
    (power_w,) = [r.power_w for r in heard.readings if r.channel == channel]
    assert power_w is not None
    return power_w


# --- the charging model -------------------------------------------------------------

BATTERY = st.sampled_from(BATTERIES)
FULL = st.floats(0, 1)
ELAPSED = st.timedeltas(timedelta(0), timedelta(days=3))


@given(BATTERY, FULL, st.lists(ELAPSED, min_size=2).map(sorted))
def test_power_is_finite_and_never_negative_and_energy_never_falls(
    battery: Battery, full: float, moments: list[timedelta]
) -> None:
    curve = charge(battery, full)
    energies = [curve.energy_wh(moment) for moment in moments]
    assert energies == sorted(energies)
    assert all(0 <= curve.power_w(moment) <= battery.plateau_w * 1.6 for moment in moments)
    assert 0 <= energies[0] <= energies[-1] < 20_000


@given(BATTERY, FULL, ELAPSED)
def test_energy_is_the_integral_of_power(battery: Battery, full: float, at: timedelta) -> None:
    curve, minute = charge(battery, full), timedelta(minutes=1)
    drawn_wh = curve.energy_wh(at + minute) - curve.energy_wh(at)
    steps = [curve.power_w(at + minute * (n + 0.5) / 240) for n in range(240)]
    assert drawn_wh == pytest.approx(sum(steps) / 240 / 60, rel=0.01, abs=1e-3)


@given(BATTERY, st.floats(0, 0.7))
def test_a_charge_rises_then_tapers_then_floats_below_20_w(
    battery: Battery, full: float
) -> None:
    curve = charge(battery, full)
    hours = [curve.power_w(timedelta(seconds=10, minutes=10 * n)) for n in range(6 * 14)]
    peak, ripple_w = hours.index(max(hours)), 0.01 * battery.plateau_w
    assert all(b > a - ripple_w for a, b in pairwise(hours[: peak + 1]))
    assert all(b < a + ripple_w for a, b in pairwise(hours[peak:]))
    assert hours[-1] < 20


@given(BATTERY, FULL, st.timedeltas(timedelta(seconds=1), timedelta(hours=9)))
def test_a_second_load_on_an_adapter_is_a_step_that_stays(
    battery: Battery, full: float, after: timedelta
) -> None:
    alone = charge(battery, full)
    both: Curve = joined(alone, after, extra_w=1000)
    assert both.power_w(after / 2) == pytest.approx(alone.power_w(after / 2), abs=0.5)
    later = after + timedelta(milliseconds=1)
    assert both.power_w(later) == pytest.approx(alone.power_w(after) + 1000, abs=0.5)
    assert both.power_w(later + timedelta(hours=5)) == both.power_w(later)


# --- clock, address and command line ------------------------------------------------


def test_a_warped_clock_shows_what_it_was_told_and_runs_as_fast() -> None:
    started, shows = utc_now() - timedelta(seconds=10), local(21, 40)
    now = warped(60, started, shows)
    first, second = now(), now()
    assert first.tzinfo is UTC
    assert timedelta(minutes=10) <= first - shows < timedelta(minutes=11)
    assert second >= first


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://10.0.0.1", Broker(host="10.0.0.1")),
        ("mqtt://h:2883", Broker(host="h", port=2883)),
        (
            "mqtts://u:p%40@h",
            Broker(host="h", port=8883, username="u", password="p@", tls=True),
        ),
    ],
)
def test_a_brokers_address_is_read(url: str, broker: Broker) -> None:
    assert Broker.at(url) == broker


def test_an_address_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not mqtt"):
        Broker.at("http://h")


def test_the_command_line_writes_a_recording_the_truth_and_the_register(tmp_path: Path) -> None:
    out, truth, sites = (tmp_path / name for name in ("out", "truth", "sites"))
    words = ["village-evening", "--date", "2026-05-12", "--duration", "5", "--out", str(out)]
    words += ["--truth", str(truth), "--sites-toml", str(sites)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    expected = [e for e in evening(7)[1] if e.at <= local(21, 45)]
    assert out.read_bytes() == b"".join(map(recorded, expected))
    assert len(msgspec.json.decode(truth.read_bytes())["alerts"]) == 5
    assert len(tomllib.loads(sites.read_text(encoding="utf-8"))["sites"]) == 12


def test_the_command_line_lists_its_scenarios_and_refuses_others() -> None:
    assert "village-evening" in CliRunner().invoke(app, ["--list"]).output
    assert CliRunner().invoke(app, ["no-such-thing"]).exit_code == 2


def test_a_live_village_says_nothing_of_what_is_past(tmp_path: Path) -> None:
    out, began = tmp_path / "live.jsonl", utc_now()
    words = ["quiet-month", "--sites=2", "--live", "--duration=10", f"--out={out}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    said = [msgspec.json.decode(line) for line in out.read_bytes().splitlines()]
    moments = [datetime.fromisoformat(each["at"]) for each in said]
    assert moments
    assert min(moments) >= began
    assert max(moments) <= utc_now() + timedelta(minutes=10)
