"""Which limits are in force where, and from which layer each comes."""

from datetime import timedelta

import msgspec
import pytest

from rules.policies import BUILT_IN, Policies, Tables, as_written
from rules.policy import Policy
from rules.schedule import Schedule

NIGHTLY = Schedule.nightly()
SITE, PILE = "town/north", "town/north/pile-1"


def of(policies: Policies, site: str = SITE, device: str | None = PILE) -> Policy:
    return policies.resolve(site, device, NIGHTLY)


def act(watts: float) -> Tables:
    return {"overload": {"act_w": watts}}


def test_without_a_file_the_built_in_policy_is_in_force_everywhere() -> None:
    assert of(BUILT_IN) == of(BUILT_IN, "any/site", None) == Policy()


def test_the_narrower_place_wins_key_by_key() -> None:
    layers = Policies(
        default={"overload": {"act_w": 1100.0, "warn_w": 850.0}},
        areas={"town": act(1200.0)},
        sites={SITE: act(1300.0)},
        devices={PILE: act(1400.0)},
    )
    assert of(layers).overload.act_w == 1400
    assert of(layers, SITE, "town/north/pile-2").overload.act_w == 1300
    assert of(layers, "town/south", None).overload.act_w == 1200
    assert of(layers, "city/north", None).overload.act_w == 1100
    assert {of(layers, site, None).overload.warn_w for site in (SITE, "city/x")} == {850.0}


def test_a_device_of_another_place_is_not_concerned() -> None:
    layers = Policies(devices={"town/north/pile-2": act(1500.0)})
    assert of(layers) == Policy()


def test_the_opening_hours_are_the_sites_own() -> None:
    always = Schedule("Europe/Berlin", ())
    assert BUILT_IN.resolve(SITE, PILE, always).schedule is always


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"overlord": {"act_w": 900.0}}, "unknown field `overlord`"),
        ({"overload": {"act": 900.0}}, "unknown field `act`"),
        ({"overload": {"act_w": 1e9}}, "<= 1000000"),
        ({"overload": {"act_w": "a lot"}}, "Expected `float`"),
        ({"overload": {"act_w": 700.0}}, "warn_w must be at most act_w"),
        ({"heat": {"hold": timedelta(days=367)}}, "hold must be between 0 s and 366 d"),
        ({"schedule": {"zone_name": "UTC"}}, "schedule"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_place(tables: Tables, words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        of(Policies(default=tables))


def test_every_value_is_explained_with_the_layer_that_set_it() -> None:
    layers = Policies(default=act(1100.0), sites={SITE: {"heat": {"act_c": 75.0}}})
    found = {
        (each.table, each.key): (each.value, each.layer) for each in layers.explain(SITE, PILE)
    }
    assert found["overload", "act_w"] == (1100.0, "default")
    assert found["heat", "act_c"] == (75.0, f"site {SITE}")
    assert found["heat", "clear_c"] == (60.0, "built in")
    policy = of(layers)
    assert set(found) == {
        (table, key)
        for table in Policy.__struct_fields__
        if table != "schedule"
        for key in getattr(policy, table).__struct_fields__
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=30), "30 s"),
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=10), "10 min"),
        (timedelta(hours=25), "25 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(seconds=0.5), "0.5 s"),
        (1000.0, 1000.0),
        (True, True),
        ("CN", "CN"),
    ],
)
def test_a_value_is_written_as_in_a_policy_file(value: object, text: object) -> None:
    assert as_written(value) == text
