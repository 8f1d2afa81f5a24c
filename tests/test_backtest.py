"""What a policy would have said of recorded traffic: played, compared, scored."""

import asyncio
import gzip
import io
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.backtest.episodes import Episode
from api.backtest.places import registry_of
from api.backtest.playing import Playing
from api.backtest.printing import show
from api.backtest.recording import LINE_BYTES_MAX, Recording, RecordingUnreadable
from api.backtest.result import Result
from api.backtest.running import Asked, NoHistory, on_history
from api.backtest.truth import TruthUnreadable, read_truth
from api.policy_file import PolicyFileWrong
from ingest.codecs import all_codecs
from ingest.intake import Intake
from ingest.ledger import queries
from ingest.ledger.store import open_ledger
from ingest.lines import recorded_line, recorded_message
from ingest.registry import Registry
from ingest.replay import Seen
from ingest.wire import Message
from rules.alerts import EVERYTHING, Group, GroupKind
from rules.catalog import rules_in_force
from rules.engine import Engine
from simulator.player import Player, recorded
from simulator.quiet_month import quiet_month
from simulator.village import POLICY_TOML, Village, incidents, sites_toml
from simulator.village_evening import village_evening
from tests.backtests import MINUTE, NOON, PILE, SITES, an_hour, kept, lines, run, watts, written

DAY = date(2026, 5, 12)
GOOD = recorded_line(watts(0, 100))
Told = tuple[str, str | None, int | None, datetime, datetime | None]


def told(episodes: Iterable[Episode]) -> set[Told]:
    """Return what people would have noticed of some episodes."""
    return {(e.rule, e.device, e.channel, e.fired_at, e.resolved_at) for e in episodes}


def rules_of(episodes: Iterable[Episode]) -> list[str]:
    return [each.rule for each in episodes]


def played(village: Village, until: datetime) -> list[Message]:
    """Return what a village says, as it comes out of a recording."""
    said = (recorded_message(recorded(each)) for each in Player(village.devices()).play(until))
    return [message for message in said if isinstance(message, Message)]


# --- recordings -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json: the line: Expecting property name"),
        (b"\xff", "not_utf8: the line: "),
        (b"[]", "wrong_type: the line: Expected `object`, got `array`"),
        (
            b'{"topic":"t","payload":""}',
            "wrong_type: the line: Object missing required field `at`",
        ),
        (b'{"at":"yesterday","topic":"t","payload":""}', "wrong_type: the line: Invalid"),
        (b'{"at":"0001-01-01T00:00:00Z","topic":"t","payload":""}', "wrong_type: the line: at"),
        (b'{"at":"2026-01-05T04:00:00Z","topic":"t"}', "wrong_type: the line: payload or"),
        (
            b'{"at":"2026-01-05T04:00:00Z","topic":"t","payload_base64":"?"}',
            "wrong_type: the line: ",
        ),
        (b"x" * (LINE_BYTES_MAX + 1), f"longer than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_does_not_stop_at_a_bad_line_and_names_it(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(GOOD + b"\n  \n" + line + b"\n" + GOOD)
    recording = Recording(path)
    assert len(list(recording.messages())) == 2
    assert (recording.lines, recording.bad_lines) == (5, 1)
    assert recording.bad_shown[0].startswith(f"line 4: {reason}")


def test_does_not_show_a_thousand_bad_lines_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(b"?\n" * 1000 + GOOD)
    recording = Recording(path)
    assert len(list(recording.messages())) == 1
    assert recording.bad_lines == 1000
    assert len(recording.bad_shown) == 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "there is no message in it, not even a bad one"),
        (b"a,b\n1,2\n", "there is no message in it: line 1: not_json"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingUnreadable, match=reason):
        next(Recording(path).messages())
    with pytest.raises(RecordingUnreadable, match="No such file"):
        next(Recording(tmp_path / "none").messages())


def test_does_not_read_ahead(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(GOOD * 50_000)
    recording = Recording(path)
    messages = recording.messages()
    assert next(messages)
    share = recording.share_read()
    assert share is not None
    assert share < 0.1


def test_a_recording_may_be_packed_or_come_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "recording.jsonl.gz"
    packed.write_bytes(gzip.compress(GOOD * 3))
    assert len(list(Recording(packed).messages())) == 3
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(RecordingUnreadable, match="ended before"):
        list(Recording(packed).messages())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD * 2)))
    piped = Recording(Path("-"))
    assert len(list(piped.messages())) == 2
    assert piped.share_read() is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    payload=st.binary() | st.text().map(str.encode) | JSON.map(msgspec.json.encode),
    topic=st.text(),
    at=st.datetimes(datetime(1971, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)),
    retained=st.booleans(),
)
def test_a_message_comes_out_of_its_line_as_it_went_in(
    payload: bytes, topic: str, at: datetime, *, retained: bool
) -> None:
    line = recorded_line(Message(topic, payload, at, retained))
    assert line.count(b"\n") == 1
    assert recorded_message(line) == Message(topic, payload, at, retained)


