"""A service of docker-compose.yml without its container: command, environment and files.

Every path that is mounted into the container becomes the path that is mounted, and every name
of another container the address where that really runs. Nothing else is changed, and nothing
of our own environment is inherited.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.deployment import Json
from tests.image import APP, Dockerfile


class Outside:
    """One service of the rendered configuration."""

    def __init__(
        self, config: Json, name: str, *, app: Path, volumes: Path, here: Mapping[str, str]
    ) -> None:
        service = config["services"][name]
        self._ours = service["image"].startswith("chargewatch:")
        self._command: list[str] = service["command"] or []
        self._healthcheck: list[str] = service["healthcheck"].get("test", ["CMD"])[1:]
        self._said: dict[str, str] = service.get("environment", {})
        places = {APP: str(app)}
        for mount in service.get("volumes", []):
            source = Path(mount["source"])
            if mount["type"] == "volume":
                source = volumes / source
                source.mkdir(parents=True, exist_ok=True)
            places[mount["target"]] = str(source)
        for secret in service.get("secrets", []):
            target = Path(secret["target"])
            folder = volumes / f"{name}{target.parent}"
            folder.mkdir(parents=True, exist_ok=True)
            places[str(target.parent)] = str(folder)
            shutil.copy(config["secrets"][secret["source"]]["file"], folder / target.name)
        self._here = {**places, **here}
        longest_first = sorted(self._here, key=len, reverse=True)
        self._there = re.compile("|".join(map(re.escape, longest_first)))

    def command(self, *instead: str) -> list[str]:
        """What the container runs; or something else in it, as `docker compose exec` does."""
        given = list(instead) or self._command
        return list(map(self.here, Dockerfile().command(*given) if self._ours else given))

    @property
    def healthcheck(self) -> list[str]:
        """What Docker asks it from time to time."""
        return list(map(self.here, self._healthcheck))

    @property
    def environment(self) -> dict[str, str]:
        said = (Dockerfile().environment() if self._ours else {}) | self._said
        found = {name: self.here(value) for name, value in said.items()}
        return found | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}

    def here(self, text: str) -> str:
        """Put what is here in the place of what is in the container."""
        return self._there.sub(lambda found: self._here[found[0]], text)
