"""Smoke at a thousand sites at the same moment: a real service, and providers that count."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from api.delivery.plans import MESSAGES_MAX
from tests.accounts import Row, account_of, read_only, rows_of, waiting
from tests.brokers import Mosquitto
from tests.processes import eventually, publish, service
from tests.providers import DIGEST, MAIL_DOMAIN, providers

pytest_plugins = ["tests.system_fixtures"]

SITES, FIRES, WARNINGS = 1_000, 12, 300
ALL_TOLD_WITHIN_S = 300.0
"""A minute, and two for the digest of what is no danger; more on a machine that is shared."""
DELAYS = """
SELECT min((told_at - created_at) / 1e6), max((told_at - created_at) / 1e6) FROM outbox
WHERE urgency = 0 AND channel = 'dingtalk' AND transition = 'firing' AND episode LIKE 'fire@%'
"""


def event(device: str, what: str) -> tuple[str, str]:
    said = {"boot": "b1", "seq": 1, "event": what}
    return f"chargewatch/v1/flood/{device}/event", json.dumps(said)


def flood() -> list[tuple[str, str]]:
    """Return warnings, smoke at every site, and last of all what makes fires of some of it."""
    return [
        *(event(f"site-{n}/box-{n}", "tamper") for n in range(WARNINGS)),
        *(event(f"site-{n}/smoke-1", "smoke") for n in range(SITES)),
        *(event(f"site-{SITES - 1 - n}/smoke-2", "smoke") for n in range(FIRES)),
    ]


@pytest.mark.timeout(600)
def test_smoke_at_a_thousand_sites_is_told_within_the_budget_and_none_of_it_is_lost(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with (
        providers(robot_per_minute=20) as town,
        service(tmp_path, broker, settings=town.settings) as watch,
    ):
        watch.begin()
        watch.stop()  # the broker keeps its sessions: all of it arrives in one go
        publish(broker, flood())
        watch.begin()
        data = watch.data
        eventually("all is judged", lambda: counts(data)["fire"] == FIRES, 120)
        eventually("all is told", lambda: not waiting(data), ALL_TOLD_WITHIN_S)
        watch.stop()
        rows, taken = rows_of(data), town.record.taken
        with closing(read_only(data)) as connection:
            [(first_fire_s, last_fire_s)] = connection.execute(DELAYS).fetchall()

        assert counts(data)["smoke"] >= SITES
        assert counts(data)["tamper"] == WARNINGS
        assert account_of(rows, taken, town.channels, MAIL_DOMAIN).wrongs == []
        assert town.robot.refused == 0  # it was never asked beyond its 20 a minute
        heard = Counter(channel for channel, _ in messages_of(rows))
        for channel in ("dingtalk", *(f"mail to {each}" for each in town.mailboxes)):
            assert heard[channel] <= MESSAGES_MAX
        assert first_fire_s <= 15  # by itself, in the middle of it all
        assert last_fire_s <= 75  # in the digest of the next minute
        digests = {key for channel, key in messages_of(rows) if key.startswith(DIGEST)}
        assert digests
        told_singly = {row.key for row in rows if row.digest is None and row.state == "told"}
        assert told_singly >= {row.key for row in rows if row.channel == "webhook"}


def messages_of(rows: list[Row]) -> set[tuple[str, str]]:
    """Return the messages that told of all this, by channel and key."""
    return {(row.channel, row.digest or row.key) for row in rows if row.state == "told"}


def counts(data: Path) -> Counter[str]:
    try:
        with closing(read_only(data)) as connection:
            found = connection.execute("SELECT rule, count(*) FROM alerts GROUP BY rule")
            return Counter(dict(found.fetchall()))
    except sqlite3.OperationalError:  # just being made
        return Counter()