# --- playing --------------------------------------------------------------------------


def test_does_not_fire_where_nothing_is_wrong(tmp_path: Path) -> None:
    result = run(tmp_path, lines(*an_hour((0, 200))))
    assert result.in_force.alerts == 0
    assert result.tally.messages == result.tally.readings == 120
    assert result.sites == 1


def test_a_quiet_village_raises_no_false_alarm(tmp_path: Path) -> None:
    village = quiet_month(seed=6, first=DAY, days=2, sites=3)
    said = map(recorded, Player(village.devices()).play(village.ends))
    result = run(tmp_path, said, sites=sites_toml(village), truth=[])
    assert told(result.in_force.episodes) == set()
    assert result.tally.messages > 5_000
    assert result.tally.repeated > 0
    assert result.in_force.score is not None
    assert result.in_force.score.false_alarms_per_site_week == 0
    assert result.in_force.score.site_weeks == pytest.approx(3 * 2 / 7, abs=0.001)


def test_an_alert_fires_and_ends_at_its_very_moment(tmp_path: Path) -> None:
    result = run(tmp_path, lines(*an_hour((0, 200), (10, 1500), (20, 200))))
    [found] = result.in_force.episodes
    assert (found.rule, found.device, found.channel) == ("overload", PILE, 1)
    assert found.fired_at == NOON + timedelta(minutes=10, seconds=30)
    assert found.resolved_at == NOON + timedelta(minutes=21)
    assert (found.measured, found.limit, found.unit) == (1500, 1000, "W")


def test_what_fires_without_a_message_fires_between_two(tmp_path: Path) -> None:
    result = run(tmp_path, lines(watts(0, 0.0), watts(3600, 0.0)))
    [found] = result.in_force.episodes
    assert found.rule == "silence"
    assert found.fired_at == NOON + 10 * MINUTE
    assert found.resolved_at == NOON + 60 * MINUTE


def test_a_declared_device_that_says_nothing_is_silent(tmp_path: Path) -> None:
    other = '[[devices]]\nid = "town/north/pile-2"\nkind = "charger"\n'
    result = run(tmp_path, lines(*an_hour((0, 0))), sites=SITES + other)
    [found] = result.in_force.episodes
    assert (found.rule, found.device) == ("silence", "town/north/pile-2")
    assert found.fired_at == NOON + 10 * MINUTE


def test_what_is_not_judged_is_counted(tmp_path: Path) -> None:
    said = [
        *lines(watts(0, 100), watts(30, 100), watts(20, 110)),
        b"half a line\n",
        recorded_line(Message(f"chargewatch/v1/{PILE}/telemetry", b"{", NOON + MINUTE)),
        recorded_line(Message(f"chargewatch/v1/{PILE}/command", b"{}", NOON + MINUTE)),
    ]
    result = run(tmp_path, said)
    assert result.tally.messages == 3
    assert result.tally.out_of_order == 1
    assert result.tally.ignored == 1
    assert result.tally.refused == {"not_json": 1}
    assert (result.lines.read, result.lines.bad) == (6, 1)
    assert result.lines.bad_shown[0].startswith("line 4: not_json")
    assert result.ends == NOON + MINUTE


def test_playing_it_again_gives_the_same(tmp_path: Path) -> None:
    village = village_evening(7, DAY)
    said = [recorded_line(message) for message in played(village, village.ends)]
    truth = [msgspec.json.decode(line) for line in incidents(village).splitlines()]
    policy = "[default.overload]\nact_w = 1200"
    one, other = (
        run(tmp_path, said, sites=sites_toml(village), policy=policy, truth=truth)
        for _ in range(2)
    )
    assert without_speed(one) == without_speed(other)
    assert one.in_force.alerts >= 5


def without_speed(result: Result) -> bytes:
    builtins = msgspec.to_builtins(result)
    del builtins["speed"]
    return msgspec.json.encode(builtins)


def test_the_alerts_are_those_of_the_live_path(tmp_path: Path) -> None:
    village = village_evening(7, DAY)
    messages = played(village, village.starts + 36 * MINUTE)
    sites = sites_toml(village)
    result = run(tmp_path, lines(*messages), sites=sites)
    assert set(rules_of(result.in_force.episodes)) >= {"overload", "smoke", "silence"}
    live = live_alerts(tmp_path / "ledger.sqlite", tmp_path / "sites.toml", messages)
    assert told(result.in_force.episodes) == live


