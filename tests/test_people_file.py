"""People, posts and routes from a file, beside a running service and without one."""

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.people.file import PeopleFileWrong, parsed
from api.people.hours import hours_part, schedule
from api.people.parts import HoursPart, PersonPart, PostPart, RoutePart
from api.people.wrong import Complaint
from ingest.people import Role, Via
from rules.schedule import Schedule
from tests.http_doubles import World

pytest_plugins = ["tests.http_fixtures"]

FILE = """\
[people.wang-li]
name = "王力"
role = "manager"
areas = ["xuhui"]
ways = [{via = "sms", address = "13800001111"}, {via = "email", address = "wang@example.org"}]
duty = {hours = ["workdays 08:00-18:00", "sat 09:00-12:00"]}

[people."li.ming"]
name = "李明"
role = "police"
areas = ["xuhui", "berlin"]

[posts.xuhui-police]
name = {zh = "徐汇派出所", en = "Xuhui police station"}
area = "xuhui"
members = ["li.ming"]
checks_per_week = 3
[[posts.xuhui-police.ways]]
via = "webhook"
address = "https://hooks.example.org/desk"
secret = "0123456789abcdef0123"

[routes.danger]
severity = "critical"
tiers = [["post:xuhui-police"], ["role:manager"], ["person:wang-li"]]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHARGEWATCH_OUTGOING__ALLOW_PRIVATE", "true")
    (tmp_path / "people.toml").write_text(FILE)
    return tmp_path


def imported(folder: Path, *options: str, text: str = "") -> Result:
    file = folder / "people.toml"
    if text:
        file.write_text(text)
    return CliRunner().invoke(app, ["people", "import", str(file), *options])


def complaints(text: str) -> list[str]:
    with pytest.raises(PeopleFileWrong) as raised:
        parsed(text.encode())
    return str(raised.value).splitlines()


def known(here: World, runner: asyncio.Runner) -> None:
    """Have what the world's registry knows in the ledger, as after a start."""
    runner.run(here.wait(here.at - here.at))
    runner.run(here.watch.desk.ask(lambda _: None))


