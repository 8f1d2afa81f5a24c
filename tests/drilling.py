"""Drills of a running service, for the tests."""

from pathlib import Path

import pytest

from api.drill_command import DrillNotBegun, Outcome, rehearse
from api.settings import HttpSettings, Settings
from api.text import Texts
from tests.processes import eventually


def rehearsed(data: Path, port: int, wait_s: float, site: str = "") -> Outcome:
    """Run a drill as the command does, once the service lets another one begin."""
    settings = Settings(data_dir=data, http=HttpSettings(port=port), _env_file=None)  # type: ignore[call-arg]

    def tried() -> Outcome | None:
        try:
            return rehearse(settings, site, wait_s, Texts.of("en"))
        except DrillNotBegun as error:
            if "HTTP 429" in str(error):
                return None
            raise

    outcome = eventually("a drill may begin", tried)
    if outcome is None:
        pytest.fail("no drill")
    return outcome
