"""What is switched off by itself, what is not, and what holds for every latch."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.catalog import rules_in_force
from rules.cut_reasons import CUTTING_RULES
from rules.cutting import Action, CommandState
from rules.latch import Cut
from tests.test_restart import cuts
from tests.test_scenarios import Player, Scenario, all_scenarios, order_line, scenario, shown

AUTOMATIC = "north cut.automatic = true\n"


def orders(text: str) -> list[str]:
    """Play a timeline, and return what was ordered: `08:00:30 pile-1:1 switch_off`."""
    played = scenario("a test", filter(None, text.splitlines()))
    player = Player(played)
    player.play()
    lines = (order_line(command, at) for at, command in player.orders)
    return [
        line.removeprefix("05 ").replace("! order ", "") for line in shown(lines, played.zone)
    ]


# --- what is not cut by itself ----------------------------------------------------------


def test_nothing_is_cut_where_the_site_does_not_ask_for_it() -> None:
    assert not orders("""
08:00:00  pile-1  1: 1200 W
08:00:20  pile-1  1: 1200 W
08:01:00  pile-1  1: 1200 W
""")


def test_nothing_is_cut_at_the_level_of_a_warning() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 900 W
08:00:20  pile-1  1: 900 W
08:05:00  pile-1  1: 900 W
"""
    )


def test_nothing_is_cut_on_one_raw_sample_though_it_calls_somebody() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W
08:00:30  pile-1  1: 1200 W
08:01:00  ! overload pile-1:1 firing critical  1200 W, limit 1000 W, since 08:00:30
08:01:30  pile-1  1: 900 W
08:02:00  pile-1  1: 300 W
08:05:00  pile-1  1: 300 W
"""
    )


def test_nothing_is_cut_before_the_alarm_has_fired() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 1200 W
08:00:15  pile-1  1: 1200 W
08:00:29  pile-1  1: 500 W
08:05:00  nothing more
"""
    )


@pytest.mark.parametrize(
    "danger",
    [
        "08:00:00  pile-1  1: 300 W, smoke\n08:00:20  pile-1  1: 300 W, smoke",
        "23:00:00  pile-1  1: 300 W\n23:30:00  pile-1  1: 300 W",
        "08:00:00  pile-1  1: 300 W, 1: fault E7\n08:00:20  pile-1  1: 300 W, 1: fault E7",
        "08:00:00  pile-1  1: 300 W, 1: relay off\n08:02:00  pile-1  1: 300 W, 1: relay off",
    ],
)
def test_what_a_person_has_to_look_at_first_is_not_cut(danger: str) -> None:
    assert not orders(AUTOMATIC + danger + "\n23:59:00  nothing more")


def test_heat_at_one_raw_sample_is_not_cut_though_it_calls_somebody() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, 85 C
08:01:00  pile-1  1: 300 W
08:02:00  pile-1  1: 300 W, 40 C
08:05:00  nothing more
"""
    )


def test_one_raw_sample_of_heat_after_an_hour_of_warnings_is_not_cut() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, 70 C
08:05:00  pile-1  1: 300 W, 70 C
08:06:00  pile-1  1: 300 W, 120 C
08:06:50  pile-1  1: 300 W, 70 C
08:08:00  nothing more
"""
    )


def test_a_device_that_says_it_is_too_hot_and_measures_nothing_is_not_cut() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, hot
08:01:00  pile-1  1: 300 W, hot
08:02:00  pile-1  1: 300 W, hot, 30 C
08:05:00  nothing more
"""
    )


# --- what is ----------------------------------------------------------------------------


def test_an_overload_is_cut_once_it_fires_and_two_readings_carry_it() -> None:
    assert orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 1200 W, 2: 300 W
08:00:20  pile-1  1: 1100 W, 2: 300 W
08:05:00  nothing more
"""
    ) == ["08:00:30 pile-1:1 switch_off chargewatch"]


def test_an_overload_that_fired_on_one_sample_is_cut_at_the_second() -> None:
    assert orders(
        AUTOMATIC
        + """
08:00:00  plug-1  300 W
08:05:00  plug-1  1200 W
08:07:00  plug-1  1150 W
08:08:00  nothing more
"""
    ) == ["08:07:00 plug-1 switch_off chargewatch"]


def test_a_warning_that_is_raised_to_the_act_level_is_cut() -> None:
    assert orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 900 W
