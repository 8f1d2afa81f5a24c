"""Where the page of a thing is. Names of devices are strangers' words: each is quoted."""

from urllib.parse import quote, urlencode


def station_path(site: str) -> str:
    return f"/stations/{quote(site, safe='/')}"


def device_path(device: str) -> str:
    return f"/devices/{quote(device, safe='/')}"


def socket_path(device: str, channel: int | None) -> str:
    return f"/sockets/{quote(device, safe='/')}{query(channel=channel)}"


def cut_path(device: str, channel: int | None, back: str, reason: str = "") -> str:
    """Return where one is asked whether a socket is really to be switched off."""
    return "/cut" + query(device=device, channel=channel, back=back, reason=reason)


def clear_path(latch: str, back: str) -> str:
    return f"/latches/{quote(latch, safe='')}/clear{query(back=back)}"


def chart_path(device: str, channel: int | None, quantity: str, hours: int) -> str:
    asked = query(channel=channel, quantity=quantity, hours=hours)
    return f"/charts/{quote(device, safe='/')}{asked}"


def query(**values: object) -> str:
    """Return a query of what is said; what is None or empty is left out."""
    said = {name: value for name, value in values.items() if value not in {None, ""}}
    return f"?{urlencode(said)}" if said else ""
