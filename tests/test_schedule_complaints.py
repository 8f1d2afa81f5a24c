"""What users of other systems complained of about schedules, and that it is not so here.

Each is played through the rules as an operator would meet it; the threads are named. What
holds for all schedules is in test_schedule.py.
"""

from tests.test_scenarios import Player, scenario, shown, written

NEVER_SILENT = 'north silence.charger_after = "14 d"'


def alerts(*lines: str) -> list[str]:
    """Play a timeline; return what fired and what ended, "day time ! rule …"."""
    played = scenario("complaint", [NEVER_SILENT, *lines])
    told = [written(change, at, played.zone) for at, change in Player(played).play()]
    return [line.partition(" warning ")[0] for line in shown(told, played.zone)]


def test_a_window_goes_over_midnight() -> None:
    """A window goes over midnight.

    grafana/grafana #73912: "You cannot go over 00:00 UTC with a mute time range";
    thingsboard/thingsboard #16115: 20:00 to 05:00 is shown wrongly.
    """
    assert alerts(
        'north closed = ["20:00-05:00"]',
        "north after_hours.grace = '0 s'",
        "19:00:00  pile-1  1: 200 W",
        "06:00:00  nothing more",
    ) == [
        "05 20:00:00 ! after_hours pile-1:1 firing",
        "06 05:00:00 ! after_hours pile-1:1 resolved",
    ]


def test_a_window_is_on_the_clock_of_the_site_and_not_on_utc() -> None:
    """A window is on the site's clock, in winter and in summer.

    prometheus/alertmanager #2646, #2771: intervals are UTC only; grafana/grafana #48508:
    woken at 00:15; #82988: an hour off after the clocks changed.
    """
    for day in ("2026-01-14", "2026-07-15"):
        told = alerts(
            'north zone = "Europe/Berlin"',
            "north after_hours.grace = '0 s'",
            f"day {day}",
            "21:00:00  pile-1  1: 200 W",
            "06:00:00  nothing more",
        )
        assert [line[3:11] for line in told] == ["22:00:00", "05:00:00"]


def test_what_is_true_already_when_the_window_opens_fires_without_a_message() -> None:
    """What is true already fires when the window opens.

    thingsboard/thingsboard #16118: no alarm for a condition that held before the schedule
    began; #11803, #10979, #5600: time passes only when a message comes.
    """
    assert alerts(
        "north closing_soon.before = '60 min'",
        "12:00:00  pile-1  1: 200 W",
        "22:30:00  nothing more",
    ) == [
        "05 21:00:00 ! closing_soon pile-1:1 firing",
        "05 22:00:00 ! closing_soon pile-1:1 resolved",
        "05 22:10:00 ! after_hours pile-1:1 firing",
    ]


def test_a_day_has_as_many_windows_as_it_needs() -> None:
    """A day has several windows.

    thingsboard/thingsboard #15188, #15189: one window a day only.
    """
    told = alerts(
        'north closed = ["06:00-07:00", "11:30-13:30", "22:00-05:00"]',
        "north after_hours.grace = '0 s'",
        "05:30:00  pile-1  1: 200 W",
        "05:29:59  nothing more",
    )
    assert [line[3:11] for line in told if line.endswith("firing")] == [
        "06:00:00",
        "11:30:00",
        "22:00:00",
    ]


def test_a_night_that_begins_on_a_holiday_is_that_of_the_holiday() -> None:
    """A holiday has windows of its own, and they too go over midnight.

    thingsboard/thingsboard #15188 again: weekdays are all that a schedule knows there.
    """
    assert alerts(
        'north calendar = "CN"',
        'north closed = ["workdays 22:00-05:00", "restdays 23:00-08:00"]',
        "north after_hours.grace = '0 s'",
        "day 2026-10-07",  # the last holiday, a Wednesday
        "21:00:00  pile-1  1: 200 W",
        "22:30:00  nothing more",
        "21:59:59  nothing more",
        "22:30:00  nothing more",
    ) == [
        "07 23:00:00 ! after_hours pile-1:1 firing",
        "08 08:00:00 ! after_hours pile-1:1 resolved",
        "08 22:00:00 ! after_hours pile-1:1 firing",
    ]
