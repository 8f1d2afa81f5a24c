"""How an InfluxDB 1 is set up: by statements of InfluxQL."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

from ingest.influx_http import InfluxHttp
from ingest.influx_roles import LONG_SHARD, Role, shard_of
from ingest.influxql import Series, bind, read_answer
from ingest.measurements import LONG

DEFAULT_POLICY = "autogen"
"""What InfluxDB 1 calls the retention policy that a database begins with."""


class Setup1:
    """A database with two retention policies, and a user for each role."""

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http
        self._database = http.address.database

    def places(self, keep: timedelta) -> Iterator[str]:
        database = self._database
        known = [name for series in self._ask("SHOW DATABASES") for [name] in series.values]
        if database not in known:
            self._ask(f'CREATE DATABASE "{database}"')
            yield f"database {database}: made"
        policies = {
            row["name"]: row
            for series in self._ask(f'SHOW RETENTION POLICIES ON "{database}"')
            for row in series.rows()
        }
        default = next((name for name, row in policies.items() if row["default"]), None)
        readings = f"readings are kept {keep.days} days"
        wanted = _literal(keep)
        if default is None:
            self._ask(
                f'CREATE RETENTION POLICY "{DEFAULT_POLICY}" ON "{database}" DURATION {wanted}'
                f" REPLICATION 1 SHARD DURATION {_literal(shard_of(keep))} DEFAULT"
            )
            yield f"retention policy {DEFAULT_POLICY}: made; {readings}"
        elif policies[default]["duration"] == _shown(keep):
            yield f"retention policy {default}: as it should be; {readings}"
        else:
            self._ask(
                f'ALTER RETENTION POLICY "{default}" ON "{database}" DURATION {wanted}'
                f" SHARD DURATION {_literal(shard_of(keep))}"
            )
            yield f"retention policy {default}: {readings} from now on"
        if LONG in policies:
            yield f"retention policy {LONG}: is there"
        else:
            self._ask(
                f'CREATE RETENTION POLICY "{LONG}" ON "{database}" DURATION INF REPLICATION 1'
                f" SHARD DURATION {_literal(LONG_SHARD)}"
            )
            yield f"retention policy {LONG}: made; facts are kept for ever"

    def token(self, role: Role) -> str:
        user, password = f"{self._database}-{role}", secrets.token_hex(24)
        users = [name for series in self._ask("SHOW USERS") for [name, _] in series.values]
        statement = (
            f'SET PASSWORD FOR "{user}" = $password'
            if user in users
            else f'CREATE USER "{user}" WITH PASSWORD $password'
        )
        self._ask(bind(statement, {"password": password}))
        allowed = "ALL" if role is Role.SERVICE else "READ"
        self._ask(f'GRANT {allowed} ON "{self._database}" TO "{user}"')
        return f"{user}:{password}"

    def _ask(self, statement: str) -> list[Series]:
        """Names in a statement are constants, or of the settings, which check them."""
        return read_answer(self._http.query(statement))


def _literal(duration: timedelta) -> str:
    return f"{duration // timedelta(hours=1)}h"


def _shown(keep: timedelta) -> str:
    """Return a duration as SHOW RETENTION POLICIES shows it."""
    return f"{keep // timedelta(hours=1)}h0m0s"
