"""The history: the DuckDB file, or the InfluxDB."""

import ssl
from typing import Any

import duckdb
import httpx

from api.doctor.certificates import endpoint_of, judge_certificate, reached, reason_of
from api.doctor.finding import Finding, found
from api.doctor.patient import Patient
from api.settings import InfluxSettings

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
        answer = await client.get(
            "/api/v2/buckets", params={"name": influx.database, "org": influx.org}
        )
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return found("history", "token", where=influx.url)
    keeps_s = kept_for_s(answer.json(), influx.database) if answer.is_success else None
    return judge_retention(influx.url, influx.database, keeps_s, days, version)


def judge_retention(
    where: str, database: str, keeps_s: float | None, days: int, version: str
) -> Finding:
    """Say whether readings are kept for as long as is set; 0 s: for ever, None: nowhere."""
    if keeps_s is None:
        return found("history", "no_bucket", where=where, database=database)
    if keeps_s and abs(keeps_s / DAY_S - days) >= 1:
        kept = round(keeps_s / DAY_S)
        return found("history", "retention", database=database, days=kept, wanted=days)
    return found("history", "fine", where=where, detail=version)


def kept_for_s(answer: dict[str, Any], database: str) -> float | None:
    """Return for how long an InfluxDB keeps a bucket, 0 for ever; None if there is none.

    It understands what 1.x says of retention policies, and what 2 says of buckets.
    """
    if "buckets" in answer:
        for bucket in answer["buckets"]:
            if bucket["name"] == database:
                rules = bucket.get("retentionRules") or [{}]
                return float(rules[0].get("everySeconds", 0))
        return None
    for result in answer.get("results", ()):
        for series in result.get("series", ()):
            for values in series.get("values", ()):
                policy = dict(zip(series["columns"], values, strict=True))
                if policy.get("default"):
                    return _seconds(policy["duration"])
    return None


def _seconds(duration: str) -> float:
    """Read a duration as InfluxDB 1 writes it: 9600h0m0s; 0s is for ever."""
    hours, _, rest = duration.rpartition("h")
    minutes, _, seconds = rest.rpartition("m")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds.rstrip("s") or 0)
