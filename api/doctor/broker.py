"""The broker: whether we get there, get in, may hear what we must, and who else gets in."""

import ipaddress
import secrets
import ssl
from pathlib import Path

from msgspec.structs import replace

from api.addresses import AuthorityUnreadable, broker_address
from api.doctor.certificates import judge_certificate, reason_of
from api.doctor.finding import Finding, found
from api.doctor.patient import Patient
from ingest.codecs import all_codecs
from ingest.mqtt_connection import BrokerAddress, BrokerUnusable
from ingest.mqtt_visit import LoginRefused, visiting

CONTAINER = Path("/.dockerenv")
"""Docker puts it into every container."""


async def check_broker(patient: Patient) -> list[Finding]:
    settings = patient.settings.broker
    where = f"{settings.host}:{settings.port}"
    try:
        address = broker_address(settings)
    except AuthorityUnreadable as error:
        return [found("broker", "untrusted", where=where, reason=reason_of(error))]
    wanted = tuple(sorted({each for codec in all_codecs() for each in codec.filters}))
    try:
        async with visiting(address, _name(settings.client_id)) as visit:
            until = visit.certificate_ends_at
            refused = await visit.refused_filters(wanted)
    except LoginRefused as error:
        return [found("broker", "refused", where=where, reason=str(error))]
    except BrokerUnusable as error:
        return [found("broker", "unusable", where=where, reason=str(error))]
    except ssl.SSLError as error:
        return [found("broker", "untrusted", where=where, reason=reason_of(error))]
    except OSError as error:
        return [found("broker", "unreachable", where=where, reason=reason_of(error))]
    open_to_all = await _lets_strangers_in(address, settings.client_id)
    return [
        found("broker", "fine", where=where),
        *judge_access(
            refused,
            readable="" if settings.tls or is_near(settings.host) else settings.host,
            open_to_all=open_to_all,
        ),
        *judge_certificate(where, until, patient.now),
        found("broker_limits", "unreadable"),
    ]


def judge_access(refused: list[str], *, readable: str, open_to_all: bool) -> list[Finding]:
    """Say what is wrong with who may do what at the broker.

    `readable` is a host to which others on the network can read what is said; empty: none.
    """
    wrong: list[Finding] = []
    if refused:
        wrong.append(found("access", "subscription", filters=" ".join(refused)))
    if open_to_all:
        wrong.append(found("access", "open"))
    if readable:
        wrong.append(found("access", "plain", host=readable))
    return wrong or [found("access", "fine")]


def is_near(host: str, *, in_container: bool | None = None) -> bool:
    """Say whether a host is this very machine, or a neighbour on a container's own network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = CONTAINER.exists() if in_container is None else in_container
        return host == "localhost" or (inside and "." not in host)


async def _lets_strangers_in(address: BrokerAddress, client_id: str) -> bool:
    nobody = replace(address, username=None, password=None)
    try:
        async with visiting(nobody, _name(client_id)):
            return True
    except (BrokerUnusable, OSError):
        return False


def _name(client_id: str) -> str:
    """Return a client id of our own: that of the service would throw it out."""
    return f"{client_id}-doctor-{secrets.token_hex(4)}"
