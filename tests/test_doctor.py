"""What the doctor makes of what it sees: the judgements, and their words. No servers."""

import asyncio
import os
import re
import sqlite3
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from pydantic import SecretStr

from api.doctor.broker import is_near, judge_access
from api.doctor.certificates import judge_certificate
from api.doctor.clock import judge_clock
from api.doctor.examining import (
    CHECKS,
    NoSuchCheck,
    _bounded,
    check_names,
    examine,
    settings_or_finding,
)
from api.doctor.files import check_disk, check_files, check_policy, check_sites, judge_space
from api.doctor.finding import EVERYWHERE, OUTCOMES, Finding, Status, exit_status, found
from api.doctor.grafana import judge_dashboards
from api.doctor.history import judge_retention, kept_for_s
from api.doctor.ledger import OF_THE_LEDGER, check_ledger
from api.doctor.patient import Patient
from api.doctor.running import judge_parts
from api.doctor.telling import TO_DO, as_json, lines, table
from api.settings import BrokerSettings, InfluxSettings, Settings, WebhookSettings
from api.text import LANGUAGES, Texts
from api.tokens import add_token
from api.version import VERSION
from ingest.journal import packed
from ingest.ledger import outbox
from ingest.ledger.commit import Commit, ToTell
from ingest.ledger.log import append_event
from ingest.ledger.outbox import Reason
from ingest.ledger.store import Ledger, open_ledger
from ingest.measurements import Kept
from ingest.registry import Area, Device, Name, Site
from rules.alerts import Alert, AlertKey, State
from rules.readings import DeviceId, Kind, Report
from rules.verdict import Evidence, Severity
from tests import worklists

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GIB, MIB = 1024**3, 1024**2
ROOT = Path(__file__).parents[1]


def space(free: int, total: int = 100 * GIB, inodes: float = 0.5) -> os.statvfs_result:
    block, files = 4096, 1_000_000
    left = int(inodes * files)
    free_blocks, blocks = free // block, total // block
    return os.statvfs_result(
        (block, block, blocks, free_blocks, free_blocks, files, left, left, 0, 255)
    )


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    settings = Settings(data_dir=tmp_path, _env_file=None)  # type: ignore[call-arg]
    return Patient(settings=settings, now=NOW, space=lambda _: space(50 * GIB))


def having(patient: Patient, **settings: object) -> Patient:
    return replace(patient, settings=patient.settings.model_copy(update=settings))


def outcomes(findings: Sequence[Finding]) -> dict[str, str]:
    return {finding.check: finding.outcome for finding in findings}


# --- the list of findings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([], 0),
        ([Status.OK, Status.SKIPPED], 0),
        ([Status.OK, Status.WARNING], 1),
        ([Status.UNKNOWN, Status.OK], 3),
        ([Status.UNKNOWN, Status.WARNING], 1),
        ([Status.WARNING, Status.FAILED, Status.UNKNOWN], 2),
    ],
)
def test_the_exit_status_is_that_of_the_worst_finding(
    statuses: list[Status], status: int
) -> None:
    assert exit_status([Finding("x", "y", each) for each in statuses]) == status


def facts_of(words: str) -> dict[str, str | int | float]:
    return dict.fromkeys(re.findall(r"{(\w+)}", words), "thing")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_outcome_has_words_and_what_is_bad_says_what_to_do(lang: str) -> None:
    say = Texts.of(lang)
    wanted = {"doctor.any." + outcome for outcome in EVERYWHERE}
    for check, possible in (OUTCOMES | {"any": EVERYWHERE}).items():
        for outcome, status in possible.items():
            key = f"doctor.{check}.{outcome}"
            wanted.add(key)
            assert (f"{key}.todo" in say.messages) is (status in TO_DO), key
            if check != "any":
                finding = replace(found(check, outcome), facts=facts_of(say.messages[key]))
                assert all("{" not in line for line in lines([finding], say))
    wanted |= {f"doctor.{check}" for check in OUTCOMES}
    wanted |= {f"doctor.status.{status}" for status in Status}
    wanted |= {f"doctor.summary.{number}" for number in range(4)}
    there = {
        key for key in say.messages if key.startswith("doctor.") and not key.endswith(".todo")
    }
    assert there == wanted


def test_the_page_has_the_table_of_the_code() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in page