def test_a_file_is_taken_over_and_known_to_the_running_service(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    result = imported(folder)
    assert result.exit_code == 0, result.output
    assert "4 of 4 are new or changed" in result.stderr
    runner.run(here.watch.people.refresh())
    wang = here.directory.people["wang-li"]
    assert (wang.role, [way.via for way in wang.ways]) == (
        Role.MANAGER,
        [Via.SMS, Via.EMAIL],
    )
    assert wang.duty is not None
    assert wang.duty.holidays, "workdays go by the calendar of now"
    assert here.directory.posts["xuhui-police"].members == ("li.ming",)
    assert here.directory.routes["danger"].tiers[1] == ("role:manager",)
    listed = CliRunner().invoke(app, ["people", "list"]).stdout
    assert "person:wang-li  王力  manager  xuhui  email,sms  no password" in listed
    assert "route:danger  *  critical  post:xuhui-police → role:manager" in listed
    assert "0123456789abcdef" not in listed


def test_the_same_file_again_changes_nothing_and_what_it_does_not_name_stays(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    imported(folder)
    assert "0 of 4 are new or changed" in imported(folder).stderr
    less = FILE.split("[posts", maxsplit=1)[0].replace('"王力"', '"王力力"')
    assert "person wang-li: changed\n1 of 2" in imported(folder, text=less).stderr
    listed = CliRunner().invoke(app, ["people", "list"]).stdout
    assert "post:xuhui-police" in listed


def test_a_dry_run_only_says_what_it_would_do(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    assert "person wang-li: new" in imported(folder, "--dry-run").stderr
    assert CliRunner().invoke(app, ["people", "list"]).stdout == ""


def test_passwords_are_given_to_those_who_have_none_and_shown_once(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    first = imported(folder, "--passwords").stdout.splitlines()
    assert [line.split()[0] for line in first] == ["wang-li", "li.ming"]
    assert all(len(line.split()[1]) > 20 for line in first)
    assert imported(folder, "--passwords").stdout == ""
    assert " password" in CliRunner().invoke(app, ["people", "list"]).stdout


def test_every_mistake_has_its_line_and_then_nothing_is_kept(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    text = FILE.replace('areas = ["xuhui"]', 'areas = ["xuhiu"]')
    result = imported(folder, text=text)
    assert result.exit_code != 0
    where = folder / "people.toml"
    assert f"{where}:4: people.wang-li.areas.0: There is no area" in result.stderr
    assert 'Did you mean "xuhui"?' in result.stderr
    assert "routes" not in result.stderr, "they only name who is wrong"
    role = FILE.replace('["role:manager"]', '["role:manger"]')
    result = imported(folder, text=role)
    assert f"{where}:25: routes.danger.tiers.1.0: There is no role" in result.stderr
    assert CliRunner().invoke(app, ["people", "list"]).stdout == ""


def test_an_import_is_in_the_log_of_deeds(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    imported(folder)
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        found = ledger.execute("SELECT who, via, what, about FROM audit ORDER BY id").fetchall()
    assert found[0] == ("chargewatch", "command", "person.made", "wang-li")
    assert [row[2] for row in found] == [
        "person.made",
        "person.made",
        "post.made",
        "route.made",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[poeple.a]\n", "people:1: poeple: no such table; did you mean 'people'?"),
        ('people = "x"\n', "people:1: people: write a table for each: [people.some-id]"),
        (
            '\n[people.a]\nname = "A"\nrole = "king"\n',
            "people:4: people.a.role: Input should be 'police', 'manager'",
        ),
        (
            '[people.a]\nname = "A"\nrole = "police"\nphone = "110"\n',
            "people:4: people.a.phone: no such key",
        ),
        ('[people.A]\nname = "A"\nrole = "police"\n', "people:1: people.A: an id is small"),
        ('[people.a]\nrole = "police"\n', "people:1: people.a.name: Field required"),
        ("[people\n", "people: this is no TOML"),
        ('[people.a]\nname = "A"\nrole = "police"\n[people.a]\n', "people: this is no TOML"),
        (
            '[people.a]\nname = "A"\nrole = "police"\nways = [{via = "fax"}]\n',
            "people:4: people.a.ways.0.via: Input should be",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_line_and_key(text: str, said: str) -> None:
    first = complaints(text)[0]
    assert first.startswith(said), first


def test_a_file_that_is_no_text_or_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(PeopleFileWrong, match="UTF-8"):
        parsed(b"\xff\xfe")
    with pytest.raises(PeopleFileWrong, match="KiB"):
        parsed(b"#" * 5_000_000)
    (folder / "people.toml").unlink()
    assert "No such file" in imported(folder).stderr


@pytest.mark.parametrize(
    "words",
    [
        {"hours": ["08:00-18:00"]},
        {"hours": ["mon-fri 08:00-18:00", "sat-sun 10:00-12:00"]},
        {"hours": ["workdays 22:00-06:00", "restdays 00:00-24:00"], "zone": "Europe/Berlin"},
        {"hours": ["mon,wed-thu 08:00-09:30"]},
        {
            "hours": ["08:00-18:00"],
            "exceptions": [
                {"from": "2026-02-16", "to": "2026-02-20", "hours": []},
                {"from": "2026-02-21", "to": "2026-02-21", "hours": ["09:00-10:00"]},
                {"from": "2026-05-01", "to": "2026-05-03", "hours": []},
            ],
        },
    ],
)
def test_hours_are_shown_as_they_were_entered(words: dict[str, object]) -> None:
    wrong: list[Complaint] = []
    part = HoursPart.model_validate(words)
    made = schedule(part, (), wrong)
    assert isinstance(made, Schedule)
    assert (wrong, hours_part(made)) == ([], part)


def test_the_page_about_people_has_a_file_that_is_in_order(
    here: World, runner: asyncio.Runner, folder: Path
) -> None:
    known(here, runner)
    page = Path("docs/people.md").read_text()
    [shown] = re.findall(r"```toml people\n(.*?)```", page, re.DOTALL)
    result = imported(folder, text=shown)
    assert "3 of 3 are new" in result.stderr, result.output
    for key in [*PersonPart.model_fields, *PostPart.model_fields, *RoutePart.model_fields]:
        assert f"`{key}`" in page, key
