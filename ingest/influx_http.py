"""Requests to an InfluxDB, one at a time, and what its answers mean to us.

The official client does the HTTP. Its batching mode is not used: that loses data without a
word (influxdb-client-python #198).
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import msgspec
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from ingest.history import HistoryUnavailable
from ingest.influx_writing import Rejection
from ingest.influxql import is_missing, refusal
from ingest.measurements import LONG, Kept

T = TypeVar("T")

TRIES = 3
RETRY_FIRST_S = 0.1
"""Short: whoever has to wait longer for the server lets the journal wait instead."""

WRITE_TIMEOUT_MS, QUERY_TIMEOUT_MS = 10_000, 30_000
SAYS_CHARS_MAX = 300

ABOUT_THE_LINES = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
SERVER_TROUBLE = 500


class InfluxAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where an InfluxDB is, and who we are there."""

    url: str
    database: str
    org: str = ""
    token: str = ""
    """Of InfluxDB 2; of 1.8: user:password."""
    ca_file: Path | None = None

    def bucket(self, kept: Kept) -> str:
        return self.database if kept is Kept.READINGS else f"{self.database}/{LONG}"

    def with_token(self, token: str) -> "InfluxAddress":
        return msgspec.structs.replace(self, token=token)

    def __repr__(self) -> str:
        """Leave out the token: this is what logs show."""
        return f"InfluxAddress({self.url!r}, {self.database!r})"


class InfluxHttp:
    """Requests, tried a few times. May be used by several threads."""

    def __init__(self, address: InfluxAddress) -> None:
        self.address = address
        self._client: InfluxDBClient | None = InfluxDBClient(
            address.url,
            address.token,
            org=address.org,
            enable_gzip=True,
            timeout=WRITE_TIMEOUT_MS,
            ssl_ca_cert=None if address.ca_file is None else str(address.ca_file),
        )

    @property
    def closed(self) -> bool:
        return self._client is None

    def write(self, bucket: str, body: bytes) -> Rejection | None:
        """Write to a bucket; return the server's no, if it is one to these lines."""

        def once(client: InfluxDBClient) -> Rejection | None:
            try:
                client.write_api(write_options=SYNCHRONOUS).write(
                    bucket, self.address.org, record=body
                )
            except ApiException as error:
                return _rejection(error)
            return None

        return self.tried(once)

    def query(self, statement: str) -> bytes:
        """Return the body of the answer to InfluxQL."""

        def once(client: InfluxDBClient) -> bytes:
            answer = client.api_client.call_api(
                "/query",
                "POST",
                query_params=[("db", self.address.database), ("epoch", "ns")],
                header_params={
                    "Accept": "application/json",
                    "Content-Type": "application/x-www-form-urlencoded",
                },
                post_params=[("q", statement), ("chunked", "true")],  # else it may be cut short
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=QUERY_TIMEOUT_MS,
            )
            body: bytes = answer.data
            return body

        return self.tried(once)

    def version(self) -> str:
        """Return what the server says it is, as 1.8.10 or 2.7.6; "" if it does not say."""

        def once(client: InfluxDBClient) -> str:
            _, _, headers = client.api_client.call_api("/ping", "GET")
            said: str = headers.get("X-Influxdb-Version", "")
            return said.removeprefix("v")

        return self.tried(once)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def tried(self, once: Callable[[InfluxDBClient], T]) -> T:
        """Try a few times what may go better the next time; raises HistoryUnavailable."""
        pause_s = RETRY_FIRST_S
        for tries_left in reversed(range(TRIES)):
            client = self._client
            if client is None:
                raise HistoryUnavailable("the way to InfluxDB is closed")
            try:
                return once(client)
            except ApiException as error:
                if tries_left == 0 or not _may_pass(error):
                    raise _unavailable(self.address.url, error) from error
            except (HTTPError, OSError) as error:
                if tries_left == 0:
                    raise HistoryUnavailable(f"{self.address.url}: {error}") from error
            time.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try returns or raises")


def _rejection(error: ApiException) -> Rejection:
    """Return the server's no to the lines; raise the error again if it is not about them."""
    said = _says(error)
    rejection = Rejection(said)
    if rejection.partial or (error.status in ABOUT_THE_LINES and not is_missing(said)):
        return rejection
    raise error


def _may_pass(error: ApiException) -> bool:
    """Say whether the same request may go better soon."""
    busy = error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= SERVER_TROUBLE
    return busy and not is_missing(_says(error))  # 1.6 says 500 where 404 is meant


def _unavailable(url: str, error: ApiException) -> HistoryUnavailable:
    said = _says(error)
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return HistoryUnavailable(f"{url} does not accept the token: {said}")
    if error.status == HTTPStatus.BAD_REQUEST or is_missing(said):
        return refusal(said)
    if not error.status:  # a certificate that is not trusted, for one
        return HistoryUnavailable(f"{url}: {said}")
    return HistoryUnavailable(f"{url}: HTTP {error.status}: {said}")


def _says(error: ApiException) -> str:
    """Return the server's own words, or what stands for them."""
    body = error.body or b""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    try:
        words = msgspec.json.decode(text, type=_Words)
    except msgspec.DecodeError:
        said = text
    else:
        said = words.error or words.message
    return (said.strip() or str(error.reason))[:SAYS_CHARS_MAX]


class _Words(msgspec.Struct, frozen=True):
    """How InfluxDB 1 (`error`) and 2 (`message`) say what is wrong."""

    error: str = ""
    message: str = ""
