"""How long certificates last, and where one is found."""

import asyncio
import ssl
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from api.doctor.finding import Finding, found
from ingest.mqtt_visit import ends_at

CONNECTED_WITHIN_S = 2.0
SOON, ENDING = timedelta(days=30), timedelta(days=7)


class Endpoint(NamedTuple):
    """Somewhere to connect to; `tls` None: without."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def endpoint_of(url: str, tls: ssl.SSLContext) -> Endpoint:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    return Endpoint(
        parts.hostname or "", parts.port or (443 if secure else 80), tls if secure else None
    )


async def reached(endpoint: Endpoint) -> datetime | None:
    """Connect and go; return when the certificate ends, if there is one.

    Raises OSError: ssl.SSLError of it if the certificate is not believed.
    """
    async with asyncio.timeout(CONNECTED_WITHIN_S):
        _, writer = await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=endpoint.tls
        )
    try:
        tls = writer.get_extra_info("ssl_object")
        return None if tls is None else ends_at(tls)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def judge_certificate(whose: str, until: datetime | None, now: datetime) -> list[Finding]:
    """Say how long a certificate lasts; nothing where there is none."""
    if until is None:
        return []
    left = until - now
    outcome = "ending" if left < ENDING else "soon" if left < SOON else "fine"
    return [found("certificate", outcome, whose=whose, days=max(0, left.days))]


def reason_of(error: BaseException) -> str:
    """Return an error in a few words; those of the network hold no secrets."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