08:01:00  pile-1  1: 900 W
08:02:00  pile-1  1: 1200 W
08:02:20  pile-1  1: 1200 W
08:03:00  nothing more
"""
    ) == ["08:02:30 pile-1:1 switch_off chargewatch"]


def test_a_pile_that_draws_too_much_loses_all_that_charges() -> None:
    powers = ", ".join(f"{n}: 900 W" for n in range(1, 11))
    found = orders(
        AUTOMATIC
        + f"""
north overload.warn_w = 2000
north overload.act_w = 2000
08:00:00  pile-1  {powers}, 11: 5 W
08:00:20  pile-1  {powers}, 11: 5 W
08:01:00  nothing more
"""
    )
    assert found == [f"08:00:30 pile-1:{n} switch_off chargewatch" for n in range(1, 11)]


def test_heat_cuts_what_charges_at_that_device() -> None:
    assert orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, 2: 0 W, 85 C
08:00:00  pile-2  1: 300 W, 30 C
08:00:20  pile-1  1: 300 W, 2: 0 W, 86 C
08:01:00  nothing more
"""
    ) == ["08:00:30 pile-1:1 switch_off chargewatch"]


def test_a_device_that_says_it_is_too_hot_and_shows_it_is_cut() -> None:
    assert orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, hot, 70 C
08:01:00  nothing more
"""
    ) == ["08:00:00 pile-1:1 switch_off chargewatch"]


def test_a_fire_cuts_what_charges_at_the_site() -> None:
    found = orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, 2: 0 W
08:00:00  pile-2  1: 300 W
08:00:00  yard/pile-3  1: 300 W
08:00:10  smoke-1  smoke
08:00:20  smoke-2  smoke
08:01:00  nothing more
"""
    )
    assert found == [
        "08:00:20 pile-1:1 switch_off chargewatch",
        "08:00:20 pile-2:1 switch_off chargewatch",
    ]


def test_what_begins_to_charge_while_it_burns_is_cut_too() -> None:
    timeline = """
08:00:00  pile-1  1: 0 W
08:00:10  smoke-1  smoke
08:00:20  smoke-2  smoke
08:00:30  pile-1  1: 0 W
{restart}
08:01:00  pile-1  1: 300 W
08:02:00  nothing more
"""
    for restart in ("", "08:00:40  restart"):
        found = orders(AUTOMATIC + timeline.format(restart=restart))
        assert found == ["08:01:00 pile-1:1 switch_off chargewatch"]


def test_smoke_at_one_detector_cuts_nothing() -> None:
    assert not orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W
08:00:10  smoke-1  smoke
08:00:40  smoke-1  smoke
08:05:00  pile-1  1: 300 W
"""
    )


def test_a_person_who_clears_the_latch_is_not_overruled_by_the_same_alarm() -> None:
    found = orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 300 W, 85 C
08:00:20  pile-1  1: 300 W, 86 C
08:00:30  sent pile-1:1
08:00:31  reply pile-1:1 ok
08:00:32  pile-1  1: 0 W, 86 C
08:01:00  clear pile-1:1
08:01:00  sent pile-1:1
08:01:01  reply pile-1:1 ok
08:01:30  pile-1  1: 300 W, 85 C
08:03:00  pile-1  1: 300 W, 85 C
"""
    )
    assert found == [
        "08:00:30 pile-1:1 switch_off chargewatch",
        "08:01:00 pile-1:1 switch_on eve",
    ]


def test_the_next_alarm_cuts_again() -> None:
    found = orders(
        AUTOMATIC
        + """
08:00:00  pile-1  1: 1200 W
08:00:20  pile-1  1: 1200 W
08:00:30  sent pile-1:1
08:00:31  reply pile-1:1 ok
08:00:32  pile-1  1: 0 W
08:02:00  clear pile-1:1
08:02:00  sent pile-1:1
08:02:01  reply pile-1:1 ok
08:10:00  pile-1  1: 1200 W
08:10:20  pile-1  1: 1200 W
08:11:00  nothing more
"""
    )
    assert found == [
        "08:00:30 pile-1:1 switch_off chargewatch",
        "08:02:00 pile-1:1 switch_on eve",
        "08:10:30 pile-1:1 switch_off chargewatch",
    ]


def test_a_welded_relay_is_tried_again_only_after_five_minutes() -> None:
    minutes = "\n".join(f"08:{minute:02}:00  pile-1  1: 1200 W" for minute in range(1, 13))
    found = orders(
        AUTOMATIC
        + f"""
08:00:00  pile-1  1: 1200 W
08:00:20  pile-1  1: 1200 W
08:00:30  sent pile-1:1
08:00:31  reply pile-1:1 no
{minutes}
"""
    )
    assert found[:2] == [
        "08:00:30 pile-1:1 switch_off chargewatch",
        "08:06:00 pile-1:1 switch_off chargewatch",
    ]


