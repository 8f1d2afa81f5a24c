"""What the documents say is so: commands, settings, payloads, keys, links."""

import hashlib
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.message import Message as Headers
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

from api.channels.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from api.cli import app
from api.demo_summary import Summary
from api.policy_check import PARTS
from api.policy_file import PolicyFileWrong, read_policies
from api.policy_file import parsed as parsed_policy
from api.policy_shape import allowed, keys_of, parts_of, shown, tables
from api.settings import table
from api.sites import read_sites
from api.sites_file import AreaPart, DevicePart, SitePart
from ingest.clock import utc_now
from ingest.codecs import all_codecs
from ingest.decode import decode_lines
from ingest.intake import Intake
from ingest.ledger.outbox import Reason
from ingest.mqtt_connection import RECEIVE_MAX
from ingest.registry import Registry
from ingest.replay import Seen
from ingest.wire import PAYLOAD_BYTES_MAX, Message
from rules.alerts import Alert, State
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.policies import BUILT_IN, as_written
from rules.policy import Policy
from tests import history_page

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
MADE = {"var", "__pycache__", "node_modules"}
"""Folders that are made, not written; so are all whose names begin with a dot."""
NOW = datetime(2026, 1, 14, 12, tzinfo=UTC)
SECRET = b"a secret of this test"

COMMENT = re.compile(r"(?:^|  +)# .*$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PUBLISHED = re.compile(r"^mosquitto_pub -q 1 -t (\S+) -m '([^']*)'$", re.MULTILINE)

RAISED = {
    ("smoke", "trial/always-closed/smoke-1", None),
    ("after_hours", "trial/always-closed/plug-1", 1),
    ("after_hours", "trial/always-closed/pile-1", 1),
    ("overload", "trial/always-closed/pile-1", 1),
}
"""What the README says of its `mosquitto_pub` lines."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return [code for word, code in FENCE.findall(text_of(name)) if word == language]


def written(folder: Path = ROOT) -> Iterator[Path]:
    """Yield every file that somebody wrote."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in MADE:
            continue
        if path.is_dir():
            yield from written(path)
        else:
            yield path


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row of every table."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


# --- the READMEs --------------------------------------------------------------------------


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_settings_is_that_of_the_code(name: str) -> None:
    shown = [row for row in rows(text_of(name)) if row[0].startswith("`CHARGEWATCH_")]
    assert [(row[0], row[1]) for row in shown] == [
        (f"`{variable}`", f"`{default}`" if default else "") for variable, default, _ in table()
    ]
    assert all(row[2] for row in shown)


def test_the_english_table_has_the_words_of_the_code() -> None:
    shown = [row for row in rows(text_of("README.md")) if row[0].startswith("`CHARGEWATCH_")]
    assert [row[2] for row in shown] == [words for _, _, words in table()]


@pytest.mark.parametrize("name", READMES)
def test_every_command_is_named(name: str) -> None:
    commands = vars(typer.main.get_command(app))["commands"]
    assert commands
    for command in commands:
        assert re.search(rf"\./chargewatch\s{command}\b|make {command}\b", text_of(name)), (
            command
        )


@pytest.mark.parametrize("name", READMES)
def test_every_rule_is_named(name: str) -> None:
    named = {row[0].split()[0] for row in rows(text_of(name))}
    rules = rules_in_force()
    assert {f"`{rule.name}`" for rule in (*rules.socket_rules, *rules.device_rules)} <= named


@pytest.mark.parametrize("name", READMES)
def test_the_summary_of_the_demo_has_its_fields_and_each_is_explained(name: str) -> None:
    [summary] = [block for block in blocks(name, "json") if '"scenario"' in block]
    assert tuple(msgspec.json.decode(summary)) == Summary.__struct_fields__
    explained = " ".join(row[0] for row in rows(text_of(name)))
    assert all(f"`{field}`" in explained for field in Summary.__struct_fields__)


def test_both_languages_have_the_same_commands() -> None:
    for language in ("sh", "json", "python"):
        english, chinese = (
            [COMMENT.sub("", block) for block in blocks(name, language)] for name in READMES
        )
        assert english == chinese


def test_the_messages_sent_by_hand_raise_and_end_what_the_readme_says() -> None:
    sent = PUBLISHED.findall("\n".join(blocks("README.md", "sh")))
    intake = intake_of("examples/sites.toml")
    first, last = sent[:3], sent[3:]
    assert len(last) == 3
    raised = played(intake, first, NOW)
    assert {(a.key.rule, a.key.device, a.key.channel) for a in raised} == RAISED
    assert {alert.state for alert in raised} == {State.FIRING}
    ended = played(intake, last, NOW + timedelta(minutes=1))
    assert {(a.key.rule, a.key.device, a.key.channel) for a in ended} == RAISED
    assert {alert.state for alert in ended} == {State.RESOLVED}


