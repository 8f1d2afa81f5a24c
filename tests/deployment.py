"""What the tests of the deployment share: the programs that check it, and what they say."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / ".venv" / "tools"
MADE = {"var"}
PROFILES = ("prod", "demo")
Json = dict[str, Any]


class Said(NamedTuple):
    status: int
    out: str
    err: str


def tool(name: str) -> str:
    """Return a program that scripts/tools fetches; without it: skipped, and a failure in CI."""
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell(f"no {name} on this machine; fetch it with: scripts/tools .venv/tools")
    return str(found)


def a_project(folder: Path) -> Path:
    """Make a folder look like a fresh clone: what is made, not written, is not there."""
    for each in ROOT.iterdir():
        if not each.name.startswith(".") and each.name not in MADE:
            (folder / each.name).symlink_to(each)
    return folder


def compose(project: Path, *arguments: str) -> Said:
    """Run docker-compose on a project's file; nothing of our environment is inherited."""
    done = subprocess.run(
        [tool("docker-compose"), *arguments],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(project)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def rendered(project: Path, profile: str) -> Json:
    """Return the configuration as docker-compose understands it, variables filled in.

    `$$` stays as it is in that output; here it is the `$` that a container is given.
    """
    said = compose(project, f"--profile={profile}", "config", "--format=json")
    assert said.status == 0, said.err
    found: Json = json.loads(said.out.replace("$$", "$"))
    return found
