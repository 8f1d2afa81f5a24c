"""The API's own description, turned against it: whatever is asked is answered as described.

Walks whatever routes the description has, so a new one is covered as soon as it is there.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

DESCRIBED_AT = "/api/v1/openapi.json"
REFUSALS = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422, 429})
"""What `default` in the description stands for; 400 is for what is not even HTTP."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
UNTOUCHED = frozenset({"/api/v1/drills"})
"""Beginning one publishes to a broker, which the small world does not have: it waits for it."""
OWN_TOKEN = 1
"""Revoked by itself, it would be let in nowhere after that."""


@dataclass
class Found:
    asked: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    troubles: list[str] = field(default_factory=list)


def fuzz(url: str, token: str, *, examples: int, number: int, until_s: float) -> Found:
    """Ask every operation so many things of each mode; stop at `until_s` (monotonic)."""
    schema = schemathesis.openapi.from_url(f"{url}{DESCRIBED_AT}")
    found = Found()
    with requests.Session() as session:
        headers = {"Authorization": f"Bearer {token}"}
        for result in schema.get_all_operations():
            if not isinstance(result, Ok):
                found.troubles.append(str(result.err()))
                continue
            operation = result.ok()
            found.operations += 1
            for mode in MODES:
                if time.monotonic() < until_s:
                    asked = _Asked(session, headers, examples, number)
                    _ask(operation, mode, asked, found)
    return found


class _Asked(NamedTuple):
    session: requests.Session
    headers: dict[str, str]
    examples: int
    number: int


def _ask(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    asked: _Asked,
    found: Found,
) -> None:
    if mode is GenerationMode.NEGATIVE and not _takes_anything(operation):
        return

    @seed(asked.number)
    @settings(
        max_examples=asked.examples,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def each(case: Case[Any]) -> None:
        if case.method == "POST" and case.path in UNTOUCHED:
            case.body = {"site": "nowhere/at-all"}
        if case.method == "DELETE" and case.path_parameters.get("number") == OWN_TOKEN:
            case.path_parameters["number"] = OWN_TOKEN + 1
        response = case.call(session=asked.session, headers=asked.headers, timeout=20)
        found.asked += 1
        found.statuses[f"{case.method} {response.status_code}"] += 1
        name = f"{case.method} {case.formatted_path} -> {response.status_code}"
        if response.status_code >= 400 and response.status_code not in REFUSALS:
            found.troubles.append(f"{name}: {response.text[:300]}\n{case.as_curl_command()}")
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            words = "; ".join(str(each) for each in group.exceptions)
            found.troubles.append(f"{name}: {words[:600]}\n{case.as_curl_command()}")

    each()


def _takes_anything(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    parts: Iterable[Any] = (
        operation.path_parameters,
        operation.query,
        operation.headers,
        operation.body,
    )
    return any(len(part) for part in parts)
