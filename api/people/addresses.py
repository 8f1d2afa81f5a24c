"""Whether an address is one that its kind of way can have."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from api.channels.guard import UNPRIVILEGED, USUAL_PORTS, AddressRefused, Guard, public
from api.people.wrong import Complaint, Path
from api.settings_base import real_address, real_secret
from ingest.people import Via, Way

MOBILE = re.compile(r"\+?[0-9-]{3,20}")
MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
MAIL_CHARS_MAX = 254
LOOKED_UP_WITHIN_S = 3.0
ON_THE_WEB = frozenset({Via.DINGTALK, Via.WECOM, Via.FEISHU, Via.NTFY, Via.WEBHOOK})
UNSIGNED = frozenset({Via.VOICE, Via.SMS, Via.EMAIL, Via.WECOM})
"""Ways that have no use for a secret."""


def check_way(way: Way, path: Path, *, private: bool) -> Iterator[Complaint]:
    """Yield what is wrong with a way; `private`: an address may lead to our own network."""
    at = (*path, "address")
    match way.via:
        case Via.VOICE | Via.SMS:
            if MOBILE.fullmatch(way.address) is None:
                yield Complaint(at, "mobile")
        case Via.EMAIL:
            if MAIL.fullmatch(way.address) is None or len(way.address) > MAIL_CHARS_MAX:
                yield Complaint(at, "mail")
        case _:
            if code := _web(way, private=private):
                yield Complaint(at, code)
    yield from _secret(way, (*path, "secret"))


async def check_where_it_leads(
    ways: Iterable[tuple[Path, Way]], guard: Guard
) -> list[Complaint]:
    """Return which web addresses lead to where they may not.

    A name that cannot be looked up now may be right: the guard asks again at each message.
    """
    found: list[Complaint] = []
    for path, way in ways:
        try:
            async with asyncio.timeout(LOOKED_UP_WITHIN_S):
                await guard.pinned(httpx.URL(way.address))
        except AddressRefused:
            found.append(Complaint((*path, "address"), "web_private"))
        except (OSError, httpx.InvalidURL, UnicodeError):
            continue
    return found


def _web(way: Way, *, private: bool) -> str:
    try:
        real_address(SecretStr(way.address))
        url = urlsplit(way.address)
        port = url.port
    except ValueError:
        return "web"
    host = url.hostname or ""
    if not way.address.isascii() or not way.address.isprintable() or " " in way.address:
        return "web"
    if url.scheme != "https" and not private:
        return "web_https"
    if url.username is not None or url.password is not None:
        return "web_user"
    if port is not None and port not in USUAL_PORTS and port < UNPRIVILEGED:
        return "web_port"
    if not private and _is_number(host) and not public(host):
        return "web_private"
    if way.via is Via.NTFY and not url.path.strip("/"):
        return "ntfy"
    return ""


def _secret(way: Way, at: Path) -> Iterator[Complaint]:
    if way.via in UNSIGNED and way.secret:
        yield Complaint(at, "no_secret")
    elif way.via is Via.WEBHOOK and not way.secret:
        yield Complaint(at, "webhook_secret")
    elif way.secret:
        try:
            real_secret(SecretStr(way.secret))
        except ValueError:
            yield Complaint(at, "secret")
        if not (way.secret.isascii() and way.secret.isprintable()):
            yield Complaint(at, "secret")


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
