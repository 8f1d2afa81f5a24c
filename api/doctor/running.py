"""The running service, as it says of itself, and the address at which people look for it."""

import ssl
from typing import Any

import httpx

from api.addresses import own_address
from api.doctor.certificates import endpoint_of, judge_certificate, reached, reason_of
from api.doctor.finding import Finding, found
from api.doctor.patient import Patient

HTTP_TIMEOUT_S = 2.5


async def check_service(patient: Patient) -> list[Finding]:
    where = own_address(patient.settings.http)
    try:
        async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S, trust_env=False) as client:
            answer = await client.get(f"{where}/health/ready")
        parts = answer.json()["parts"]
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
        return [found("service", "not_running", where=where, reason=reason_of(error))]
    return [judge_parts(where, parts)]


def judge_parts(where: str, parts: list[dict[str, Any]]) -> Finding:
    """Say which parts are not well, by what /health/ready answers."""
    unwell = [part for part in parts if not part["ok"]]
    if not unwell:
        return found("service", "fine", where=where)
    reason = "; ".join(f"{part['name']}: {part['reason']}" for part in unwell)
    vital = any(part["vital"] for part in unwell)
    return found("service", "unwell" if vital else "partly", reason=reason)


async def check_console(patient: Patient) -> list[Finding]:
    url = patient.settings.http.url
    tls = ssl.create_default_context()
    try:
        until = await reached(endpoint_of(url, tls))
        async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S, trust_env=False) as client:
            (await client.get(f"{url.rstrip('/')}/health/live")).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return [found("console", "unreachable", url=url, reason=reason_of(error))]
    return [found("console", "fine", url=url), *judge_certificate(url, until, patient.now)]
