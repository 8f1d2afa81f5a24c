"""Late data: it never sirens and never clears, but what it shows is found and kept."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from ingest.codecs import all_codecs
from ingest.intake import Intake
from ingest.ledger import hazards
from ingest.ledger.commit import Commit
from ingest.ledger.hazards import HazardFilter, HazardRow, write_hazard
from ingest.ledger.store import Ledger, open_ledger
from ingest.replay import Seen
from ingest.wire import Message
from rules import retrospect
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Reading, Report, Standing
from rules.retrospect import RUN_GAP, Hazard, Retrospect
from tests.http_doubles import NOON, PILE, SMOKE, WRITE_TOKEN, Client, World, bearer

pytest_plugins = ["tests.http_fixtures"]

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NIGHT = DeviceId("town/north/pile-1")
POLICY = Policy()


def found(*said: tuple[float, Reading], kind: Kind = Kind.CHARGER) -> list[Hazard]:
    """Return what late readings show, each with its seconds after the start."""
    back, profile = Retrospect(), DeviceProfile(id=NIGHT, site="town/north", kind=kind)
    return [
        hazard
        for number, (seconds, reading) in enumerate(said)
        for hazard in back.judge(late(seconds, reading, number), POLICY, profile)
    ]


def late(seconds: float, reading: Reading, number: int = 0) -> Report:
    return Report(
        device=NIGHT,
        at=START + seconds * SECOND,
        received_at=START + 6 * HOUR,
        identity=str(number),
        readings=(reading,),
        standing=Standing.LATE,
    )


def draws(power_w: float) -> Reading:
    return Reading(channel=1, power_w=power_w)


SMOKES, CLEAN = Reading(smoke_alarm=True), Reading(smoke_alarm=False)

# --- what is a hazard ---------------------------------------------------------------------

NONE: dict[str, list[tuple[float, Reading]]] = {
    "clean air": [(0, CLEAN)],
    "a self-test": [(0, Reading(smoke_alarm=True, self_test=True))],
    "an inrush": [(0, draws(3000)), (20, draws(100))],
    "a load above the warning only": [(0, draws(900)), (300, draws(900))],
    "two peaks with a pause between": [(0, draws(2000)), (20, draws(1)), (40, draws(2000))],
    "warmth": [(0, Reading(device_temperature_c=70)), (60, Reading(device_temperature_c=70))],
    "a temperature that is none": [(t, Reading(device_temperature_c=9000)) for t in (0, 60)],
    "a power that is none": [(t, draws(65_535)) for t in (0, 60)],
    "the power of the whole pile": [(t, Reading(power_w=5000)) for t in (0, 60)],
    "nothing but a battery": [(0, Reading(battery_pct=1))],
}


@pytest.mark.parametrize("said", NONE.values(), ids=NONE)
def test_there_is_no_hazard_in(said: list[tuple[float, Reading]]) -> None:
    assert found(*said) == []


HAZARDS: dict[str, tuple[list[tuple[float, Reading]], str, float | None]] = {
    "smoke": ([(0, SMOKES)], "smoke", None),
    "a load that was held": ([(0, draws(1100)), (30, draws(1200))], "overload", 1200),
    "heat that was held": (
        [(t, Reading(device_temperature_c=85)) for t in (0, 30)],
        "heat",
        85,
    ),
    "heat that the device judged itself": ([(0, Reading(overtemperature=True))], "heat", None),
}


@pytest.mark.parametrize(("said", "rule", "measured"), HAZARDS.values(), ids=HAZARDS)
def test_there_is_a_hazard_in(
    said: list[tuple[float, Reading]], rule: str, measured: float | None
) -> None:
    hazard = found(*said)[-1]
    assert (hazard.rule, hazard.device, hazard.site) == (rule, NIGHT, "town/north")
    assert (hazard.began_at, hazard.evidence.measured) == (START, measured)


def test_a_run_is_one_hazard_that_grows_and_a_long_pause_begins_another() -> None:
    gap_s = RUN_GAP.total_seconds()
    said = [(0.0, SMOKES), (gap_s, SMOKES), (2 * gap_s + 1, SMOKES)]
    spans = [(hazard.began_at, hazard.ended_at) for hazard in found(*said)]
    third = START + 2 * RUN_GAP + SECOND
    assert spans == [(START, START), (START, START + RUN_GAP), (third, third)]


def test_the_memory_of_runs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrospect, "RUNS_MAX", 2)
    back = Retrospect()
    for number in range(5):
        device = DeviceId(f"town/north/pile-{number}")
        profile = DeviceProfile(id=device, site="town/north", kind=Kind.CHARGER)
        report = Report(
            device=device,
            at=START,
            received_at=START,
            identity="1",
            readings=(draws(2000),),
            standing=Standing.LATE,
        )
        back.judge(report, POLICY, profile)
    assert len(back._runs) == 2


# --- the ledger ---------------------------------------------------------------------------


def hazard(began_s: float, ended_s: float, reading: Reading = SMOKES) -> Hazard:
    return found((began_s, reading), (ended_s, reading))[-1]


def kept(ledger: Ledger, *shown: Hazard) -> list[HazardRow]:
    with ledger.engine.begin() as c:
        for each in shown:
            write_hazard(c, each, START + 6 * HOUR)
        return hazards.find_hazards(c, HazardFilter())


@pytest.mark.parametrize("spans", list(permutations([(0, 60), (60, 120), (30, 90)])), ids=str)
def test_what_overlaps_is_one_hazard_in_whatever_order_it_comes(
    tmp_path: Path, spans: tuple[tuple[int, int], ...]
) -> None:
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    [row] = kept(ledger, *(hazard(*span) for span in (*spans, *spans)))
    assert (row.began_at, row.ended_at) == (START, START + 120 * SECOND)
    ledger.close()


def test_another_rule_and_another_night_are_hazards_of_their_own(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    rows = kept(ledger, hazard(0, 60), hazard(0, 60, draws(2000)), hazard(90_000, 90_060))
    assert [row.rule for row in rows] == ["smoke", "overload", "smoke"]
    with ledger.engine.connect() as c:
        only = hazards.find_hazards(c, HazardFilter(rule="smoke", before_id=3))
        assert [row.id for row in only] == [1]
    ledger.close()


# --- the whole way ------------------------------------------------------------------------


def digest(here: World, device: DeviceId, *bodies: bytes) -> Commit:
    """Take messages as the pipeline does, and keep what they cause."""
    intake = Intake(all_codecs(), here.registry, here.engine, Seen(), lambda *_: ())
    what = "event" if device == SMOKE else "telemetry"
    topic = f"chargewatch/v1/{device}/{what}"
    return intake.digest([Message(topic, body, NOON) for body in bodies], NOON)


def test_smoke_that_comes_late_raises_no_alarm_and_is_found_by_whoever_asks(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    at = (NOON - 5 * HOUR).isoformat()
    body = f'{{"event":"smoke","at":"{at}","buffered":true}}'.encode()
    batch = digest(here, SMOKE, body)
    assert (batch.changes, batch.to_tell) == ([], [])
    runner.run(here.ledger.commit(batch))
    answer = client.get("/api/v1/hazards", headers=bearer(WRITE_TOKEN)).json()
    [shown] = answer["hazards"]
    assert (shown["rule"], shown["device"]) == ("smoke", SMOKE)
    assert shown["began_at"] == "2026-11-22T23:00:00Z"
    assert shown["words"]["en"].startswith("Found afterwards: ")
    assert "事后发现" in shown["words"]["zh"]
    assert client.get("/api/v1/alerts", headers=bearer(WRITE_TOKEN)).json()["alerts"] == []


def test_late_data_ends_no_alarm(here: World, runner: asyncio.Runner) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    at = (NOON - MINUTE).isoformat()
    body = f'{{"event":"smoke","active":false,"at":"{at}","buffered":true}}'.encode()
    assert digest(here, SMOKE, body).changes == []


def test_what_is_in_time_is_no_hazard(here: World) -> None:
    body = f'{{"at":"{NOON.isoformat()}","readings":[{{"channel":1,"power_w":5000}}]}}'.encode()
    assert digest(here, PILE, body).hazards == []
