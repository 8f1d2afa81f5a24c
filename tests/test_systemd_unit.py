"""The unit for a machine without Docker, as systemd itself reads it."""

import re
import subprocess
from pathlib import Path

import pytest

from api.settings import table
from tests.deployment import ROOT
from tests.processes import program

UNIT = ROOT / "deploy/systemd/chargewatch.service"
EXPOSURE_MAX = 20
"""Tenths of systemd's measure, from 0 (closed) to 100."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, as if the repository lay in /opt/chargewatch."""
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/chargewatch", str(ROOT)))
    return here


def analysed(*arguments: str) -> str:
    done = subprocess.run(
        [program("systemd-analyze", "systemd"), "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_systemd_understands_every_line(unit: Path) -> None:
    assert str(unit) not in analysed("verify", "--man=no", str(unit))


def test_it_is_as_closed_as_it_can_be(unit: Path) -> None:
    analysed("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", str(unit))


def test_it_sets_what_can_be_set() -> None:
    named = set(re.findall(r"^Environment=(CHARGEWATCH_\w+)=", UNIT.read_text(), re.MULTILINE))
    assert named
    assert named <= {variable for variable, _, _ in table()}
