"""Where things are, by the settings: the broker, and the service of this machine."""

import ssl

from api.settings import BrokerSettings, HttpSettings
from ingest.errors import ChargewatchError
from ingest.mqtt_connection import BrokerAddress

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  (to be replaced)
"""Addresses to listen on that are none to connect to."""


class AuthorityUnreadable(ChargewatchError, OSError):
    """The file with the authority to trust is not there, or holds no certificate."""


def broker_address(settings: BrokerSettings) -> BrokerAddress:
    """Return how to get to the broker. Raises AuthorityUnreadable."""
    try:
        tls = ssl.create_default_context(cafile=settings.ca_file) if settings.tls else None
    except OSError as error:  # an SSLError is one: no certificate in it
        raise AuthorityUnreadable(
            f"CHARGEWATCH_BROKER__CA_FILE: {settings.ca_file}: {error.strerror or error}"
        ) from error
    password = None if settings.password is None else settings.password.get_secret_value()
    return BrokerAddress(
        host=settings.host,
        port=settings.port,
        tls=tls,
        username=settings.username,
        password=None if password is None else password.encode(),
    )


def own_address(http: HttpSettings) -> str:
    """Return the URL at which the service of this machine answers."""
    host = ANY.get(http.host, http.host)
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"
