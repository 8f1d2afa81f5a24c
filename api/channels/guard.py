"""Keeps requests to addresses that others chose away from what only we can reach.

Whoever may enter a web address could otherwise make the service ask its own machine, its
neighbours or the cloud's metadata in his name (server-side request forgery). A name is
resolved once, every answer is judged, and the request goes to an address that was judged:
what the name means a moment later (DNS rebinding) makes no difference. How an address is
written (decimal, octal, IPv6 around IPv4) makes none either, for what is judged is the
address that the system would connect to.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from ingest.errors import ChargewatchError

USUAL_PORTS = frozenset({80, 443})
UNPRIVILEGED = 1024
"""Below it are services that a crafted body may talk to: mail, file shares, remote shells."""

GLOBAL_V6 = ip_network("2000::/3")
TUNNELS = (ip_network("2002::/16"), ip_network("2001::/32"))
"""6to4 and Teredo: an IPv4 address in disguise, which some router unpacks."""
NAT64 = ip_network("64:ff9b::/96")
"""How an IPv6-only network writes any IPv4 address (RFC 6052); judged by what is inside."""
NEVER = (
    ip_network("192.0.0.0/24"),  # IETF protocol assignments; one cloud's metadata
    ip_network("192.88.99.0/24"),  # the relays of 6to4
    ip_network("168.63.129.16/32"),  # one cloud's host, for its guests only
)

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Turns a name and a port into addresses; raises OSError if it cannot."""


class AddressRefused(ChargewatchError):
    """The address is, or leads to, somewhere that it may not."""


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return all addresses of a name, as the system would connect to them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What an address that others chose may be.

    With `allow_private` it may lead anywhere, but is still resolved once only.
    """

    allow_private: bool = False
    resolve: Resolve = field(default=resolved, repr=False)

    async def pinned(self, url: httpx.URL) -> tuple[httpx.URL, str]:
        """Return the address with the host's number in place of its name; and the name.

        The name is what the certificate and the Host header are for. Raises AddressRefused,
        or OSError if the name has no address.
        """
        if url.scheme not in {"http", "https"}:
            raise AddressRefused(f"{url.scheme}: is neither http nor https")
        if url.userinfo:
            raise AddressRefused("a name and a password have no place in the address")
        port = (443 if url.scheme == "https" else 80) if url.port is None else url.port
        if port not in USUAL_PORTS and port < UNPRIVILEGED:
            raise AddressRefused(f"port {port} is none of the web's")
        name = url.raw_host.decode("ascii").strip("[]")
        found = await self.resolve(name, port)
        if not found:
            raise AddressRefused("the name has no address")
        for each in found:
            if not self.allow_private and not public(each):
                raise AddressRefused(f"{each} is not a public address")
        return url.copy_with(host=found[0]), name


def public(address: str) -> bool:
    """Say whether an address is one of the open internet's; when in doubt, it is not."""
    try:
        known = _inner(ip_address(address))
    except ValueError:
        return False
    if isinstance(known, IPv6Address) and known not in GLOBAL_V6:
        return False
    if any(known in network for network in (*TUNNELS, *NEVER)):
        return False
    return known.is_global and not (known.is_multicast or known.is_reserved)


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if that is what it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
