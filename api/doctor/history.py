"""The history: the DuckDB file, or the InfluxDB."""

import ssl
from typing import Any

import duckdb
import httpx

from api.doctor.certificates import endpoint_of, judge_certificate, reached, reason_of
from api.doctor.finding import Finding, found
from api.doctor.patient import Patient
from api.settings import InfluxSettings
from ingest.measurements import LONG, Kept

HTTP_TIMEOUT_S = 2.5
DAY_S = 86_400
BY_HAND = "1."
"""How the versions of InfluxDB begin that know no buckets, but databases."""


async def check_history(patient: Patient) -> list[Finding]:
    if patient.settings.history.kind == "influxdb":
        return await _influxdb(patient)
    return [_duckdb(patient)]


def _duckdb(patient: Patient) -> Finding:
    path = patient.settings.data_dir / "history.duckdb"
    if not path.exists():
        return found("history", "none")
    try:
        with duckdb.connect(path, read_only=True) as connection:
            [(entry,)] = connection.execute("SELECT entry FROM journal_cursor").fetchall()
    except duckdb.IOException as error:
        if "lock" in str(error).casefold():
            return found("history", "in_use")
        return found("history", "unreadable", file=str(path), reason=_first_line(error))
    except duckdb.Error as error:
        return found("history", "unreadable", file=str(path), reason=_first_line(error))
    return found("history", "fine", where=str(path), detail=f"#{entry}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


async def _influxdb(patient: Patient) -> list[Finding]:
    influx = patient.settings.influx
    days = patient.settings.history.keep_days
    try:
        tls = ssl.create_default_context(cafile=influx.ca_file)
        until = await reached(endpoint_of(influx.url, tls))
        token = "" if influx.token is None else influx.token.get_secret_value()
        async with httpx.AsyncClient(
            base_url=influx.url,
            headers={"Authorization": f"Token {token}"} if token else {},
            timeout=HTTP_TIMEOUT_S,
            verify=tls,
            trust_env=False,
        ) as client:
            finding = await _look(client, influx, days)
    except (httpx.HTTPError, OSError) as error:
        return [found("history", "unreachable", where=influx.url, reason=reason_of(error))]
    return [finding, *judge_certificate(influx.url, until, patient.now)]


async def _look(client: httpx.AsyncClient, influx: InfluxSettings, days: int) -> Finding:
    version = (await client.get("/ping")).headers.get("X-Influxdb-Version", "").lstrip("v")
    if version.startswith(BY_HAND):
        answer = await client.get(
            "/query", params={"q": f'SHOW RETENTION POLICIES ON "{influx.database}"'}
        )
    else:
        answer = await client.get("/api/v2/buckets", params={"org": influx.org, "limit": 100})
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return found("history", "token", where=influx.url)
    places = kept_for_s(answer.json(), influx.database) if answer.is_success else {}
    return judge_retention(influx, places, days, version)


def judge_retention(
    influx: InfluxSettings, places: dict[Kept, float], days: int, version: str
) -> Finding:
    """Say whether there are both places, and readings are kept for as long as is set."""
    for kept, name in _places(influx.database).items():
        if kept not in places:
            return found("history", "no_bucket", where=influx.url, database=name)
    keeps_s = places[Kept.READINGS]
    if keeps_s and abs(keeps_s / DAY_S - days) >= 1:
        kept_days = round(keeps_s / DAY_S)
        return found(
            "history", "retention", database=influx.database, days=kept_days, wanted=days
        )
    return found("history", "fine", where=influx.url, detail=version)


def kept_for_s(answer: dict[str, Any], database: str) -> dict[Kept, float]:
    """Return the places that there are, and for how long an InfluxDB keeps each; 0: for ever.

    It understands what 1.x says of retention policies, and what 2 says of buckets.
    """
    if "buckets" in answer:
        ours = {name: kept for kept, name in _places(database).items()}
        return {
            ours[bucket["name"]]: float(
                (bucket.get("retentionRules") or [{}])[0].get("everySeconds", 0)
            )
            for bucket in answer["buckets"]
            if bucket["name"] in ours
        }
    policies = [
        dict(zip(series["columns"], values, strict=True))
        for result in answer.get("results", ())
        for series in result.get("series", ())
        for values in series.get("values", ())
    ]
    places: dict[Kept, float] = {}
    for policy in policies:
        if policy["name"] == LONG:
            places[Kept.LONG] = _seconds(policy["duration"])
        elif policy["default"]:
            places[Kept.READINGS] = _seconds(policy["duration"])
    return places


def _places(database: str) -> dict[Kept, str]:
    return {Kept.READINGS: database, Kept.LONG: f"{database}/{LONG}"}


def _seconds(duration: str) -> float:
    """Read a duration as InfluxDB 1 writes it: 9600h0m0s; 0s is for ever."""
    hours, _, rest = duration.rpartition("h")
    minutes, _, seconds = rest.rpartition("m")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds.rstrip("s") or 0)
