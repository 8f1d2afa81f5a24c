"""Addresses that people may enter lead to the open internet, however they are written."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.channels import DeliveryFailed
from api.channels.guard import AddressRefused, Guard, public, resolved
from api.channels.posting import Answer, Post
from tests.receivers import HOST, NOW, TLS, Receiver, receiving

INSIDE = "10.0.0.7"


async def inside_dns(host: str, port: int) -> Sequence[str]:
    """A resolver that knows some names, and asks the system for what is a number."""
    names = {
        "inside.example": [INSIDE],
        "both.example": ["93.184.215.14", INSIDE],
        "nothing.example": [],
        "six.example": ["::ffff:10.0.0.7"],
        "alias.example": ["93.184.215.14", "fd12::7"],  # a CNAME into somebody's network
        "later.example": ["93.184.215.14", "169.254.169.254"],
        "outside.example": ["93.184.215.14", "2606:4700::1111"],
    }
    return names[host] if host in names else await resolved(host, port)


def pinned(url: str, guard: Guard | None = None) -> tuple[httpx.URL, str]:
    return asyncio.run((guard or Guard(resolve=inside_dns)).pinned(httpx.URL(url)))


BYPASSES = [
    "http://127.0.0.1/",
    "http://localhost/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::a00:7]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:a00:7::]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[ff02::1]/",
    "http://10.0.0.7/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://inside.example/",
    "http://inside.example./",
    "http://both.example/",
    "http://six.example/",
    "http://nothing.example/",
    "http://outside.example@127.0.0.1/",
    "http://user:password@outside.example/",
    "http://127.0.0.1#@outside.example/",
    "http://127.0.0.1?@outside.example/",
    "http://outside.example:22/",
    "http://outside.example:0/",
    "https://outside.example:25/",
    "http://[fe80::1%25eth0]/",
    "http://[::1%25lo]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::a00:7]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://127.0.0.1./",
    "http://0x7f.1/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://127｡0｡0｡1/",
    "http://192.168.257/",
    "http://3232235777/",
    "http://localhost./",
    "http://LOCALHOST/",
    "http://alias.example/",
    "http://later.example/",
    "http://outside.example:445/",
    "http://outside.example:6/",
    "http://@127.0.0.1/",
    "http://outside.example%2f@127.0.0.1/",
    "http://100.64.0.1/",
    "http://240.0.0.1/",
    "http://192.0.2.1/",
    "ftp://outside.example/",
    "gopher://outside.example/",
]


@pytest.mark.parametrize("url", BYPASSES)
def test_what_leads_inside_is_refused(url: str) -> None:
    with pytest.raises((AddressRefused, OSError)):
        pinned(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://１２７.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://0177.0.0.1/",
        "http://127.0.0.1\t/",
        "http://127.0.0.1\r\nHost: outside.example/",
        "http:///127.0.0.1/",
        "http:127.0.0.1/",
        "//127.0.0.1/",
        "http://[::1/",
        "http://0300.0250.1.1/",
        "file:///etc/passwd",
        "",
    ],
)
def test_what_is_no_name_is_not_even_an_address(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Post(url=url, tls=TLS)


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("https://outside.example/hook?a=b", "https://93.184.215.14/hook?a=b"),
        ("https://outside.example:8443/", "https://93.184.215.14:8443/"),
        ("http://93.184.215.14/", "http://93.184.215.14/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/"),
        ("http://127.0.0.1\\@outside.example/", None),
    ],
)
def test_what_leads_outside_is_pinned_to_its_number(url: str, to: str | None) -> None:
    if to is None:
        with pytest.raises(AddressRefused):
            pinned(url)
    else:
        assert str(pinned(url)[0]) == to


def test_private_addresses_are_open_where_that_is_allowed() -> None:
    address, name = pinned(
        "http://inside.example:8080/x", Guard(allow_private=True, resolve=inside_dns)
    )
    assert (str(address), name) == ("http://10.0.0.7:8080/x", "inside.example")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_disguise(address: object) -> None:
    plain = public(str(address))
    assert public(f"::ffff:{address}") is plain
    assert public(f"64:ff9b::{address}") is plain
    assert not public(f"::{address}")


@given(st.text())
def test_what_is_no_address_is_not_public(text: str) -> None:
    try:
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError, UnicodeError):
        assert not public(text) or ":" in text


# --- on the wire ---------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def posted(url: str, guard: Guard | None, tls: ssl.SSLContext = TLS) -> Answer:
    post = Post(url=url, guard=guard, tls=tls, answer_within=timedelta(seconds=5))
    return asyncio.run(post.send(b"{}", {}, NOW))


def test_a_guarded_post_to_our_own_machine_is_refused_for_good(receiver: Receiver) -> None:
    with pytest.raises(DeliveryFailed, match="not a public address") as raised:
        posted(receiver.url, Guard())
    assert raised.value.permanent
    assert receiver.posts == []


def test_the_operators_own_address_may_be_private(receiver: Receiver) -> None:
    assert posted(receiver.url, None).status == 200


def test_a_name_is_asked_for_once_and_what_it_means_a_moment_later_does_not_count(
    receiver: Receiver,
) -> None:
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [HOST] if len(asked) == 1 else ["192.0.2.1"]

    url = f"http://hook.example:{receiver.server_port}/x"
    assert posted(url, Guard(allow_private=True, resolve=rebinding)).status == 200
    assert asked == ["hook.example"]
    [post] = receiver.posts
    assert post.headers["host"] == f"hook.example:{receiver.server_port}"


def test_a_guarded_post_follows_no_redirect_and_asks_no_proxy(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    receiver.behaviour = "302"
    receiver.answer_headers["Location"] = "http://169.254.169.254/"
    assert posted(receiver.url, Guard(allow_private=True)).status == 302
    assert len(receiver.posts) == 1


def test_a_certificate_is_checked_for_the_name_and_not_for_the_number(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=hook", "-addext", "subjectAltName=DNS:hook.example"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))

    async def at_home(_host: str, _port: int) -> Sequence[str]:
        return [HOST]

    guard = Guard(allow_private=True, resolve=at_home)
    with receiving(own) as receiver:
        port = receiver.server_port
        assert posted(f"https://hook.example:{port}/", guard, trusting).status == 200
        with pytest.raises(DeliveryFailed, match=r"(?i)certificate"):
            posted(f"https://other.example:{port}/", guard, trusting)