def live_alerts(path: Path, sites: Path, messages: list[Message]) -> set[Told]:
    """Do with messages what the pipeline does, and ask the ledger what came of it."""
    begins = messages[0].received_at
    registry = registry_of(sites, None, begins)
    engine = Engine(*rules_in_force(), registry)
    for device in registry.devices:
        engine.expect(device, begins)
    intake = Intake(all_codecs(), registry, engine, Seen(), lambda *_: ())
    ledger = open_ledger(path)

    async def live() -> list[queries.AlertRow]:
        for message in messages:
            while (due := engine.next_deadline()) and due < message.received_at:
                await ledger.commit(intake.digest([], due))
            await ledger.commit(intake.digest([message], message.received_at))
        return await ledger.read(lambda c: queries.find_alerts(c, queries.AlertFilter()))

    try:
        rows = asyncio.run(live())
    finally:
        ledger.close()
    return {(r.rule, r.device, r.channel, r.fired_at, r.resolved_at) for r in rows}


def test_what_has_been_played_leaves_nothing_behind_but_its_alerts() -> None:
    village = quiet_month(seed=7, first=DAY, days=1, sites=1)
    registry = Registry([], [], [])
    playing = Playing(registry, (), village.starts)
    for message in played(village, village.ends):
        playing.hear(message)
    [side] = playing.sides
    assert side.engine.take_ended() == []
    assert side.engine.touched <= {
        *registry.devices,
        *map(group_of, registry.sites),
        EVERYTHING,
    }


def group_of(site: str) -> Group:
    return Group(GroupKind.SITE, site)


# --- policies and their difference ----------------------------------------------------


def test_the_same_policy_makes_no_difference(tmp_path: Path) -> None:
    result = run(tmp_path, lines(*an_hour((0, 200), (10, 1500), (20, 200))), policy="")
    assert result.difference is not None
    assert rules_of(result.difference.same) == ["overload"]
    assert result.difference.only_in_force == result.difference.only_proposed == []
    assert result.proposed is not None
    assert result.proposed.episodes == result.in_force.episodes


@pytest.mark.parametrize(("limit_w", "only_in_force"), [(2000, ["overload"]), (1400, [])])
def test_a_higher_limit_leaves_out_what_is_below_it(
    tmp_path: Path, limit_w: int, only_in_force: list[str]
) -> None:
    said = lines(*an_hour((0, 200), (10, 1500), (20, 200)))
    found = run(tmp_path, said, policy=limit(limit_w)).difference
    assert found is not None
    assert rules_of(found.only_in_force) == only_in_force
    assert len(found.same) == 1 - len(only_in_force)
    assert found.only_proposed == []


def test_a_lower_limit_adds_what_is_above_it(tmp_path: Path) -> None:
    said = lines(*an_hour((0, 200), (10, 750), (20, 200)))
    result = run(tmp_path, said, policy=limit(730))
    assert result.difference is not None
    assert rules_of(result.difference.only_proposed) == ["overload"]
    assert result.in_force.alerts == 0


def test_the_policy_in_force_may_be_a_file_too(tmp_path: Path) -> None:
    said = lines(*an_hour((0, 200), (10, 1500), (20, 200)))
    result = run(tmp_path, said, in_force=limit(2000), policy="")
    assert result.in_force.alerts == 0
    assert result.proposed is not None
    assert rules_of(result.proposed.episodes) == ["overload"]


def test_a_policy_raises_beside_another_what_it_raises_alone(tmp_path: Path) -> None:
    village = village_evening(7, DAY)
    said = lines(*played(village, village.starts + 60 * MINUTE))
    policy = "[default.overload]\nwarn_w = 700\n[default.silence]\ncharger_after = '4 min'"
    beside = run(tmp_path, said, sites=sites_toml(village), policy=policy).proposed
    alone = run(tmp_path, said, sites=sites_toml(village), in_force=policy).in_force
    assert beside is not None
    assert beside.episodes == alone.episodes
    assert beside.alerts > 5


def limit(watts: int) -> str:
    """Return a policy of one site that warns and acts above so many watts."""
    return f'[site."town/north".overload]\nwarn_w = {watts}\nact_w = {watts}\n'


def test_a_policy_that_is_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileWrong, match=r"policy\.toml:2: .*warn_w"):
        run(tmp_path, [GOOD], policy=limit(-1))


# --- the truth --------------------------------------------------------------------------