def test_every_check_that_can_be_named_is_run_by_something() -> None:
    run = {name for names, _ in CHECKS for name in names}
    assert run | {"settings", "version"} == set(OUTCOMES)
    with pytest.raises(NoSuchCheck, match="no check 'disc'"):
        check_names(["disc"])


def test_programs_are_told_the_same_as_people() -> None:
    say = Texts.of("en")
    told = as_json([found("clock", "set_back", seconds=70)], say)
    assert told["exit_status"] == 2
    [finding] = told["findings"]  # type: ignore[misc]
    assert finding["facts"] == {"seconds": 70}  # type: ignore[has-type]
    shown = "\n".join(lines([found("clock", "set_back", seconds=70)], say))
    assert finding["seen"] in shown  # type: ignore[has-type]
    assert finding["to_do"] in shown  # type: ignore[has-type]


def test_a_check_that_hangs_or_breaks_hides_no_other(patient: Patient) -> None:
    async def hangs(_: Patient) -> list[Finding]:
        await asyncio.sleep(60)
        return []

    async def breaks(_: Patient) -> list[Finding]:
        raise ZeroDivisionError

    async def both() -> list[Finding]:
        return [
            *await _bounded(("broker",), hangs, patient, 0.01),
            *await _bounded(("disk",), breaks, patient),
        ]

    assert asyncio.run(both()) == [
        found("broker", "timeout", seconds=0.01),
        found("disk", "fault", reason="ZeroDivisionError"),
    ]


# --- settings and files -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CHARGEWATCH_BORKER__HOST", "x"), ("CHARGEWATCH_WEBHOOK__SECRET", "changeme")],
)
def test_settings_that_are_wrong_are_a_finding_that_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    settings, [finding] = settings_or_finding({variable: value})
    assert settings is None
    assert finding.outcome == "wrong"
    assert variable in str(finding.facts["reason"])
    assert "changeme" not in str(finding.facts)


def test_no_secret_is_ever_shown(patient: Patient) -> None:
    secret = "s3cret-that-nobody-may-see"
    closed = having(
        patient,
        broker=BrokerSettings(port=1, username="x", password=SecretStr(secret)),
        webhook=WebhookSettings(url=f"http://127.0.0.1:1/{secret}", secret=SecretStr(secret)),
    )
    findings = asyncio.run(examine(closed))
    assert {"broker", "webhook"} <= outcomes(findings).keys()
    for lang in LANGUAGES:
        assert secret not in str(as_json(findings, Texts.of(lang)))
        assert secret not in "\n".join(lines(findings, Texts.of(lang)))


def test_sites_and_policy_are_checked_as_by_their_own_commands(
    patient: Patient, tmp_path: Path
) -> None:
    assert outcomes(check_sites(patient)) == {"sites": "none"}
    assert outcomes(check_policy(patient)) == {"policy": "none"}
    ours = ROOT / "examples"
    fine = having(patient, sites_file=ours / "sites.toml", policy_file=ours / "policy.toml")
    assert outcomes([*check_sites(fine), *check_policy(fine)])["sites"] == "fine"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[default.overload]\nact_w = 'a lot'\n")
    [finding] = check_policy(having(patient, policy_file=wrong))
    assert (finding.outcome, "a lot" in str(finding.facts["reason"])) == ("wrong", True)
    assert outcomes(check_sites(having(patient, sites_file=wrong))) == {"sites": "wrong"}
    missing = having(patient, policy_file=tmp_path / "none", sites_file=tmp_path / "none")
    assert outcomes(check_policy(missing)) == {"policy": "wrong"}
    assert outcomes(check_sites(missing)) == {"sites": "wrong"}
    wrong.write_text('[site."town/nowhere".overload]\nact_w = 900\n')
    astray = having(patient, policy_file=wrong, sites_file=ours / "sites.toml")
    assert outcomes(check_policy(astray)) == {"policy": "nowhere"}