def intake_of(sites: str) -> Intake:
    declared = read_sites(ROOT / sites, [codec.name for codec in all_codecs()], NOW.year)
    registry = Registry((), (), ())
    registry.declare(declared.areas, declared.sites, declared.devices, NOW)
    registry.apply(read_policies(ROOT / "examples/policy.toml"))
    engine = Engine(*rules_in_force(), registry)
    return Intake(all_codecs(), registry, engine, Seen(), lambda *_: ())


def played(intake: Intake, sent: Sequence[tuple[str, str]], now: datetime) -> list[Alert]:
    """Return what changes by these messages and the six seconds after them."""
    messages = [Message(topic, payload.encode(), now) for topic, payload in sent]
    at_once = intake.digest(messages, now)
    assert not at_once.refused
    later = intake.digest([], now + timedelta(seconds=6))
    return [change.alert for change in (*at_once.changes, *later.changes)]


def test_decode_answers_as_the_readme_says() -> None:
    [asked] = [block for block in blocks("README.md", "sh") if block.startswith("echo")]
    [answer] = [block for block in blocks("README.md", "json") if '"readings":[' in block]
    line = asked.removeprefix("echo '").partition("'")[0].encode()
    assert b"".join(decode_lines([line], utc_now)).decode() == answer


# --- signatures ---------------------------------------------------------------------------


def receivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("CHARGEWATCH_WEBHOOK__SECRET", SECRET.decode())
    for name in ("README.md", "docs/notifications.md"):
        [code] = blocks(name, "python")
        names: dict[str, Any] = {"__name__": "receiver"}
        exec(compile(code, name, "exec"), names)
        yield names["genuine"]


def test_the_receivers_that_are_shown_know_a_genuine_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body, fresh = b'{"rule":"smoke"}', int(utc_now().timestamp())
    for genuine in receivers(monkeypatch):
        headers = Headers()
        headers[TIMESTAMP_HEADER] = str(fresh)
        headers[SIGNATURE_HEADER] = signature(SECRET, str(fresh), body)
        assert genuine(SECRET, headers, body)
        assert not genuine(SECRET, headers, body + b" ")
        assert not genuine(b"another secret", headers, body)
        old = Headers()
        old[TIMESTAMP_HEADER] = str(fresh - 301)
        old[SIGNATURE_HEADER] = signature(SECRET, str(fresh - 301), body)
        assert not genuine(SECRET, old, body)


# --- the other pages ----------------------------------------------------------------------


@pytest.mark.parametrize("part", [AreaPart, SitePart, DevicePart])
def test_every_key_of_the_sites_file_is_explained_with_its_default(
    part: type[msgspec.Struct],
) -> None:
    chapter = {AreaPart: "areas.", SitePart: "sites.", DevicePart: "[devices"}[part]
    page = text_of("docs/sites.md")
    [section] = [each for each in page.split("\n## ") if each.startswith(f"`[{chapter}")]
    explained = {row[0].strip("`"): row[2] for row in rows(section) if row[0].startswith("`")}
    fields = msgspec.structs.fields(part)
    assert list(explained) == [field.name for field in fields]
    for field in fields:
        if field.required:
            assert explained[field.name].startswith("required")
        elif field.default is not None:
            literal = explained[field.name].split("`")[1]
            value = tomllib.loads(f"it = {literal}")["it"]
            assert msgspec.convert(value, field.type) == field.default


def rows_of_the_policy(table: str) -> list[list[str]]:
    """Return key, allowed and built-in value of each key, as docs/policy.md is to have them."""
    limits = getattr(Policy(), table)
    values = {key: as_written(getattr(limits, key)) for key in keys_of(table)}
    return [
        [f"`{key}`", allowed(table, key), f"`{shown(value)}`"] for key, value in values.items()
    ]


@pytest.mark.parametrize("table", tables())
def test_every_key_of_the_policy_file_is_explained_with_its_values(table: str) -> None:
    sections = text_of("docs/policy.md").split("\n### ")
    [section] = [each for each in sections if each.startswith(f"`{table}`\n")]
    explained = [row for row in rows(section) if row[0].startswith("`")]
    assert [row[:3] for row in explained] == rows_of_the_policy(table)
    assert all(row[3] for row in explained), "each says what it means"
    scope = " ".join(section.partition("|")[0].split())
    assert ("set it in" in scope.casefold()) is (len(parts_of(table)) < len(PARTS))
    assert all(f"`{part}`" in scope for part in parts_of(table) if "in `default`" in scope)


def test_no_table_is_explained_that_the_policy_file_does_not_have() -> None:
    named = re.findall(r"^### `(\w+)`$", text_of("docs/policy.md"), re.MULTILINE)
    assert named == list(tables())


