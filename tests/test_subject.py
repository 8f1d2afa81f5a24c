"""What is remembered of a device, and when it is looked at again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.history import QUANTITY_TYPES
from rules.deadlines import Deadlines
from rules.readings import QUANTITIES, DeviceId, Reading
from rules.subject import Values

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SAMPLES: dict[type, st.SearchStrategy[Any]] = {
    float: st.floats(0, 100),
    bool: st.booleans(),
    str: st.text(max_size=5),
}
READINGS = st.fixed_dictionaries(
    {}, optional={name: SAMPLES[QUANTITY_TYPES[name]] for name in QUANTITIES}
).map(lambda said: Reading(channel=1, **said))


@given(st.lists(READINGS, max_size=4))
def test_every_quantity_is_kept_until_it_is_said_again(said: list[Reading]) -> None:
    kept, expected = Values(1), dict[str, object]()
    for reading in said:
        kept.take(reading, NOON)
        expected |= msgspec.to_builtins(reading)
    expected.setdefault("channel", 1)
    assert {name: getattr(kept, name) for name in expected} == expected
    assert all(getattr(kept, name) is None for name in {*QUANTITIES} - expected.keys())


# --- deadlines --------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wake", "set", "cancel", "pass"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(STEPS)
def test_everybody_is_woken_at_the_moment_last_set_or_sooner_if_asked(
    steps: list[tuple[str, str, int]],
) -> None:
    """Held against the plainest thing that could be right: a dict that is searched."""
    deadlines, wanted, now = Deadlines(), dict[str, datetime](), NOON
    for what, name, seconds in steps:
        subject, at = DeviceId(name), now + timedelta(seconds=seconds)
        match what:
            case "wake":
                deadlines.wake(subject, at)
                wanted[name] = min(at, wanted.get(name, at))
            case "set":
                deadlines.set(subject, at)
                wanted[name] = at
            case "cancel":
                deadlines.set(subject, None)
                wanted.pop(name, None)
            case _:
                now = at
                woken = []
                while (due := deadlines.pop_due(now)) is not None:
                    woken.append(str(due))
                assert sorted(woken) == sorted(n for n, at in wanted.items() if at <= now)
                wanted = {name: at for name, at in wanted.items() if at > now}
        assert deadlines.next() == min(wanted.values(), default=None)


def test_a_deadline_that_moves_at_every_message_needs_no_memory() -> None:
    deadlines = Deadlines()
    for second in range(100_000):
        deadlines.set(DeviceId("a"), NOON + timedelta(seconds=second + 480))
        deadlines.next()
    assert len(deadlines._heap) == 1
    assert deadlines.next() == NOON + timedelta(seconds=99_999 + 480)
