"""What a group knows of its members, kept up to date change by change."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rules.alerts import EVERYTHING, Alert, AlertKey, Group, GroupKind, State
from rules.groups import GroupState
from rules.readings import DeviceId, Kind
from rules.verdict import Evidence, Severity

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
devices = st.sampled_from([DeviceId(f"town/north/pile-{n}") for n in range(4)])
doings = st.one_of(
    st.tuples(st.just("enrol"), devices, st.sampled_from(Kind)),
    st.tuples(st.just("dismiss"), devices, st.none()),
    st.tuples(st.just("draws"), devices, st.integers(0, 4000)),
)


@given(st.lists(doings, max_size=60))
def test_the_sums_are_those_of_counting_anew(
    steps: list[tuple[str, DeviceId, Kind | int | None]],
) -> None:
    group, members, powers = (
        GroupState(EVERYTHING),
        dict[DeviceId, Kind](),
        dict[DeviceId, int](),
    )
    for what, device, value in steps:
        if isinstance(value, Kind):
            assert group.enrol(device, value) is (members.get(device) is not value)
            members[device] = value
        elif value is None:
            group.dismiss(device)
            members.pop(device, None)
            powers.pop(device, None)
        else:
            assert group.draws(device, value) is (powers.get(device, 0) != value)
            powers[device] = value
        assert what in {"enrol", "dismiss", "draws"}
    assert group.members == members
    assert {kind: n for kind, n in group.kinds.items() if n} == {
        kind: list(members.values()).count(kind) for kind in set(members.values())
    }
    assert group.power_w == sum(powers.values())


def test_only_what_is_open_is_known_and_only_what_fires_fires() -> None:
    group = GroupState(Group(GroupKind.SITE, "town/north"))
    pending = Alert(
        key=AlertKey("overload", DeviceId("town/north/pile-1"), 1),
        severity=Severity.WARNING,
        state=State.PENDING,
        began_at=NOON,
        since=NOON,
        evidence=Evidence(),
    )
    group.note(pending)
    assert (group.how_many_open("overload"), group.fires("overload")) == (1, False)
    group.note(replace(pending, state=State.FIRING))
    assert (group.how_many_open("overload"), group.fires("overload")) == (1, True)
    group.note(replace(pending, state=State.RESOLVED))
    assert (group.how_many_open("overload"), group.fires("overload")) == (0, False)
    assert group.open("heat") == []
