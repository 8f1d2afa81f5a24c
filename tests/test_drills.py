"""What is a drill, and what can never be one: the intake alone, no servers."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.announce import announcer
from api.channels.console_log import ConsoleLog
from api.drill_command import shown
from api.drills import Progress, Station, stuck_at
from api.http.shapes.drills import Drill as DrillShown
from api.sites import SitesFileWrong, read_sites
from api.text import Texts, alert_text, alert_title
from ingest.codecs import all_codecs
from ingest.desk import HandedIn
from ingest.drills import LONGEST, Drill, Drills, ended
from ingest.intake import Intake
from ingest.ledger import queries
from ingest.ledger.commit import Commit
from ingest.ledger.queries import DeliveryRow
from ingest.ledger.store import open_ledger
from ingest.registry import Registry
from ingest.replay import Seen
from ingest.wire import Message
from rules.alerts import Transition
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.places import DRILL_DEVICE, DRILL_SITE

NOON = datetime(2026, 1, 14, 4, tzinfo=UTC)
SITE = "xuhui/renmin-lu"
DRILL = Drill("a-number-nobody-guesses", SITE, "admin", NOON + LONGEST)
SMOKE = b'{"event": "smoke", "boot": "x", "seq": 0}'
NO_SMOKE = b'{"event": "smoke", "active": false, "boot": "x", "seq": 1}'


class World:
    def __init__(self) -> None:
        self.registry, self.drills = Registry((), (), ()), Drills()
        self.engine = Engine(*rules_in_force(), self.registry)
        self.intake = Intake(
            all_codecs(),
            self.registry,
            self.engine,
            Seen(),
            announcer([ConsoleLog()]),
            drills=self.drills,
        )

    def order(self, drill: Drill = DRILL) -> Commit:
        order = HandedIn(lambda batch: self.drills.begin(drill, batch))
        return self.intake.digest([], drill.ends_at - LONGEST, [order])

    def hear(
        self,
        payload: bytes = SMOKE,
        topic: str = DRILL.topic,
        now: datetime = NOON,
        *,
        retained: bool = False,
    ) -> Commit:
        return self.intake.digest([Message(topic, payload, now, retained=retained)], now)

    def wait(self, now: datetime) -> Commit:
        return self.intake.digest([], now)


@pytest.fixture
def world() -> World:
    return World()


def transitions(batch: Commit) -> list[str]:
    assert all(change.alert.drill for change in batch.changes)
    return [change.transition for change in batch.changes]


def test_an_ordered_drill_fires_and_ends_and_leaves_nothing_behind(world: World) -> None:
    world.order()
    fires = world.hear()
    assert transitions(fires) == [Transition.FIRING]
    [told] = fires.to_tell
    assert told.alert.drill
    [line] = fires.log
    assert (line.what, line.who) == ("drill", "admin")
    assert transitions(world.hear(NO_SMOKE)) == [Transition.RESOLVED]
    assert not fires.reports
    assert not fires.states
    assert not fires.registered
    assert not list(world.engine.open_alerts())
    assert not world.registry.devices


def test_a_drill_whose_end_is_not_heard_ends_by_itself(world: World) -> None:
    world.order()
    world.hear()
    assert world.intake.next_deadline() == DRILL.ends_at
    assert not world.wait(DRILL.ends_at - timedelta(seconds=1)).changes
    assert transitions(world.wait(DRILL.ends_at)) == [Transition.RESOLVED]
    assert world.intake.next_deadline() is None
    [refused] = world.hear(now=DRILL.ends_at).refused
    assert refused.reason == "not_its_own"


def test_a_new_drill_ends_the_one_before(world: World) -> None:
    world.order()
    world.hear()
    later = NOON + timedelta(seconds=20)
    second = Drill("another", SITE, "admin", later + LONGEST)
    assert transitions(world.order(second)) == [Transition.RESOLVED]
    assert world.hear(now=later).refused
    assert transitions(world.hear(topic=second.topic, now=later)) == [Transition.FIRING]


@pytest.mark.parametrize(
    "topic",
    [
        "chargewatch/v1/_drill/drill/guessed/event",
        "chargewatch/v1/_drill/xuhui/pile-1/telemetry",
        "chargewatch/v1/_drill/drill/a-number-nobody-guesses/telemetry",
        "chargewatch/v1/_drill/x",
    ],
)
def test_what_nobody_ordered_is_refused_and_makes_no_device(world: World, topic: str) -> None:
    world.order()
    batch = world.hear(topic=topic)
    assert [each.reason for each in batch.refused] == ["not_its_own"]
    assert not batch.changes
    assert not world.registry.devices


@pytest.mark.parametrize(
    "payload", [b"", b"{", b'{"event": "nonsense"}', b'{"event": "smoke", "device": "pile-1"}']
)
def test_a_drill_says_nothing_but_what_a_detector_says(world: World, payload: bytes) -> None:
    world.order()
    batch = world.hear(payload)
    assert [each.reason for each in batch.refused] == ["not_its_own"]
    assert not batch.changes


def test_what_the_broker_had_kept_is_no_drill(world: World) -> None:
    world.order()
    assert world.hear(retained=True).refused


def test_a_repetition_changes_nothing(world: World) -> None:
    world.order()
    world.hear()
    world.hear(NO_SMOKE)
    again = world.hear()
    assert (again.repeated, again.changes) == (1, [])


def test_real_smoke_during_a_drill_is_real_whatever_it_says_of_itself(world: World) -> None:
    world.order()
    world.hear()
    real = world.hear(
        b'{"event": "smoke", "drill": true}', "chargewatch/v1/xuhui/renmin-lu/smoke-1/event"
    )
    [change] = [each for each in real.changes if each.alert.key.rule == "smoke"]
    assert not change.alert.drill
    assert change.transition is Transition.FIRING
    assert {told.urgency for told in real.to_tell if told.alert.key.rule == "smoke"} == {0}


def test_a_drill_waits_behind_everything_real(world: World) -> None:
    world.order()
    [told] = world.hear().to_tell
    assert told.urgency == 2


def test_a_drill_says_that_it_is_one_before_all_else(world: World) -> None:
    world.order()
    alert = world.hear().changes[0].alert
    for lang, mark in (("zh", "演练"), ("en", "DRILL")):
        say = Texts.of(lang)
        assert alert_title(alert, world.registry, say).startswith(f"{mark} · ")
        text = alert_text(alert, world.registry, say)
        assert text.startswith(say("drill.text", text=""))
        assert say("drill.advice") in text
        assert "119" not in text, "nobody calls the brigade for a drill"
    nowhere = Drill("n", DRILL_SITE, "admin", NOON + LONGEST)
    world.order(nowhere)
    alert = world.hear(topic=nowhere.topic).changes[0].alert
    assert "drill, no real site" in alert_title(alert, world.registry, Texts.of("en"))


def test_the_reserved_name_cannot_be_declared(tmp_path: Path) -> None:
    sites = tmp_path / "sites.toml"
    sites.write_text('[areas._drill]\nname = { zh = "演练", en = "drill" }\n')
    with pytest.raises(SitesFileWrong, match="reserved for drills"):
        read_sites(sites, ["native"], 2026)


def test_a_drill_that_a_restart_cut_short_ends_at_the_next_start(
    world: World, tmp_path: Path
) -> None:
    async def restart() -> list[queries.AlertRow]:
        ledger = open_ledger(tmp_path / "ledger.sqlite")
        try:
            world.order()
            await ledger.commit(world.hear())
            left = await ledger.read(queries.drills_left_open)
            over = Commit(now=NOON, changes=ended(left, NOON + timedelta(minutes=5)))
            await ledger.commit(over)
            assert await ledger.read(queries.count_alerts) == {}, "drills are not counted"
            return await ledger.read(lambda c: queries.find_alerts(c, queries.AlertFilter()))
        finally:
            ledger.close()

    [row] = asyncio.run(restart())
    assert (row.state, row.drill, row.device) == ("resolved", True, DRILL_DEVICE)


# --- how far it came ------------------------------------------------------------------


def delivery(channel: str, state: str) -> DeliveryRow:
    return DeliveryRow(
        id=1,
        transition="firing",
        channel=channel,
        state=state,
        reason="new_alert",
        attempts=1,
        created_at=NOON,
        next_at=NOON,
        told_at=NOON if state == "told" else None,
        receipt="HTTP 503",
        idempotency_key=channel,
    )


def test_each_station_that_is_not_reached_is_named() -> None:
    progress = Progress(id="1", site=SITE, who="admin", began_at=NOON)
    log, webhook = delivery("log", "told"), delivery("webhook", "waiting")
    for station in (Station.PUBLISHED, Station.HEARD, Station.DECIDED, Station.COMMITTED):
        assert stuck_at(progress, []) is station
        setattr(progress, f"{station}_at", NOON)
    assert stuck_at(progress, []) is Station.TOLD
    assert stuck_at(progress, [log, webhook]) is Station.TOLD
    assert stuck_at(progress, [log]) is Station.OVER
    progress.over_at = NOON
    assert stuck_at(progress, [log]) is None


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_way_of_being_stuck_has_words(lang: str) -> None:
    say = Texts.of(lang)
    for station in Station:
        progress = Progress(id="1", site=SITE, who="admin", began_at=NOON)
        drill = DrillShown.of(progress, [delivery("webhook", "waiting")])
        stuck = drill.model_copy(update={"stuck_at": station})
        assert say(f"drill.stuck.{station}") in "\n".join(shown(stuck, say))
        assert "HTTP 503" in "\n".join(shown(stuck, say))
