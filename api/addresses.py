"""Where things are, by the settings: the broker, and the service of this machine."""

import ssl

from api.settings import BrokerSettings, HttpSettings
from ingest.mqtt_connection import BrokerAddress

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  (to be replaced)
"""Addresses to listen on that are none to connect to."""


def broker_address(settings: BrokerSettings) -> BrokerAddress:
    """Return how to get to the broker. Raises OSError if the authority cannot be read."""
    password = None if settings.password is None else settings.password.get_secret_value()
    return BrokerAddress(
        host=settings.host,
        port=settings.port,
        tls=ssl.create_default_context(cafile=settings.ca_file) if settings.tls else None,
        username=settings.username,
        password=None if password is None else password.encode(),
    )


def own_address(http: HttpSettings) -> str:
    """Return the URL at which the service of this machine answers."""
    host = ANY.get(http.host, http.host)
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"