def test_secrets_that_others_may_read_are_named(patient: Patient, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    secret = folder / "chargewatch_broker__password"
    secret.write_text("x")
    secret.chmod(0o600)
    add_token(tmp_path, "admin", "write")
    here = having(patient, secrets_dir=folder)
    assert outcomes(check_files(here)) == {"files": "fine"}
    secret.chmod(0o640)
    assert outcomes(check_files(here)) == {"files": "fine"}, "root's, and a group's"
    secret.chmod(0o644)
    [finding] = check_files(here)
    assert (finding.outcome, finding.facts["files"]) == ("exposed", str(secret))
    (tmp_path / "tokens").chmod(0o644)
    [finding] = check_files(patient)
    assert (finding.outcome, finding.facts["files"]) == ("exposed", str(tmp_path / "tokens"))


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        (space(50 * GIB), "fine"),
        (space(2 * GIB), "fine"),
        (space(900 * MIB), "low"),
        (space(100 * MIB, 1 * GIB), "full"),
        (space(50 * GIB, inodes=0.04), "low"),
        (space(50 * GIB, inodes=0.005), "full"),
    ],
)
def test_a_disk_that_fills_up_is_told_early(left: os.statvfs_result, outcome: str) -> None:
    assert judge_space("var", left, 0, 0.0).outcome == outcome


def test_a_disk_is_judged_by_how_fast_it_fills() -> None:
    assert judge_space("var", space(50 * GIB), 100 * GIB, 30).facts["days_left"] == 15
    assert judge_space("var", space(50 * GIB), 10 * GIB, 30).outcome == "fine"
    assert judge_space("var", space(50 * GIB), 10 * GIB, 0.1).outcome == "fine", "too early"


def test_a_folder_that_cannot_be_written_is_a_failure(patient: Patient, tmp_path: Path) -> None:
    assert outcomes(check_disk(patient)) == {"disk": "fine"}
    assert outcomes(check_disk(replace(patient, space=lambda _: space(MIB)))) == {
        "disk": "full"
    }
    nowhere = having(patient, data_dir=tmp_path / "none")
    assert outcomes(check_disk(nowhere)) == {"disk": "none"}
    assert outcomes(check_disk(having(patient, data_dir=Path("/proc")))) == {
        "disk": "unwritable"
    }


# --- the ledger ---------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def commit(ledger: Ledger, batch: Commit) -> None:
    asyncio.run(ledger.commit(batch))


def heard(at: datetime) -> Commit:
    report = Report(device=DeviceId("a/b/c"), at=at, received_at=at, identity="1", readings=())
    return Commit(now=at, reports=[report], journal=packed([report]))


def notification(at: datetime) -> Commit:
    alert = Alert(
        key=AlertKey("smoke", DeviceId("a/b/c")),
        severity=Severity.CRITICAL,
        state=State.FIRING,
        began_at=at,
        since=at,
        evidence=Evidence(),
    )
    return Commit(now=at, to_tell=[ToTell("k", alert.episode, "firing", "webhook", 0, alert)])


def test_without_a_ledger_there_is_nothing_to_check(patient: Patient) -> None:
    assert outcomes(check_ledger(patient)) == dict.fromkeys(OF_THE_LEDGER, "none")


def test_a_ledger_in_use_and_one_at_rest_are_looked_into(
    patient: Patient, ledger: Ledger
) -> None:
    commit(ledger, heard(NOW - 5 * MINUTE))
    wanted = dict.fromkeys(OF_THE_LEDGER, "fine")
    assert outcomes(check_ledger(patient)) == wanted
    ledger.close()
    before = sorted(patient.settings.data_dir.iterdir())
    assert outcomes(check_ledger(patient)) == wanted
    assert sorted(patient.settings.data_dir.iterdir()) == before, "nothing is left behind"
    again = open_ledger(patient.ledger)
    commit(again, heard(NOW))
    again.close()


def test_messages_that_stopped_are_noticed(patient: Patient, ledger: Ledger) -> None:
    assert outcomes(check_ledger(patient))["messages"] == "never"
    commit(ledger, heard(NOW - HOUR - MINUTE))
    assert outcomes(check_ledger(patient))["messages"] == "old"
    area, site = Area(id="a", name=Name("甲", "A")), Site(id="a/b", area="a", name=Name("", ""))
    detector = Device(
        id=DeviceId("a/b/c"), site="a/b", dialect="native", name="a/b/c", kind=Kind.SMOKE
    )
    commit(ledger, Commit(now=NOW, registered=[area, site, replace(detector, added_at=NOW)]))
    assert outcomes(check_ledger(patient))["messages"] == "fine", "detectors say little"
    ledger.close()


