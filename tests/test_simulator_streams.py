"""One seed, one stream: across processes, and whatever else there is."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.codecs.native import Telemetry
from simulator.building import built
from simulator.emissions import Emission
from simulator.library import Size
from simulator.library import village as of_library
from simulator.link_faults import Broken, Delayed, Doubled, Kept, Lost
from simulator.links import Linked, Step
from simulator.pile_plans import PilePlan
from simulator.piles import Pile
from simulator.player import Player, recorded
from simulator.scenario_file import library, parsed
from tests.simulated import DAY, NORTH, PLACE, at, played, village

ROOT = Path(__file__).parents[1]
RELEASED = "c9197593fea4d5f7b29e45de1aeba6f2f33f6936bfed1831d724793979f8440f"
BUSY = """
[[events]]
fault = "overload"
at = "random: 20 per site-week"
[[events]]
fault = "loss"
at = "random: 20 per device-week"
[[events]]
fault = "insect"
at = "random: 10 per site-week"
[[events]]
fault = "power_cut"
at = "random: 5 per site-week"
[[events]]
fault = "clock_drifting"
at = "random: 5 per site-week"
"""


def digest(said: list[Emission]) -> str:
    return hashlib.sha256(b"".join(map(recorded, said))).hexdigest()


def in_a_process(hash_seed: str, *words: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "simulator", *words, "--out=-"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    return hashlib.sha256(done.stdout).hexdigest()


@pytest.mark.parametrize("name", ["attack", "village-evening", "carrier-outage"])
def test_a_process_of_its_own_says_the_same_bytes(name: str) -> None:
    words = (name, "--seed=5", "--date=2026-05-12", "--duration=90")
    one, other = (in_a_process(hash_seed, *words) for hash_seed in ("1", "4242"))
    assert one == other
    here = of_library(name, 5, DAY, Size(30, 50))
    assert digest(played(here, here.starts + timedelta(minutes=90))) == one


def test_the_bytes_are_those_of_the_last_release() -> None:
    """Whoever changes this changes everybody's recordings: say so in the CHANGELOG."""
    here = of_library("attack", 7, DAY, Size(30, 50))
    assert digest(played(here, here.starts + timedelta(hours=1))) == RELEASED


def test_the_bytes_of_empty_sockets_are_those_that_the_types_make() -> None:
    here = of_library("busy-week", 7, DAY, Size(1, 4))
    said = [e.payload for e in played(here) if e.topic.endswith("/telemetry")]
    assert len(said) > 1000
    for payload in said:
        made = msgspec.json.encode(msgspec.json.decode(payload, type=Telemetry))
        said_so, as_made = json.loads(payload), json.loads(made)
        assert said_so == as_made
        pairs = zip(said_so["readings"], as_made["readings"], strict=True)
        for number, (one, other) in enumerate(pairs):
            assert list(one) == list(other)
            assert one.get("channel", 0) == number


@given(st.integers(0, 2**32))
@settings(max_examples=5)
def test_any_seed_builds_the_same_village_twice(seed: int) -> None:
    assert village('lasts = "6 h"\n' + BUSY, seed) == village('lasts = "6 h"\n' + BUSY, seed)


def test_a_pile_more_at_a_site_leaves_everybody_else_as_they_were() -> None:
    before = village('lasts = "12 h"\n' + BUSY)
    larger = PLACE.replace("piles = 2, sensors = 2", "piles = 3, sensors = 2")
    after = village('lasts = "12 h"\n' + BUSY, place=larger)
    plans = {plan.id: plan for plan in after.piles}
    fallen = {incident.device for incident in after.happens} - {None}
    changed = [plan.id for plan in before.piles if plans[plan.id].uses != plan.uses]
    # What fell on the new one does not befall another; nobody else's lot has changed.
    assert all(plan.startswith(NORTH) for plan in changed)
    for plan in before.piles:
        assert {*plans[plan.id].uses} <= {*plan.uses}
    assert f"{NORTH}/pile-03" in {plan.id for plan in after.piles}
    assert fallen


def test_a_station_more_leaves_all_streams_as_they_were() -> None:
    scenario = parsed(library()["busy-week"].read_text(encoding="utf-8"), "busy-week")
    few, more = (
        built("busy-week", scenario, DAY, seed=2, days=1, sites=sites) for sites in (51, 52)
    )
    mine = {plan.id for plan in few.piles} & {plan.id for plan in more.piles}
    plans = {plan.id: plan for plan in more.piles}
    same = [plan for plan in few.piles if plan.id in mine and plan == plans[plan.id]]
    assert len(same) >= len(few.piles) - 12  # the last village became a block's


def test_a_day_more_leaves_the_days_before_as_they_were() -> None:
    scenario = parsed(library()["quiet-month"].read_text(encoding="utf-8"), "quiet-month")
    short, longer = (
        built("quiet-month", scenario, DAY, seed=2, days=days, sites=3) for days in (1, 2)
    )
    assert digest(played(short)) == digest(played(longer, short.ends))


def test_one_step_more_changes_nothing_that_others_decide_by_chance() -> None:
    plan = PilePlan(id="town/north/pile-01", sockets=2)
    lost = Lost(since=at(0), share=0.5)

    def heard(*steps: Step) -> list[bytes]:
        device = Linked(Pile(plan, at(0), 7), steps, 7)
        return [said.payload for said in Player([device]).play(at(1))]

    once, twice = heard(lost), heard(lost, Doubled(since=at(0)))
    assert [payload for payload in once for _ in "ab"] == twice


STEP = st.one_of(
    st.builds(Lost, since=st.just(at(0)), share=st.floats(0, 1)),
    st.builds(Doubled, since=st.just(at(0)), share=st.floats(0, 1)),
    st.builds(Kept, since=st.just(at(0.1)), until=st.just(at(0.3))),
    st.builds(Broken, since=st.just(at(0)), share=st.floats(0, 1)),
    st.builds(
        Delayed,
        since=st.just(at(0)),
        least=st.timedeltas(timedelta(0), timedelta(minutes=1)),
        most=st.timedeltas(timedelta(minutes=1), timedelta(minutes=9)),
    ),
)


@given(st.lists(STEP, max_size=5), st.integers(0, 99))
@settings(max_examples=30)
def test_any_chain_of_steps_is_played_in_order_and_the_same_each_time(
    steps: list[Step], seed: int
) -> None:
    plan = PilePlan(id="town/north/pile-01", sockets=2)

    def heard() -> list[Emission]:
        return list(Player([Linked(Pile(plan, at(0), seed), steps, seed)]).play(at(0.5)))

    said = heard()
    assert said == heard()
    assert [each.at for each in said] == sorted(each.at for each in said)
