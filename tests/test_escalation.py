"""Acknowledging and escalating, from the API to the outbox.

How the engine decides is in tests/life/escalation.txt.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from api.announce import announcer
from api.channels.console_log import ConsoleLog
from ingest.ledger import outbox, queries
from ingest.ledger.commit import Acknowledged, Commit
from ingest.ledger.outbox import Due
from ingest.ledger.store import Ledger, open_ledger
from rules.alerts import Alert, AlertKey, Change, Group, GroupKind, State, Transition
from rules.readings import DeviceId, Reading
from rules.verdict import Evidence, Severity
from tests import worklists
from tests.http_doubles import PILE, SMOKE, WRITE_TOKEN, Client, World, bearer

pytest_plugins = ["tests.http_fixtures"]

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
API = "/api/v1/alerts"
WRITER = bearer(WRITE_TOKEN)

FIRED = Alert(
    key=AlertKey("overload", DeviceId("town/north/pile-1"), 1),
    severity=Severity.WARNING,
    within=(Group(GroupKind.SITE, "town/north"),),
    state=State.FIRING,
    began_at=NOON,
    since=NOON,
    evidence=Evidence(1200.0, 1000.0, "W", NOON),
    told=Severity.WARNING,
)
WORSE = replace(
    FIRED, severity=Severity.CRITICAL, told=Severity.CRITICAL, raised_at=NOON + 2 * MINUTE
)
UNANSWERED = replace(WORSE, tier=2)
OVER = replace(UNANSWERED, state=State.RESOLVED, since=NOON + 9 * MINUTE)
LIFE = (
    Change(FIRED, Transition.FIRING),
    Change(WORSE, Transition.RAISED),
    Change(UNANSWERED, Transition.ESCALATED),
    Change(OVER, Transition.RESOLVED),
)
TO_TELL = announcer([ConsoleLog(told=lambda _: None)])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def happen(ledger: Ledger, *changes: Change, seen: str = "", at: datetime = NOON) -> None:
    told = [each for change in changes for each in TO_TELL(change, at)]
    noted = [Acknowledged(FIRED.episode, at, seen, "")] if seen else []
    batch = Commit(now=at, changes=list(changes), to_tell=told, acknowledged=noted)
    asyncio.run(ledger.commit(batch))


def due(ledger: Ledger) -> list[Due]:
    return asyncio.run(ledger.read(lambda c: worklists.due(c, "log", NOON + MINUTE)))


def tell(ledger: Ledger, item: Due, *, receives: bool = True) -> None:
    def note(c: sa.Connection) -> None:
        if receives:
            outbox.mark_told(c, item, "ok", NOON)
        else:
            reason = outbox.Reason.REFUSED_FOR_GOOD
            outbox.mark_failed(c, item, "no", NOON, reason)

    asyncio.run(ledger.write(note))


def row(ledger: Ledger) -> queries.AlertRow:
    [found] = asyncio.run(ledger.read(lambda c: queries.find_alerts(c, queries.AlertFilter())))
    return found


# --- the outbox ---------------------------------------------------------------------------


def test_each_tier_is_announced_once_and_the_end_after_all_else(ledger: Ledger) -> None:
    happen(ledger, *LIFE)
    happen(ledger)  # nothing new
    [first] = due(ledger)
    tell(ledger, first)
    more = due(ledger)
    assert [item.idempotency_key.split(":")[-2] for item in more] == [
        "raised-critical",
        "escalated-2",
    ]
    tell(ledger, more[1])
    assert [item.transition for item in due(ledger)] == ["raised"]  # not its end
    tell(ledger, more[0])
    assert [item.transition for item in due(ledger)] == ["resolved"]


def test_whoever_heard_only_that_it_became_worse_hears_its_end_too(ledger: Ledger) -> None:
    happen(ledger, *LIFE)
    [first] = due(ledger)
    tell(ledger, first, receives=False)
    asked = asyncio.run(ledger.read(lambda c: worklists.was_told(c, "log")))
    assert not asked
    tell(ledger, due(ledger)[0])
    asked = asyncio.run(ledger.read(lambda c: worklists.was_told(c, "log")))
    assert asked


def test_a_reminder_is_urgent_only_if_nobody_sees_to_it(ledger: Ledger) -> None:
    unseen = replace(UNANSWERED, tier=3, reminded_at=NOON + 38 * MINUTE)
    seen = replace(unseen, acknowledged_at=NOON + 40 * MINUTE, reminded_at=NOON + 80 * MINUTE)
    happen(ledger, LIFE[0], *(Change(each, Transition.REMINDED) for each in (unseen, seen)))
    [first] = due(ledger)
    tell(ledger, first)
    assert [(each.transition, each.urgency) for each in due(ledger)] == [
        ("reminded", outbox.FIRST),
        ("reminded", outbox.LATER),
    ]


# --- the ledger ---------------------------------------------------------------------------


def test_what_becomes_worse_is_to_be_acknowledged_again_and_the_log_knows_both(
    ledger: Ledger,
) -> None:
    happen(ledger, LIFE[0])
    happen(ledger, seen="wang", at=NOON + MINUTE)
    assert row(ledger).acknowledged_by == "wang"
    happen(ledger, LIFE[1], at=NOON + 2 * MINUTE)
    found = row(ledger)
    assert (found.acknowledged_at, found.acknowledged_by, found.note) == (None, None, "")
    happen(ledger, LIFE[2], at=NOON + 5 * MINUTE)
    happen(ledger, seen="li", at=NOON + 6 * MINUTE)
    again = replace(OVER, acknowledged_at=NOON + 6 * MINUTE)
    happen(ledger, Change(again, Transition.RESOLVED), at=NOON + 9 * MINUTE)
    found = row(ledger)
    assert (found.acknowledged_by, found.tier, found.state) == ("li", 2, "resolved")
    log = asyncio.run(ledger.read(lambda c: queries.events_of(c, FIRED.episode)))
    assert [(line.what, line.who, line.detail) for line in log] == [
        ("firing", "chargewatch", ""),
        ("acknowledged", "wang", ""),
        ("raised", "chargewatch", "critical"),
        ("escalated", "chargewatch", "tier 2"),
        ("acknowledged", "li", ""),
        ("resolved", "chargewatch", ""),
    ]


# --- the API ------------------------------------------------------------------------------


def test_what_nobody_acknowledges_goes_up_a_tier_and_says_so(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    runner.run(here.wait(7 * MINUTE))
    shown = client.get(f"{API}/1", headers=WRITER).json()
    assert shown["alert"]["tier"] == 3
    [remark] = shown["explanation"]["en"]["remarks"]
    assert "tier 3" in remark
    assert [line["detail"] for line in shown["log"]] == ["", "tier 2", "tier 3"]


def test_what_is_acknowledged_stays_where_it_is(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    runner.run(here.wait(4 * MINUTE))
    client.post(f"{API}/1/acknowledge", json={}, headers=WRITER)
    runner.run(here.wait(20 * MINUTE))
    shown = client.get(f"{API}/1", headers=WRITER).json()["alert"]
    assert (shown["tier"], shown["acknowledged_by"]) == (2, "patrol")


def test_what_goes_on_is_told_again_and_stays_acknowledged(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    client.post(f"{API}/1/acknowledge", json={}, headers=WRITER)
    runner.run(here.wait(70 * MINUTE))
    shown = client.get(f"{API}/1", headers=WRITER).json()
    assert shown["alert"]["acknowledged_by"] == "patrol"
    assert [line["what"] for line in shown["log"]] == [
        "firing",
        "acknowledged",
        "reminded",
        "reminded",
    ]


def test_an_acknowledgement_is_known_after_a_restart(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    client.post(f"{API}/1/acknowledge", json={}, headers=WRITER)
    [stored] = [each for each in here.ledger.restored().stored if each.alerts]
    [alert] = stored.alerts
    assert (alert.acknowledged_at, alert.unanswered_since) == (here.at, None)


def test_the_memory_of_flapping_is_known_after_a_restart(
    here: World, runner: asyncio.Runner
) -> None:
    for _ in range(2):
        runner.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
        runner.run(here.wait(MINUTE))
        runner.run(here.hear(PILE, Reading(channel=3, power_w=1.0)))
        runner.run(here.wait(2 * MINUTE))
    [stored] = [each for each in here.ledger.restored().stored if each.firings]
    [memory] = stored.firings
    assert memory.key == AlertKey("overload", PILE, 3)
    assert len(memory.at) == 2