def test_a_history_that_falls_behind_is_noticed_by_the_journal(
    patient: Patient, ledger: Ledger
) -> None:
    commit(ledger, heard(NOW - 3 * HOUR))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE journal SET messages = 250000")
    [finding] = [each for each in check_ledger(patient) if each.check == "journal"]
    assert finding == found("journal", "behind", messages=150_000, hours=3.0)
    ledger.close()


def test_notifications_that_wait_or_were_refused_are_noticed(
    patient: Patient, ledger: Ledger
) -> None:
    commit(ledger, notification(NOW - 5 * MINUTE))
    assert outcomes(check_ledger(patient))["notifications"] == "fine"
    later = replace(patient, now=NOW + 6 * MINUTE)
    [finding] = [each for each in check_ledger(later) if each.check == "notifications"]
    assert finding == found("notifications", "waiting", channels="webhook")

    async def refuse() -> None:
        [due] = await ledger.read(lambda c: worklists.due(c, "webhook", NOW))
        await ledger.write(
            lambda c: outbox.mark_failed(c, due, "HTTP 404", NOW, Reason.REFUSED_FOR_GOOD)
        )

    asyncio.run(refuse())
    assert outcomes(check_ledger(later))["notifications"] == "given_up"
    week = replace(patient, now=NOW + 7 * DAY)
    assert outcomes(check_ledger(week))["notifications"] == "fine"
    ledger.close()


def test_a_log_that_somebody_changed_is_noticed(patient: Patient, ledger: Ledger) -> None:
    def write(connection: sa.Connection) -> None:
        for number in range(3):
            append_event(connection, str(number), NOW, "told", "log", "")

    asyncio.run(ledger.write(write))
    ledger.close()
    with sqlite3.connect(patient.ledger) as connection:
        connection.execute("DROP TRIGGER alert_events_no_update")
        connection.execute("UPDATE alert_events SET who = 'nobody' WHERE id = 2")
    connection.close()
    [finding] = [each for each in check_ledger(patient) if each.check == "log"]
    assert finding == found("log", "broken", log="alert_events", line=2)


@pytest.mark.parametrize(("version", "outcome"), [("0001", "older"), ("9999", "newer")])
def test_a_ledger_of_another_version_is_not_looked_into(
    patient: Patient, ledger: Ledger, version: str, outcome: str
) -> None:
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (version,))
    ledger.close()
    wanted = dict.fromkeys(OF_THE_LEDGER, "none") | {"ledger": outcome}
    assert outcomes(check_ledger(patient)) == wanted


def test_a_file_that_is_no_ledger_is_damaged(patient: Patient) -> None:
    patient.ledger.write_bytes(b"not a database, whatever it is" * 100)
    assert outcomes(check_ledger(patient))["ledger"] == "damaged"


def test_a_page_that_was_overwritten_is_damage(patient: Patient, ledger: Ledger) -> None:
    for minutes in range(300):
        commit(ledger, heard(NOW - minutes * MINUTE))
    ledger.close()
    content = bytearray(patient.ledger.read_bytes())
    content[-4096 * 6 : -4096] = b"\xff" * (4096 * 5)
    patient.ledger.write_bytes(content)
    assert outcomes(check_ledger(patient))["ledger"] == "damaged"


# --- what is judged by figures alone -------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "in_step", "outcome"),
    [
        (None, True, "fine"),
        (NOW - DAY, True, "fine"),
        (NOW - DAY, False, "unsynchronised"),
        (NOW - DAY, None, "unknown"),
        (NOW + 2 * timedelta(seconds=1), None, "unknown"),
        (NOW + HOUR, True, "set_back"),
    ],
)
def test_a_clock_that_was_set_back_or_that_nobody_sets_is_noticed(
    newest: datetime | None, *, in_step: bool | None, outcome: str
) -> None:
    assert judge_clock(NOW, newest, in_step).outcome == outcome


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        (90 * DAY, "fine"),
        (30 * DAY, "fine"),
        (29 * DAY, "soon"),
        (7 * DAY, "soon"),
        (6 * DAY, "ending"),
        (-DAY, "ending"),
    ],
)
def test_a_certificate_is_told_of_a_month_before_its_end(left: timedelta, outcome: str) -> None:
    [finding] = judge_certificate("broker", NOW + left, NOW)
    assert finding.outcome == outcome
    assert judge_certificate("broker", None, NOW) == []


