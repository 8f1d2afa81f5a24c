"""Where a broker is, and who we are to it, from one URL."""

import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
from paho.mqtt import client as paho

PORT, TLS_PORT = 1883, 8883


class Address(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: Path | None = None

    @classmethod
    def of(
        cls,
        url: str,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
    ) -> "Address":
        """Read mqtt://[user[:password]@]host[:port] or mqtts://…; raises ValueError.

        What is given beside the URL goes before what is in it.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise ValueError(f"not mqtt://host:port or mqtts://host:port: {url}")
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=parts.port or (TLS_PORT if tls else PORT),
            username=username or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            tls=tls,
            ca_file=ca_file,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def introduce(self, client: paho.Client) -> None:
        """Tell a client who it is, and whom to trust."""
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.tls:
            client.tls_set_context(ssl.create_default_context(cafile=self.ca_file))