def test_the_example_of_the_policy_page_is_right_and_its_mistakes_are_what_is_said() -> None:
    for name in ("docs/policy.md", *READMES):
        [layers] = blocks(name, "toml")
        assert parsed_policy(layers.encode()) != BUILT_IN
    [said] = blocks("docs/policy.md", "text")
    site = '[site."riverside/factory-dormitory".overload]'
    for text in ("\n[default.overload]\nhold = 30\n", f"{5 * chr(10)}{site}\nact_w = 750\n"):
        with pytest.raises(PolicyFileWrong) as caught:
            parsed_policy(text.encode(), named="policy.toml")
        assert str(caught.value) in said.splitlines()


def test_every_reason_of_a_notification_is_explained() -> None:
    page = text_of("docs/notifications.md")
    assert all(f"| `{reason}` |" in page for reason in Reason)


BROKERS = ("docs/mosquitto.conf", "deploy/mosquitto.conf")


def said_in(configuration: str) -> list[tuple[str, str]]:
    lines = text_of(configuration).splitlines()
    return [(w, v) for w, _, v in (x.partition(" ") for x in lines if x and x[0] != "#")]


@pytest.mark.parametrize("name", BROKERS)
def test_the_brokers_configuration_fits_the_service(name: str) -> None:
    said = dict(said_in(name))
    assert int(said["max_inflight_messages"]) >= RECEIVE_MAX
    assert int(said["max_packet_size"]) <= PAYLOAD_BYTES_MAX
    assert int(said["max_queued_messages"]) >= 1_000_000
    assert said["persistence"] == "true"
    if said["allow_anonymous"] == "true":
        assert said["listener"].endswith(" 127.0.0.1")


def test_the_trial_has_the_limits_of_the_real_broker() -> None:
    trial, real = (
        {each for each in said_in(name) if each[0].startswith(("max_", "autosave"))}
        for name in BROKERS
    )
    assert {
        each for each in real if each[0] not in {"max_connections", "max_keepalive"}
    } == trial


def test_what_debian_makes_of_the_brokers_configuration_keeps_us_on_the_loopback() -> None:
    page, file = text_of("docs/broker.md"), text_of("deploy/mosquitto.conf")
    [shown] = [block for block in blocks("docs/broker.md", "sh") if "sed -e" in block]
    edits = re.findall(r"-e (?:'([^']+)'|\"([^\"]+)\")", shown)
    assert len(edits) == 3
    commented = re.findall(r"-e (?:'([^']+)'|\"([^\"]+)\")", file)
    assert commented == edits, "the page and the file say the same"
    script = [word for one, two in edits for word in ("-e", one or two)]
    made = subprocess.run(
        ["sed", *script, str(ROOT / "deploy/mosquitto.conf")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = [line for line in made.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.startswith("listener")] == [
        "listener 1883 127.0.0.1",
        "listener 8883",
    ]
    assert not [line for line in lines if "/mosquitto/" in line]
    assert not [line for line in lines if line.startswith(("persistence", "log_dest"))]
    assert "per_listener_settings" in page


def test_decisions_are_numbered_and_have_their_parts() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [path.name[:3] for path in records]
    assert numbers == sorted(set(numbers))
    assert all(number.isdecimal() for number in numbers)
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:3]} · ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]
        assert re.search(r"\*\*Is\*\* .+\. \*\*Is not\*\* .+\.$", text, re.DOTALL)


# --- all files ----------------------------------------------------------------------------


def pages() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in written() if path.suffix == ".md"]


def anchors(text: str) -> set[str]:
    """Return what the headings of a page are called in a link, as GitHub does it."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", pages())
def test_every_link_leads_somewhere(name: str) -> None:
    text = text_of(name)
    for target in LINK.findall(FENCE.sub("", text)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def test_no_file_has_two_sides_of_a_merge() -> None:
    marks = [f"\n{mark * 7} ".encode() for mark in "<>"]
    torn = [path for path in written() if any(mark in path.read_bytes() for mark in marks)]
    assert not torn


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    private = [f"/{folder}/".encode() for folder in ("work", "home")]
    knowing = [path for path in written() if any(each in path.read_bytes() for each in private)]
    assert not knowing


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-dev.txt"])
def test_versions_are_pinned_with_hashes_and_without_an_index(name: str) -> None:
    pinned = text_of(name)
    assert "://" not in pinned
    assert "-index" not in pinned
    requirements = re.findall(r"^\S+==\S+", pinned, re.MULTILINE)
    assert requirements
    hashes = re.findall(r"--hash=(\w+):([0-9a-f]+)", pinned)
    assert len(hashes) >= len(requirements)
    assert all(len(digest) == hashlib.new(kind).digest_size * 2 for kind, digest in hashes)


# --- the history --------------------------------------------------------------------------


def test_the_page_of_the_history_lists_every_measurement_as_it_is() -> None:
    """If it does not: `.venv/bin/python -m tests.history_page` writes them."""
    assert history_page.shown().strip() == history_page.section().strip()
