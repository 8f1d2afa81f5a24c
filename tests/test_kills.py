"""The service is killed while it tells of alarms, by providers that have their bad moments.

A few kills; some hundred are in benchmarks/kills.py, and its numbers in docs/performance.md.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.accounts import Row, account_of
from tests.killing import Asked, run
from tests.providers import Taken

SEED = int(os.environ.get("CHARGEWATCH_TEST_SEED", "28"))
BEGIN, END = "smoke@a:1:firing:hook", "smoke@a:1:resolved:hook"


@pytest.mark.timeout(600)  # a minute, and several where the machine is shared
def test_whatever_kills_it_every_alarm_is_told_to_everybody_in_order_and_once_a_life(
    tmp_path: Path,
) -> None:
    asked = Asked(
        kills=4,
        seed=SEED,
        rate=1.5,
        sensors_max=9,
        burns_s=600,
        fire_ends_s=2,
        all_told_within_s=240,
    )
    outcome = run(tmp_path, asked, lambda words: print(words, file=sys.stdout))  # noqa: T201
    assert outcome.wrongs == []
    assert outcome.sensors >= 3
    assert outcome.fires >= 1
    told = {each.key for each in outcome.town.record.taken}
    assert len(told) >= outcome.sensors * len(outcome.town.channels) / 2


# --- the account itself -----------------------------------------------------------------------


def row(key: str, state: str = "told", reason: str = "new_alert", digest: str = "") -> Row:
    transition = key.split(":")[2]
    return Row(1, key, "smoke@a:1", transition, "hook", state, reason, digest or None)


def taken(*keys: str, life: int = 0) -> list[Taken]:
    return [Taken(life, 0.0, key, "") for key in keys]


def wrongs(rows: list[Row], messages: list[Taken]) -> list[str]:
    return account_of(rows, messages, ["hook"], "example.org").wrongs


def test_the_account_of_what_is_well_has_nothing_to_say() -> None:
    both = [row(BEGIN), row(END)]
    assert wrongs(both, taken(BEGIN, END)) == []
    assert wrongs(both, taken(BEGIN) + taken(BEGIN, END, life=1)) == []
    folded = [row(BEGIN, digest="digest:1-2:hook"), row(END, digest="digest:1-2:hook")]
    assert wrongs(folded, taken(BEGIN) + taken("digest:1-2:hook", life=1)) == []
    assert wrongs([row(BEGIN), row(END, "skipped", "never_told")], taken(BEGIN)) == []


def test_the_account_names_what_is_lost_late_repeated_or_the_wrong_way_round() -> None:
    both = [row(BEGIN), row(END)]
    for rows, messages in (
        (both, taken(BEGIN)),  # an end that nobody took
        (both, taken(END, BEGIN)),
        (both, taken(BEGIN, END) + taken(BEGIN, life=1)),  # a beginning after the end
        (both, taken(BEGIN, BEGIN, END)),  # twice, and nobody was killed
        ([row(END)], taken(END)),  # to somebody who never heard of it
        ([row(BEGIN, "waiting", "try_again")], taken(BEGIN)),
        ([row(BEGIN, "skipped", "told_otherwise")], []),
    ):
        assert wrongs(rows, messages), (rows, messages)
