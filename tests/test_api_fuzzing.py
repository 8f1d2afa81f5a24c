"""Whatever is asked of the API, within its description or not, is answered as described."""

import os
import time
from pathlib import Path

import pytest

from tests.api_fuzzing import Found, fuzz
from tests.http_doubles import WRITE_TOKEN, somebody
from tests.served import served

EXAMPLES = int(os.environ.get("CHARGEWATCH_TEST_EXAMPLES", "5"))
"""Of each operation, of what fits and of what does not; benchmarks/fuzz_api.py takes more."""
WITHIN_S = 100.0
SEED = 28


@pytest.mark.parametrize("who", ["an operator's token", "a police officer"])
def test_whatever_is_asked_is_answered_by_what_is_described_and_never_by_500(
    tmp_path: Path, who: str
) -> None:
    with served(tmp_path) as here:
        token = WRITE_TOKEN if who.startswith("an operator") else here.token_of(somebody())
        until_s = time.monotonic() + WITHIN_S
        found = fuzz(here.url, token, examples=EXAMPLES, number=SEED, until_s=until_s)
        described = {
            f"{method.upper()} {path}"
            for path, operations in here.app.openapi()["paths"].items()
            for method in operations
        }
    assert found.troubles == []
    assert found.operations == len(described)
    assert found.asked > len(described)
    assert_it_got_in(found, who)


def assert_it_got_in(found: Found, who: str) -> None:
    """A run that was refused everything would have shown nothing."""
    assert found.statuses["GET 200"] > 20
    assert found.statuses["GET 404"]
    assert found.statuses["POST 422"]
    assert found.statuses["GET 401"] < found.statuses["GET 200"]  # no token, or a wrong one
    if who == "a police officer":
        assert found.statuses["GET 403"]
        assert found.statuses["POST 403"]
