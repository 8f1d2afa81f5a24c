"""A private authority, and the broker's certificate by it. A device needs the authority's only.

RSA, because the cheapest modems know nothing else. The authority's key never lies where the
broker could read it: whoever has it can pass for the broker to every device.
"""

import ipaddress
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from api.credentials.logins import CredentialsWrong

AUTHORITY_DAYS = 3650
"""Devices are seldom reached again. Not beyond 2038: some count seconds in 32 bits."""
SERVER_DAYS = 730
RENEW_BEFORE = timedelta(days=60)
CLOCKS_BEHIND = timedelta(days=2)
"""A new certificate is valid on devices whose clocks are this much behind."""
AUTHORITY_BITS, SERVER_BITS = 3072, 2048
ALWAYS = ("localhost", "127.0.0.1", "::1")
"""The service itself comes by these names."""
_hostname = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes


def new_authority(now: datetime) -> Pair:
    """Return a new authority, good for server certificates and nothing else."""
    key = generate_private_key(65537, AUTHORITY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"chargewatch {now:%Y-%m-%d}")])
    builder = (
        _about(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def new_server(authority: Pair, hosts: Iterable[str], now: datetime) -> Pair:
    """Return a certificate for the broker under these names and addresses."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = generate_private_key(65537, SERVER_BITS)
    wanted = all_hosts(hosts)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0][:64])])
    builder = (
        _about(name, issuer.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general(each) for each in wanted]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                _key(authority.key).public_key()
            ),
            critical=False,
        )
    )
    return _pair(builder.sign(_key(authority.key), hashes.SHA256()), key)


def all_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return the names a certificate is to have: those asked for, then the machine's own."""
    return tuple(dict.fromkeys(_canonical(each) for each in (*hosts, *ALWAYS)))


def hosts_of(certificate: bytes) -> tuple[str, ...]:
    """Return the names and addresses that a certificate is for."""
    try:
        names = loaded(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(each.value)
        for each in names.value
        if isinstance(each, x509.DNSName | x509.IPAddress)
    )


def ends_at(certificate: bytes) -> datetime:
    return loaded(certificate).not_valid_after_utc


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate, as browsers and openssl show it."""
    return loaded(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def not_covered(certificate: bytes, hosts: Iterable[str]) -> list[str]:
    """Return those of some names and addresses that a certificate is not for."""
    had = set(hosts_of(certificate))
    return [
        host
        for host in hosts
        if had.isdisjoint({_canonical(host), f"*.{host.partition('.')[2]}"})
    ]


def is_by(certificate: bytes, authority: bytes) -> bool:
    """Say whether an authority has signed a certificate."""
    try:
        loaded(certificate).verify_directly_issued_by(loaded(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def belong_together(pair: Pair) -> bool:
    """Say whether a private key is that of a certificate."""
    try:
        key = serialization.load_pem_private_key(pair.key, None)
    except (ValueError, TypeError) as error:  # damaged, or locked with a password
        raise CredentialsWrong(f"the private key cannot be used: {error}") from error
    return _public(key.public_key()) == _public(loaded(pair.certificate).public_key())


def loaded(certificate: bytes) -> x509.Certificate:
    """Read a PEM certificate (the first of several); raises CredentialsWrong."""
    try:
        return x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise CredentialsWrong(f"not a certificate in PEM: {error}") from error


def _about(
    name: x509.Name, issuer: x509.Name, key: RSAPrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_BEHIND)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if _hostname.fullmatch(host) is None:
            raise CredentialsWrong(f"{host!r} is neither an address nor a host name") from None
        return x509.DNSName(host.lower())


def _canonical(host: str) -> str:
    """Return a name or an address in the form in which certificates have it."""
    general = _general(host)
    return str(general.value)


def _pair(certificate: x509.Certificate, key: RSAPrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _key(text: bytes) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(text, None)
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsWrong("the authority's key is none of ours: not RSA")
    return key


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
