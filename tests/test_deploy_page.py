"""docs/deploy.md: every command that it shows exists, with the options it is given."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest
import typer

from api.cli import app
from tests.deployment import ROOT, rendered
from tests.test_docs import COMMENT, blocks

pytest_plugins = ["tests.deploy_fixtures"]
PAGES = ("docs/deploy.md", "docs/deploy.zh-CN.md")
OURS = re.compile(
    r"(?:\./chargewatch|exec chargewatch chargewatch|run --rm (?:--no-deps )?(?:-v \S+ )?\w+)"
    r" ((?:\\\n|[^|;&()\n\"])+)"
)
COMPOSED = re.compile(
    r"docker compose (?:exec|restart|run --rm --no-deps -v \S+|run --rm) (\w+)"
)


def shown(page: str) -> Iterator[list[str]]:
    """Yield the arguments of every command of ours on a page."""
    for block in blocks(page, "sh"):
        for found in OURS.findall(COMMENT.sub("", block)):
            yield shlex.split(found.replace("\\\n", " "), comments=True)


def test_both_languages_have_the_same_commands() -> None:
    english, chinese = (
        [COMMENT.sub("", block) for block in blocks(page, "sh")] for page in PAGES
    )
    assert english == chinese


@pytest.mark.parametrize("arguments", list(shown(PAGES[0])), ids=" ".join)
def test_every_command_of_ours_is_understood(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = arguments
    while isinstance(command, click.Group):
        name, *rest = rest
        assert name in command.commands, arguments
        command = command.commands[name]
    command.make_context(command.name, list(rest))


def test_every_container_that_is_named_is_one() -> None:
    text = (ROOT / PAGES[0]).read_text(encoding="utf-8")
    named = set(COMPOSED.findall(text))
    assert named == {"chargewatch", "influxdb", "grafana", "manager"}


def test_every_service_of_compose_is_named(ready_project: Any) -> None:
    text = (ROOT / PAGES[0]).read_text(encoding="utf-8")
    assert all(name in text for name in rendered(ready_project, "demo")["services"])
