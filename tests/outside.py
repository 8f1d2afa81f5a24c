"""A service of docker-compose.yml run without containers: its command, its environment, its files.

Every path that is mounted into the container becomes the path that is mounted, and every name
of another container the address where that really runs. Nothing else is changed, and nothing
of our own environment is inherited.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.deployment import Json, Said
from tests.image import APP, Dockerfile

WITHIN_S = 60


class Outside:
    """One service of the rendered configuration."""

    def __init__(
        self, config: Json, name: str, *, app: Path, volumes: Path, names: Mapping[str, str]
    ) -> None:
        service = config["services"][name]
        self._ours = service["image"].startswith("chargewatch:")
        self._command: list[str] = service["command"] or []
        self._healthcheck: list[str] = service["healthcheck"].get("test", ["CMD"])[1:]
        self._said: dict[str, str] = service.get("environment", {})
        self._here = dict(names) | {APP: str(app)}
        for mount in service.get("volumes", []):
            source = mount["source"]
            if mount["type"] == "volume":
                source = str(volumes / source)
                Path(source).mkdir(exist_ok=True)
            self._here[mount["target"]] = source
        for secret in service.get("secrets", []):
            self._here[secret["target"]] = config["secrets"][secret["source"]]["file"]

    @property
    def command(self) -> list[str]:
        """What the container runs."""
        given = self._command
        whole = Dockerfile().command(*given) if self._ours else given
        return [self.here(each) for each in whole]

    @property
    def healthcheck(self) -> list[str]:
        """What Docker asks it from time to time."""
        return [self.here(each) for each in self._healthcheck]

    @property
    def environment(self) -> dict[str, str]:
        said = (Dockerfile().environment() if self._ours else {}) | self._said
        del_path = {name: self.here(value) for name, value in said.items() if name != "PATH"}
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin"} | del_path

    def here(self, text: str) -> str:
        """Put what is here in the place of what is in the container, the longest first."""
        for there in sorted(self._here, key=len, reverse=True):
            text = text.replace(there, self._here[there])
        return text

    def run(self, command: list[str], folder: Path) -> Said:
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)
