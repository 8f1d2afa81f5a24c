"""A project after its first start: made once for all tests of a file."""

from pathlib import Path

import pytest

from api.deploy.first_start import first_start
from ingest.clock import utc_now
from tests.deployment import a_project


@pytest.fixture(scope="module")
def ready_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = a_project(tmp_path_factory.mktemp("project"))
    first_start(folder, (), utc_now(), demo=True)
    return folder
