"""Our image without a Docker engine: the files that the Dockerfile copies, and what it says."""

import json
import re
import shlex
import shutil
from pathlib import Path

from tests.deployment import ROOT

APP = "/app"


class Dockerfile:
    """The last stage of our Dockerfile, instruction by instruction."""

    def __init__(self) -> None:
        text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
        lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
        said = [line.split(maxsplit=1) for line in lines.splitlines() if line.strip()]
        self.all = [(word, rest) for word, rest in said]
        last = max(i for i, (word, _) in enumerate(self.all) if word == "FROM")
        self._stage = self.all[last:]

    def of(self, word: str) -> list[str]:
        """Return what the last stage says after this word."""
        return [rest for each, rest in self._stage if each == word]

    def copied(self) -> list[str]:
        """Return what is copied from the repository."""
        return [rest.split()[0] for rest in self.of("COPY") if not rest.startswith("--from")]

    def command(self, *arguments: str) -> list[str]:
        """Return the program and its arguments; without arguments, those of CMD."""
        [entry], [usual] = self.of("ENTRYPOINT"), self.of("CMD")
        return [*json.loads(entry), *(arguments or json.loads(usual))]

    def healthcheck(self) -> list[str]:
        [said] = self.of("HEALTHCHECK")
        found: list[str] = json.loads(said.partition("CMD ")[2])
        return found

    def environment(self) -> dict[str, str]:
        pairs = (pair for said in self.of("ENV") for pair in shlex.split(said))
        return dict(pair.split("=", 1) for pair in pairs)


def app_folder(folder: Path) -> Path:
    """Make /app as it is in the image: what is copied, and the packages."""
    app = folder / "app"
    app.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in Dockerfile().copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, app / name, ignore=unwanted)
        else:
            shutil.copy(source, app / name)
    (app / ".venv").symlink_to((ROOT / ".venv").resolve())
    return app
