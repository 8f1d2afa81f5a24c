"""Public holidays and make-up workdays, what they close, and when they run out."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from api import cli
from api.calendars import Calendar, CalendarUnknown, calendar_of, years_missing
from api.service import running
from api.settings import Settings
from api.sites import parsed
from api.sites_schedule import calendars_ending
from rules.schedule import Schedule

CHINA = calendar_of("CN", 2026)
SITE = """
[areas.town]
name = {zh = "镇", en = "Town"}
[sites."town/north"]
name = {zh = "北", en = "North"}
"""
DORMITORY = SITE + 'calendar = "CN"\nclosed = ["workdays 23:30-05:30"]\n'
IN_TIME, DECEMBER = date(2026, 11, 30), date(2026, 12, 1)


def schedule(text: str, year: int = 2026) -> Schedule:
    [site] = parsed(text.encode(), frozenset({"native"}), year).sites
    return site.schedule


def ending(text: str, today: date) -> list[str]:
    declared = parsed(text.encode(), frozenset({"native"}), today.year)
    return list(calendars_ending(declared.calendars, today))


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2026, 2, 13), True),  # an ordinary Friday
        (date(2026, 2, 14), True),  # a Saturday, worked for Spring Festival
        (date(2026, 2, 15), False),  # the festival begins, on a Sunday
        (date(2026, 2, 16), False),  # New Year's Eve, a Monday
        (date(2026, 2, 23), False),  # its last day, a Monday
        (date(2026, 2, 24), True),
        (date(2026, 2, 28), True),  # the second Saturday that is worked
        (date(2026, 3, 1), False),  # an ordinary Sunday
        (date(2026, 10, 1), False),  # National Day
        (date(2026, 10, 10), True),  # a Saturday, worked for it
    ],
)
def test_the_workdays_of_china_in_2026(day: date, worked: bool) -> None:
    assert schedule(DORMITORY).is_workday(day) is worked


def test_without_a_calendar_workdays_are_monday_to_friday() -> None:
    assert schedule(SITE).is_workday(date(2026, 2, 16))
    assert not schedule(SITE).is_workday(date(2026, 2, 14))


def test_corrections_win_over_the_calendar() -> None:
    corrected = schedule(
        DORMITORY + "extra_holidays = [2026-02-14, 2026-03-02]\nextra_workdays = [2026-02-16]\n"
    )
    assert not corrected.is_workday(date(2026, 2, 14))
    assert not corrected.is_workday(date(2026, 3, 2))
    assert corrected.is_workday(date(2026, 2, 16))
    assert corrected.is_workday(date(2026, 2, 28))


def test_a_country_that_nobody_knows_is_none() -> None:
    with pytest.raises(CalendarUnknown, match="'Atlantis'"):
        calendar_of("Atlantis", 2026)


def test_a_year_of_which_the_makeup_days_are_unknown_is_not_covered() -> None:
    assert {2025, 2026} <= CHINA.covered
    far = calendar_of("CN", 2090)
    assert far.holidays
    assert (far.makeup_workdays, far.covered) == (frozenset(), frozenset())


def test_a_country_without_makeup_days_is_covered_for_ever() -> None:
    assert calendar_of("DE", 2090).covered == {2089, 2090, 2091, 2092}


def test_no_calendar_says_nothing() -> None:
    assert Calendar() == Calendar(frozenset(), frozenset(), frozenset())


@pytest.mark.parametrize(
    ("covered", "today", "missing"),
    [
        ({2026}, IN_TIME, []),
        ({2026}, DECEMBER, [2027]),
        ({2026, 2027}, DECEMBER, []),
        ({2026}, date(2027, 1, 1), [2027]),
        ({2026}, date(2027, 12, 1), [2027, 2028]),
    ],
)
def test_the_next_year_ought_to_be_known_in_december(
    covered: set[int], today: date, missing: list[int]
) -> None:
    assert years_missing(frozenset(covered), today) == missing


FAR, FAR_DECEMBER = date(2090, 11, 30), date(2090, 12, 1)
"""No release of the holidays package will know these soon, so this holds after updates."""


def test_a_site_is_told_which_years_are_missing_and_what_to_do() -> None:
    [present] = ending(DORMITORY, FAR)
    assert present.startswith("town/north: the make-up workdays of 2090 are not known for CN")
    assert "extra_workdays" in present
    assert len(ending(DORMITORY, FAR_DECEMBER)) == 2


def test_a_year_that_the_file_corrects_is_no_longer_warned_of() -> None:
    corrected = DORMITORY + "extra_workdays = [2090-02-04]\nextra_holidays = [2091-02-19]\n"
    assert ending(corrected, FAR_DECEMBER) == []


def test_a_calendar_on_which_no_window_depends_is_not_warned_of() -> None:
    assert ending(SITE + 'calendar = "CN"\n', FAR_DECEMBER) == []


def test_check_sites_warns_and_still_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sites.toml"
    path.write_text(DORMITORY, encoding="utf-8")
    monkeypatch.setattr(cli, "utc_now", lambda: datetime(2090, 5, 1, tzinfo=UTC))
    said = CliRunner().invoke(cli.app, ["check-sites", str(path)])
    assert said.exit_code == 0
    assert "warning: town/north: the make-up workdays of 2090" in said.stdout
    monkeypatch.setattr(cli, "utc_now", lambda: datetime(2026, 11, 23, tzinfo=UTC))
    assert "warning" not in CliRunner().invoke(cli.app, ["check-sites", str(path)]).stdout


def test_the_service_logs_it_when_it_starts(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_text(DORMITORY, encoding="utf-8")
    settings = Settings(data_dir=tmp_path / "data", sites_file=path)

    async def start() -> None:
        async with running(settings, lambda: datetime(2090, 5, 1, tzinfo=UTC)):
            pass

    with structlog.testing.capture_logs() as logs:
        asyncio.run(start())
    [entry] = [each for each in logs if each["event"] == "calendar.ends"]
    assert entry["log_level"] == "warning"
    assert "2090" in entry["reason"]
