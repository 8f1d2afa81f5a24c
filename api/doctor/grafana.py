"""Grafana: whether it is there, knows our token and its data source, and has dashboards."""

import ssl
from pathlib import Path

import httpx
import msgspec

from api.doctor.certificates import endpoint_of, judge_certificate, reached, reason_of
from api.doctor.finding import Finding, found
from api.doctor.patient import Patient

HTTP_TIMEOUT_S = 2.5
SOURCES_MAX = 10
BUILT = Path(__file__).parents[2] / "dashboards" / "built"
NOT_FOR_US = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})


async def check_grafana(patient: Patient) -> list[Finding]:
    grafana = patient.settings.grafana
    if grafana.url is None:
        return [found("grafana", "none")]
    tls = ssl.create_default_context()
    headers = {}
    if grafana.token is not None:
        headers["Authorization"] = f"Bearer {grafana.token.get_secret_value()}"
    try:
        until = await reached(endpoint_of(grafana.url, tls))
        async with httpx.AsyncClient(
            base_url=grafana.url,
            headers=headers,
            timeout=HTTP_TIMEOUT_S,
            verify=tls,
            trust_env=False,
        ) as client:
            expected = expected_dashboards(BUILT, patient.settings.language)
            finding = await _look(client, grafana.url, expected)
    except (httpx.HTTPError, OSError) as error:
        return [found("grafana", "unreachable", where=grafana.url, reason=reason_of(error))]
    return [finding, *judge_certificate(grafana.url, until, patient.now)]


def expected_dashboards(folder: Path, language: str) -> set[str]:
    """Return the ids of the dashboards that are built for a language, if they are here."""
    return {
        str(msgspec.json.decode(path.read_bytes()).get("uid"))
        for path in (folder / language).glob("*.json")
    }


def judge_dashboards(where: str, there: set[str], expected: set[str]) -> Finding:
    missing = sorted(expected - there)
    if missing or not there:
        return found("grafana", "no_dashboards", where=where, missing=" ".join(missing) or "*")
    return found("grafana", "fine", where=where, dashboards=len(there))


async def _look(client: httpx.AsyncClient, where: str, expected: set[str]) -> Finding:
    health = await client.get("/api/health")
    if not health.is_success:
        reason = f"HTTP {health.status_code}"
        return found("grafana", "unreachable", where=where, reason=reason)
    if "Authorization" not in client.headers:
        return found("grafana", "no_token", where=where)
    boards = await client.get("/api/search", params={"type": "dash-db", "limit": 1000})
    if boards.status_code in NOT_FOR_US:
        return found("grafana", "token", where=where)
    boards.raise_for_status()
    finding = judge_dashboards(where, {board["uid"] for board in boards.json()}, expected)
    if finding.outcome == "fine" and (unwell := await _unwell_source(client)) is not None:
        return found("grafana", "source", source=unwell)
    return finding


async def _unwell_source(client: httpx.AsyncClient) -> str | None:
    """Return the name of a data source that does not answer; a viewer may not ask."""
    sources = await client.get("/api/datasources")
    if sources.status_code in NOT_FOR_US:
        return None
    sources.raise_for_status()
    for source in sources.json()[:SOURCES_MAX]:
        health = await client.get(f"/api/datasources/uid/{source['uid']}/health")
        if health.status_code != httpx.codes.NOT_FOUND and not health.is_success:
            return str(source["name"])
    return None
