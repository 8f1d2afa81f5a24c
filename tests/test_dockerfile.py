"""The image: slim, nobody's, and made of nothing but what it needs."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.deployment import ROOT, rendered, tool
from tests.image import Dockerfile, app_folder

pytest_plugins = ["tests.deploy_fixtures"]

SECRET_OR_HEAVY = (
    ".env",
    ".git",
    ".venv",
    "var/deploy/secrets/influx_operator_token",
    "var/tokens",
    "docs/architecture.md",
    "tests/test_dockerfile.py",
    "deploy/mosquitto.conf",
    "api/__pycache__/cli.cpython-312.pyc",
)


def test_hadolint_finds_nothing() -> None:
    subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], check=True, timeout=60)


def scripts() -> list[Path]:
    """Return every shell script of the repository."""
    folders = (ROOT, ROOT / "scripts", ROOT / "deploy", ROOT / ".ci")
    files = (path for folder in folders for path in folder.iterdir() if path.is_file())
    return [path for path in files if re.match(rb"#!\S+(/| )(ba)?sh\b", path.read_bytes())]


def test_shellcheck_finds_nothing_in_any_script() -> None:
    found = scripts()
    assert {"chargewatch", "test", "mosquitto-run"} <= {path.name for path in found}
    subprocess.run([tool("shellcheck"), *map(str, found)], check=True, timeout=60)


def test_the_base_is_pinned_and_the_same_for_both_stages() -> None:
    bases = [rest.split()[0] for word, rest in Dockerfile().all if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])


def test_its_version_is_that_of_the_project(ready_project: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [label] = Dockerfile().of("LABEL")
    assert f'image.version="{project["version"]}"' in label
    image = rendered(ready_project, "prod")["services"]["chargewatch"]["image"]
    assert image == f"{project['name']}:{project['version']}"


def test_packages_are_those_that_are_pinned_and_no_compiler_is_needed() -> None:
    [install] = [rest for word, rest in Dockerfile().all if "pip install" in rest]
    assert "--require-hashes -r constraints.txt" in install
    assert "--only-binary :all:" in install
    assert "apt-get" not in str(Dockerfile().all)


def test_it_runs_as_nobody_of_this_machine() -> None:
    [user] = Dockerfile().of("USER")
    assert re.fullmatch(r"(\d{5,}):\1", user)


def test_it_does_not_try_to_write_to_its_root() -> None:
    environment = Dockerfile().environment()
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["CHARGEWATCH_DATA_DIR"] == "/var/lib/chargewatch"


def test_no_volume_is_made_for_those_that_keep_nothing() -> None:
    assert not Dockerfile().of("VOLUME")


# --- what reaches the builder -------------------------------------------------------------


def reaches_the_builder(path: str) -> bool:
    """Say what .dockerignore lets through: the last line that matches decides.

    Enough for our lines: a pattern is one level deep, and with `**/` it fits any level.
    """
    kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            anywhere = "**/" in line
            pattern = line.removeprefix("!").removeprefix("**/")
            levels = path.split("/") if anywhere else path.split("/")[:1]
            if any(fnmatch(level, pattern) for level in levels):
                kept = line.startswith("!")
    return kept


@pytest.mark.parametrize("path", SECRET_OR_HEAVY)
def test_nothing_secret_or_needless_reaches_the_builder(path: str) -> None:
    assert not reaches_the_builder(path)


def test_all_that_is_copied_reaches_the_builder() -> None:
    for word, rest in Dockerfile().all:
        if word == "COPY" and not rest.startswith("--from"):
            assert reaches_the_builder(rest.split()[0]), rest
            assert (ROOT / rest.split()[0]).exists(), rest


# --- what it is made of -------------------------------------------------------------------


EVERY_MODULE = """
import importlib, pathlib, pkgutil
for path in pathlib.Path().rglob("__init__.py"):
    name = ".".join(path.parent.parts)
    if not name.startswith(".") and ".migrations" not in name:
        package = importlib.import_module(name)
        for each in pkgutil.iter_modules(package.__path__, name + "."):
            if not each.ispkg and not each.name.endswith("__main__"):
                importlib.import_module(each.name)
"""


def test_what_is_copied_is_enough_for_every_module(tmp_path: Path) -> None:
    app = app_folder(tmp_path)
    before = sorted(app.rglob("*"))
    subprocess.run(
        [str(app / ".venv/bin/python"), "-c", EVERY_MODULE],
        cwd=app,
        env={"PYTHONPATH": str(app)} | Dockerfile().environment(),
        check=True,
        timeout=60,
    )
    assert sorted(app.rglob("*")) == before, "it wrote to its own folder"


def imported(file: Path) -> Iterator[str]:
    """Yield the first part of every module that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_what_is_installed_is_enough_for_every_import() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    installed, origins = set(map(plain, pinned)), packages_distributions()
    files = [path for name in Dockerfile().copied() for path in (ROOT / name).rglob("*.py")]
    assert files
    for module in {name for path in files for name in imported(path)}:
        names = set(map(plain, origins.get(module, ())))
        assert not names or names & installed, f"{module} is only there for development"


def test_the_image_and_compose_ask_the_same_whether_it_is_well(ready_project: Path) -> None:
    test = rendered(ready_project, "prod")["services"]["chargewatch"]["healthcheck"]["test"]
    assert test == ["CMD", *Dockerfile().healthcheck()]