HALF = '{"class": "x", "begins": "2026-01-05T04:00:00Z"'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (HALF, "line 2: Input data was truncated"),
        (HALF + ', "site": "a/s"}', "line 2: Object missing required field `expected_rules`"),
        (HALF + ', "expected_rules": []}', "line 2: whose"),
        (HALF + ', "ends": "2025-01-05T04:00:00Z", "expected_rules": []}', "line 2: it ends"),
        (
            HALF.replace("Z", "") + ', "site": "a/s", "expected_rules": []}',
            r"line 2: Expected `datetime` with a timezone component - at `\$\.begins`",
        ),
    ],
)
def test_half_a_truth_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path / "truth.jsonl", f"\n{line}\n")
    with pytest.raises(TruthUnreadable, match=reason):
        read_truth(path)


def test_an_evening_is_scored_against_what_the_simulator_knows(tmp_path: Path) -> None:
    village = village_evening(7, DAY)
    truth = [msgspec.json.decode(line) for line in incidents(village).splitlines()]
    said = lines(*played(village, village.starts + 36 * MINUTE))
    played_once = run(
        tmp_path, said, sites=sites_toml(village), in_force=POLICY_TOML, truth=truth
    )
    score = played_once.in_force.score
    assert score is not None
    assert (score.incidents, score.found, score.recall) == (5, 5, 1.0)
    assert score.false_alarms == 0
    assert score.delay_s is not None
    assert score.delay_s.max <= 600  # the dead pile: 8 min, and 2 for its neighbours
    assert score.per_rule["silence"].found == 2
    assert score.per_class["device_dead"].found == score.per_class["connection_lost"].found == 1


# --- the history ------------------------------------------------------------------------


def test_a_history_raises_what_its_recording_raises(tmp_path: Path) -> None:
    village = village_evening(7, DAY)
    messages = played(village, village.starts + 36 * MINUTE)
    expected = run(tmp_path, lines(*messages), sites=sites_toml(village))
    kept(tmp_path, messages)
    asked = Asked(sites=tmp_path / "sites.toml")
    since, until = village.starts - timedelta(days=1), village.ends
    result = asyncio.run(on_history(asked, tmp_path, since, until, lambda _share, _now: None))
    assert told(result.in_force.episodes) == told(expected.in_force.episodes)
    assert result.tally.readings == expected.tally.readings
    assert (result.begins, result.ends) == (expected.begins, expected.ends)


def test_a_history_of_devices_that_nobody_knows_any_more_is_counted(tmp_path: Path) -> None:
    written(tmp_path / "sites.toml", SITES)
    stranger = watts(2, 100, device="town/south/pile-9")
    kept(tmp_path, [watts(0, 100), watts(1, 100), stranger])
    (tmp_path / "ledger.sqlite").unlink()
    history = duckdb.connect(tmp_path / "history.duckdb")
    history.execute("UPDATE readings SET device = 'x' WHERE power_w = 100 AND position = 1")
    history.close()
    asked = Asked(sites=tmp_path / "sites.toml")
    ask = on_history(asked, tmp_path, NOON, NOON + MINUTE, lambda _share, _now: None)
    result = asyncio.run(ask)
    assert result.tally.messages == 2
    assert result.tally.refused == {"unknown_device": 1}
    assert result.sites == 2


def test_a_history_that_is_not_there_is_said(tmp_path: Path) -> None:
    ask = on_history(Asked(), tmp_path, NOON, NOON + MINUTE, lambda _share, _now: None)
    with pytest.raises(NoHistory, match="there is no history"):
        asyncio.run(ask)
    written(tmp_path / "sites.toml", SITES)
    kept(tmp_path, [watts(0, 100)])
    since = NOON + MINUTE
    ask = on_history(Asked(), tmp_path, since, since + MINUTE, lambda _share, _now: None)
    with pytest.raises(NoHistory, match="nothing from 2026-01-05"):
        asyncio.run(ask)


# --- on the screen ----------------------------------------------------------------------


def test_people_are_shown_rules_sites_differences_and_scores(tmp_path: Path) -> None:
    happened = {
        "class": "two_bikes",
        "site": "town/north",
        "begins": "2026-01-05T04:10:00Z",
        "expected_rules": ["overload"],
    }
    said = [*lines(*an_hour((0, 200), (10, 1500), (20, 200))), b"?\n"]
    result = run(tmp_path, said, policy=limit(2000), truth=[happened])
    console = Console(width=100, record=True, file=io.StringIO())
    show(result, console)
    text = console.export_text()
    for words in (
        "only under the policy in force: 1",
        "01-05 04:10:30",
        "town/north/pile-1 #1",
        "under both policies: nothing",
        "two_bikes",
        "in force: 1 alerts; 1 of 1 incidents found (100.0%), delay 30.0 / 30.0 / 30.0 s",
        "proposed: 0 alerts; 0 of 1 incidents found (0.0%)",
        "1 bad lines",
        "line 121: not_json",
    ):
        assert words in text
