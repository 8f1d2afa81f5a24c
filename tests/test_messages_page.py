"""What docs/messages.md shows is true: its examples are decoded, its tables compared."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from ingest.codecs import all_codecs
from ingest.codecs.native import BODIES, EventName
from ingest.decode import decode_lines
from rules.readings import QUANTITIES

PAGE = (Path(__file__).parent.parent / "docs" / "messages.md").read_text(encoding="utf-8")
NOW = datetime(2026, 1, 13, 23, 30, tzinfo=UTC)


def examples(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("branch", BODIES)
def test_the_example_of_each_branch_is_a_message(branch: str) -> None:
    for example in examples(f"json {branch}"):
        assert msgspec.json.decode(example, type=BODIES[branch])


def test_the_table_has_every_quantity_in_its_order() -> None:
    table = PAGE.partition("## Quantities")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == QUANTITIES


def test_every_event_and_every_dialect_is_on_the_page() -> None:
    for name in (*get_args(EventName), *(codec.name for codec in all_codecs())):
        assert f"`{name}`" in PAGE


def test_decode_answers_as_the_page_says() -> None:
    (example,) = examples("jsonl")
    lines = example.splitlines()
    replies = decode_lines((line.encode() for line in lines[::2]), lambda: NOW)
    assert [reply.decode().rstrip("\n") for reply in replies] == lines[1::2]
