"""What holds for all tests: their order, how they log, and how long an example may take."""

from collections.abc import Sequence

import pytest
import structlog
from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
"""No test fails because the machine had something else to do."""

structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        # Its own way with tracebacks writes out every variable of every frame, for seconds.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

LONG = (
    "test_system.py",
    "test_access_table.py",
    "test_kills.py",
    "test_flood_system.py",
    "test_delivery_lanes.py",
    "test_dashboard_queries.py",
    "test_console_duty_browser.py",
    "test_cut_system.py",
    "test_console_office_browser.py",
    "test_console_checks_browser.py",
    "test_simulator_connections.py",
    "test_outside_a_container.py",
    "test_attacks.py",
)
"""The longest first; the others follow in the order of their names.

Kills and floods have a test or three: the worker that takes the ones takes the others after
them, so that they do not disturb each other.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path.name, LONG))


def _place(file: str, long: Sequence[str]) -> int:
    return long.index(file) if file in long else len(long)