def test_what_could_not_be_sent_is_ordered_again_with_the_next_power_that_is_heard() -> None:
    found = orders("""
08:00:00  pile-1  1: 400 W
08:00:10  cut pile-1:1
08:01:10  pile-1  1: 400 W
08:01:40  pile-1  1: 400 W
08:02:00  nothing more
""")
    assert found == [
        "08:00:10 pile-1:1 switch_off eve",
        "08:01:40 pile-1:1 switch_off chargewatch",
    ]


def test_the_rules_that_cut_are_rules() -> None:
    assert "smoke" not in CUTTING_RULES
    assert {rule.name for rules in rules_in_force() for rule in rules} >= CUTTING_RULES


def test_a_stop_that_is_ignored_or_never_confirmed_is_found_out() -> None:
    """SteVe #796, #651, evcc #10211 and #22499: the stop was sent, and charging went on."""
    played = scenario(
        "ignored",
        filter(
            None,
            """
08:00:00  pile-1  1: 400 W
08:00:10  cut pile-1:1
08:00:10  sent pile-1:1
08:00:15  sent pile-1:1
08:00:20  sent pile-1:1
08:00:30  pile-1  1: 400 W
08:01:00  nothing more
""".splitlines(),
        ),
    )
    player = Player(played)
    player.play()
    [(at, change)] = player.changes
    assert change.alert.key.rule == "cut_failed"
    assert change.alert.evidence.detail == "no_reply"
    assert at.astimezone(played.zone).strftime("%H:%M:%S") == "08:00:25"


# --- what holds always ------------------------------------------------------------------


@pytest.mark.parametrize("played", all_scenarios(), ids=lambda played: played.name)
def test_a_restart_at_any_moment_orders_the_same(played: Scenario) -> None:
    whole = ordered_in(played)
    assert ordered_in(played, cuts(played)) == whole
    for moment in cuts(played) if whole else ():
        assert ordered_in(played, [moment]) == whole


def ordered_in(
    played: Scenario, restarts: Iterable[datetime] = ()
) -> list[tuple[datetime, str]]:
    player = Player(played)
    player.play(restarts)
    return [(at, command.id) for at, command in player.orders]


STEPS = st.lists(
    st.tuples(
        st.integers(1, 90),
        st.sampled_from(
            [
                *("pile-1  1: 0 W", "pile-1  1: 400 W", "pile-1  1: 1200 W"),
                *("pile-1  1: 0 W, 1: relay off", "pile-1  1: 400 W, 1: relay on"),
                *("cut pile-1:1", "clear pile-1:1", "restart", "nothing more"),
                *("sent pile-1:1", "reply pile-1:1 ok", "reply pile-1:1 no"),
            ]
        ),
    ),
    min_size=1,
    max_size=30,
)
FIRST = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Watched(Player):
    """A player that looks after each moment at what holds always."""

    def _settle(self, now: datetime) -> None:
        super()._settle(now)
        for state in self._engine.devices():
            for part in state.parts:
                if part.cut is not None:
                    self._check(part.cut, part.power_w, now)

    def _check(self, cut: Cut, power_w: float | None, now: datetime) -> None:
        command, latch = cut.command, cut.latch
        assert (latch is None) is (command.action is Action.RELEASE)
        if latch is not None:
            assert latch.cleared_at is None
            flows = power_w is not None and power_w >= 30
            # Power at a latched socket is never left alone: a cut is on its way, or the last
            # one failed and somebody is called.
            if flows and not command.is_open:
                assert command.state is CommandState.FAILED
                firing = {alert.key.rule for alert in self._engine.alerts_of(command.device)}
                assert "cut_failed" in firing
        if command.is_open:
            longest = timedelta(seconds=60) + timedelta(minutes=15)
            assert now - command.ordered_at <= longest


@settings(max_examples=150)
@given(STEPS)
def test_power_at_a_latched_socket_is_never_left_alone(steps: list[tuple[int, str]]) -> None:
    moment, lines, ordered = FIRST, [AUTOMATIC.strip(), "08:00:00  pile-1  1: 400 W"], False
    for passed_s, words in steps:
        moment += timedelta(seconds=passed_s)
        ordered |= words.startswith("cut ")
        if words.startswith(("sent ", "reply ")) and not ordered:
            continue  # there is no command yet that it could be about
        lines.append(f"{moment:%H:%M:%S}  {words}")
    Watched(scenario("any", [*lines, "23:00:00  nothing more"])).play()
