"""Who is missed where: counted step by step, it is what counting anew would give."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.absence import DARK_SHARE, Absence, site_of
from rules.readings import DeviceId

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DEVICES = [DeviceId(f"town/{site}/p{n}") for site in ("a", "b", "c") for n in range(3)]


def test_an_id_begins_with_its_site_whatever_the_device_is_called() -> None:
    assert site_of(DeviceId("town/north/pile-1")) == "town/north"
    assert site_of(DeviceId("undeclared/zigbee2mqtt/hall/smoke")) == "undeclared/zigbee2mqtt"


def test_nobody_is_missed_where_nobody_is_expected() -> None:
    absence = Absence()
    assert (absence.missed, absence.share, absence.dark_sites, absence.since) == (
        0,
        0,
        set(),
        None,
    )


def test_the_first_who_was_missed_counts_until_none_is() -> None:
    absence = Absence()
    for device in DEVICES:
        absence.expect(device)
    absence.miss(DEVICES[0], NOON)
    absence.miss(DEVICES[1], NOON - timedelta(minutes=1))
    absence.found(DEVICES[1])
    assert absence.since == NOON - timedelta(minutes=1)
    absence.found(DEVICES[0])
    assert absence.since is None


steps = st.lists(
    st.tuples(st.sampled_from(("miss", "found", "dismiss")), st.sampled_from(DEVICES))
)


@given(steps)
def test_it_is_what_counting_anew_would_give(taken: list[tuple[str, DeviceId]]) -> None:
    absence, there, missed = Absence(), set(DEVICES), set[DeviceId]()
    for device in DEVICES:
        absence.expect(device)
    for step, device in taken:
        if device not in there:
            continue
        match step:
            case "miss":
                absence.miss(device, NOON)
                missed.add(device)
            case "found":
                absence.found(device)
                missed.discard(device)
            case _:
                absence.dismiss(device)
                there.discard(device)
                missed.discard(device)
    assert (absence.chargers, absence.missed) == (len(there), len(missed))
    dark = {
        site
        for site in map(site_of, there)
        if any(site_of(each) == site for each in missed)
        and sum(site_of(each) == site for each in missed)
        >= DARK_SHARE * sum(site_of(each) == site for each in there)
    }
    assert absence.dark_sites == dark
