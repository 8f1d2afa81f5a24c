"""Ports to listen on: whether one can be had, and one that can."""

import socket

from ingest.errors import ChargewatchError


class PortBusy(ChargewatchError):
    """Somebody else listens where we want to."""


def check_free(host: str, port: int, what: str, way_out: str) -> None:
    """Raise PortBusy, with a way out, if a port is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortBusy(
                f"{what}: {host}:{port} cannot be used ({error.strerror}). {way_out}"
            ) from error


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
