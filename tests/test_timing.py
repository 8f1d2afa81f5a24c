"""Which time a message gets, and whether it is news."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.timing import AHEAD_MAX, BEHIND_MAX, Timed, in_utc, settled, timed
from ingest.wire import Said
from rules.readings import ClockState, DeviceId, Reading, Report, Standing
from rules.subject import DeviceState

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
POWER = (Reading(channel=1, power_w=100.0),)
SMOKE = (Reading(smoke_alarm=True),)


class Speaker:
    """A device that speaks, and what is remembered of it."""

    def __init__(self) -> None:
        self.state: DeviceState | None = None

    def says(
        self,
        at: datetime | None,
        received_at: datetime,
        readings: tuple[Reading, ...] = POWER,
        *,
        buffered: bool = False,
        retained: bool = False,
    ) -> Timed:
        said = Said(readings, at, buffered=buffered)
        booked = timed(said, received_at, self.state, retained=retained)
        if self.state is None:
            self.state = DeviceState(DeviceId("town/north/pile-1"), "town/north")
        self.state.take(
            Report(
                device=self.state.id,
                at=booked.at,
                received_at=received_at,
                identity="",
                readings=readings,
                standing=booked.standing,
                clock=booked.clock,
                claimed_at=at,
            )
        )
        return booked


@pytest.mark.parametrize(
    "claim",
    [
        NOON - BEHIND_MAX - TICK,
        NOON + AHEAD_MAX + TICK,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2099, 1, 1, tzinfo=UTC),
        NOON + timedelta(days=1),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
    ],
)
def test_a_clock_that_cannot_be_right_is_not_believed_but_what_it_says_is_news(
    claim: datetime,
) -> None:
    assert settled(claim, NOON) == (NOON, ClockState.WRONG)
    assert Speaker().says(claim, NOON) == (NOON, ClockState.WRONG, Standing.LIVE)


@pytest.mark.parametrize("claim", [NOON - BEHIND_MAX, NOON, NOON + AHEAD_MAX])
def test_a_clock_that_is_minutes_off_is_believed(claim: datetime) -> None:
    assert settled(claim, NOON) == (claim, ClockState.DEVICE)
    assert Speaker().says(claim, NOON) == (claim, ClockState.DEVICE, Standing.LIVE)


def test_limits_are_a_quarter_of_an_hour_back_and_five_minutes_ahead() -> None:
    assert (BEHIND_MAX, AHEAD_MAX) == (15 * MINUTE, 5 * MINUTE)


def test_without_a_time_the_arrival_stands_in() -> None:
    assert Speaker().says(None, NOON) == (NOON, ClockState.ARRIVAL, Standing.LIVE)


def test_what_the_device_kept_back_is_late_at_its_own_time() -> None:
    claim = NOON - 3 * timedelta(hours=1)
    assert Speaker().says(claim, NOON, buffered=True) == (
        claim,
        ClockState.WRONG,
        Standing.LATE,
    )


def test_what_was_kept_back_without_a_time_that_can_be_true_is_late_at_its_arrival() -> None:
    for claim in (None, datetime(1970, 1, 1, tzinfo=UTC)):
        assert Speaker().says(claim, NOON, buffered=True).at == NOON
        assert Speaker().says(claim, NOON, buffered=True).standing is Standing.LATE


def test_what_the_broker_kept_is_no_news() -> None:
    claim = NOON - timedelta(days=3)
    assert Speaker().says(claim, NOON, retained=True) == (
        claim,
        ClockState.WRONG,
        Standing.RETAINED,
    )
    assert Speaker().says(None, NOON, retained=True).standing is Standing.RETAINED


def test_a_time_that_was_before_is_late() -> None:
    speaker = Speaker()
    speaker.says(NOON, NOON)
    booked = speaker.says(NOON - 10 * MINUTE, NOON + 10 * SECOND)
    assert booked.standing is Standing.LATE
    assert booked.at == NOON - 10 * MINUTE


def test_the_same_time_twice_is_not_late() -> None:
    speaker = Speaker()
    speaker.says(NOON, NOON)
    assert speaker.says(NOON, NOON + SECOND).standing is Standing.LIVE


@pytest.mark.parametrize("step", [SECOND / 2, SECOND, MINUTE])
def test_an_outage_that_is_made_up_for_is_late_to_the_end_and_then_live_again(
    step: timedelta,
) -> None:
    speaker, back = Speaker(), NOON + timedelta(hours=2)
    speaker.says(NOON, NOON)
    speaker.says(back, back)
    standings = [
        speaker.says(NOON + n * step, back + n * SECOND / 10).standing for n in range(1, 60)
    ]
    assert set(standings) == {Standing.LATE}
    assert speaker.says(back + MINUTE, back + MINUTE).standing is Standing.LIVE


def test_a_clock_that_was_set_back_is_late_once_and_news_from_the_second_message_on() -> None:
    speaker, behind = Speaker(), timedelta(hours=5)
    speaker.says(NOON, NOON)
    standings = [
        speaker.says(NOON + n * MINUTE - behind, NOON + n * MINUTE).standing
        for n in range(1, 5)
    ]
    assert standings == [Standing.LATE, Standing.LIVE, Standing.LIVE, Standing.LIVE]


def test_a_clock_set_back_within_tolerance_is_news_from_the_second_message_on() -> None:
    speaker = Speaker()
    speaker.says(NOON, NOON)
    standings = [
        speaker.says(NOON + (n - 10) * MINUTE, NOON + n * MINUTE).standing for n in range(1, 4)
    ]
    assert standings == [Standing.LATE, Standing.LIVE, Standing.LIVE]


@pytest.mark.parametrize("off", [timedelta(hours=-5), timedelta(hours=8), timedelta(days=-400)])
def test_a_clock_that_is_always_as_wrong_is_always_live(off: timedelta) -> None:
    speaker = Speaker()
    for n in range(10):
        now = NOON + n * MINUTE
        assert speaker.says(now + off, now) == (now, ClockState.WRONG, Standing.LIVE)


def test_a_clock_that_was_never_set_and_stands_still_is_live() -> None:
    speaker = Speaker()
    for n in range(10):
        booked = speaker.says(datetime(2020, 1, 1, tzinfo=UTC), NOON + n * MINUTE)
        assert booked.standing is Standing.LIVE


@pytest.mark.parametrize("claim", [NOON - timedelta(hours=9), NOON - 14 * MINUTE, NOON])
def test_smoke_is_never_late_by_the_clock(claim: datetime) -> None:
    speaker = Speaker()
    speaker.says(NOON, NOON)
    assert speaker.says(claim, NOON + SECOND, SMOKE).standing is Standing.LIVE
    hot = (Reading(overtemperature=True),)
    assert speaker.says(claim, NOON + 2 * SECOND, hot).standing is Standing.LIVE


def test_a_claim_at_the_end_of_the_calendar_has_a_moment_in_utc_all_the_same() -> None:
    west, east = timezone(timedelta(hours=-12)), timezone(timedelta(hours=12))
    assert in_utc(datetime.max.replace(tzinfo=west)) == datetime.max.replace(tzinfo=UTC)
    assert in_utc(datetime.min.replace(tzinfo=east)) == datetime.min.replace(tzinfo=UTC)
    assert in_utc(NOON.astimezone(east)) == NOON


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
claims = (
    st.none()
    | st.datetimes(timezones=zones)
    | st.datetimes(datetime(2026, 1, 5, 3), datetime(2026, 1, 5, 5), timezones=st.just(UTC))
)


@given(
    st.lists(
        st.tuples(
            claims,
            st.integers(0, 3600),
            st.booleans(),
            st.booleans(),
            st.sampled_from([POWER, SMOKE]),
        ),
        max_size=12,
    )
)
def test_whatever_the_clock_shows_the_time_is_near_the_arrival_or_the_message_is_no_news(
    steps: list[tuple[datetime | None, int, bool, bool, tuple[Reading, ...]]],
) -> None:
    speaker, now = Speaker(), NOON
    for claim, gap_s, buffered, retained, readings in steps:
        now += gap_s * SECOND
        booked = speaker.says(claim, now, readings, buffered=buffered, retained=retained)
        assert booked.at <= now + AHEAD_MAX
        assert booked.at.year >= 2020
        if booked.standing is Standing.LIVE:
            assert booked.at >= now - BEHIND_MAX
            assert not retained
            assert not buffered
        if retained:
            assert booked.standing is Standing.RETAINED
        elif readings is SMOKE and not buffered:
            assert booked.standing is Standing.LIVE


def test_a_clock_that_stands_still_is_wrong_and_its_device_not_late_for_ever() -> None:
    device = Speaker()
    booked = [device.says(NOON, NOON + minutes * MINUTE) for minutes in (0, 5, 10, 16, 17)]
    assert booked[-1].standing is Standing.LIVE
    assert booked[-1].clock is ClockState.WRONG