def test_who_gets_in_at_the_broker_is_judged_point_by_point() -> None:
    def judged(*refused: str, readable: str = "", open_to_all: bool = False) -> list[str]:
        findings = judge_access(list(refused), readable=readable, open_to_all=open_to_all)
        return [finding.outcome for finding in findings]

    assert judged() == ["fine"]
    assert judged("a", "b", readable="broker", open_to_all=True) == [
        "subscription",
        "open",
        "plain",
    ]


@pytest.mark.parametrize(
    ("host", "outside", "in_container"),
    [
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("localhost", True, True),
        ("10.0.0.1", False, False),
        ("mosquitto", False, True),
        ("broker.example.org", False, False),
    ],
)
def test_only_what_is_near_may_do_without_tls(
    host: str, *, outside: bool, in_container: bool
) -> None:
    assert is_near(host, in_container=False) is outside
    assert is_near(host, in_container=True) is in_container


def test_the_version_that_is_shown_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


@pytest.mark.parametrize(
    ("there", "expected", "outcome"),
    [
        ({"a", "b", "x"}, {"a", "b"}, "fine"),
        ({"a"}, {"a", "b"}, "no_dashboards"),
        ({"x"}, set(), "fine"),
        (set(), set(), "no_dashboards"),
    ],
)
def test_dashboards_that_grafana_lacks_are_named(
    there: set[str], expected: set[str], outcome: str
) -> None:
    finding = judge_dashboards("http://grafana", there, expected)
    assert finding.outcome == outcome
    if expected and outcome == "no_dashboards":
        assert finding.facts["missing"] == "b"


def of_1(*policies: list[object]) -> dict[str, object]:
    series = {"columns": ["name", "duration", "default"], "values": list(policies)}
    return {"results": [{"series": [series]}]}


def of_2(**seconds: int) -> dict[str, object]:
    return {
        "buckets": [
            {"name": name.replace("__", "/"), "retentionRules": [{"everySeconds": every_s}]}
            for name, every_s in seconds.items()
        ]
    }


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (
            of_1(["long", "0s", False], ["autogen", "9600h0m0s", True]),
            {Kept.READINGS: 9_600 * 3_600, Kept.LONG: 0},
        ),
        (of_1(["autogen", "0s", True]), {Kept.READINGS: 0}),
        (
            of_2(chargewatch=34_560_000, chargewatch__long=0, other=5),
            {Kept.READINGS: 34_560_000, Kept.LONG: 0},
        ),
        ({"buckets": [{"name": "chargewatch", "retentionRules": []}]}, {Kept.READINGS: 0}),
        ({"buckets": []}, {}),
        ({"results": [{"error": "database not found"}]}, {}),
    ],
)
def test_every_influxdb_says_how_long_it_keeps(
    answer: dict[str, object], places: dict[Kept, float]
) -> None:
    assert kept_for_s(answer, "chargewatch") == places


@pytest.mark.parametrize(
    ("places", "outcome"),
    [
        ({Kept.READINGS: 400 * 86_400, Kept.LONG: 0}, "fine"),
        ({Kept.READINGS: 0, Kept.LONG: 0}, "fine"),
        ({Kept.READINGS: 7 * 86_400, Kept.LONG: 0}, "retention"),
        ({Kept.READINGS: 0}, "no_bucket"),
        ({}, "no_bucket"),
    ],
)
def test_readings_that_are_kept_for_too_short_are_noticed(
    places: dict[Kept, float], outcome: str
) -> None:
    assert judge_retention(InfluxSettings(), places, 400, "1").outcome == outcome


def test_a_part_of_the_service_that_is_not_well_is_named() -> None:
    def part(name: str, *, ok: bool, vital: bool) -> dict[str, object]:
        return {"name": name, "ok": ok, "vital": vital, "reason": "no space"}

    well, history = part("broker", ok=True, vital=True), part("history", ok=False, vital=False)
    assert judge_parts("here", [well]).outcome == "fine"
    assert judge_parts("here", [well, history]) == found(
        "service", "partly", reason="history: no space"
    )
    ledger = part("ledger", ok=False, vital=True)
    assert judge_parts("here", [ledger, history]).outcome == "unwell"
