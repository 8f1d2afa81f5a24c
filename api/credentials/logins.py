"""A login at the broker: what it is called, and whom it speaks for.

The name is made so that no login can pass for another one:

* a native device is called like its topics, "area/site/device", which is what `%u` becomes in
  the broker's patterns: three levels, neither more nor less;
* a Tasmota plug is "{topic}@tasmota", a Zigbee2MQTT bridge "{base}@zigbee2mqtt": no slash, so
  that no pattern of the native format fits;
* our own programs have plain words, with neither.

On the devices' listener the broker takes the name for the client id. So no device can take over
the session of another one, or of the service, whose ids have neither slash nor @.
"""

from datetime import datetime

import msgspec

from ingest.errors import ChargewatchError
from ingest.wire import bad_name
from rules.places import DRILL_AREA

NATIVE, TASMOTA, ZIGBEE2MQTT = "native", "tasmota", "zigbee2mqtt"
SERVICE, SIMULATOR = "chargewatch", "simulator"
"""Our own logins. Nobody else can have these names: they lack both slash and @."""
OURS = (SERVICE, SIMULATOR)

BASE = "zigbee2mqtt"
WHOLE_BASE = "bridge"
"""What the bridge is called that has the base topic to itself; no other may have that word."""
NATIVE_LEVELS = 3
USERNAME_BYTES_MAX = 400
"""Longer names fit no device, and no line that Mosquitto reads."""


class CredentialsWrong(ChargewatchError):
    """A login cannot be made or changed like that; the message says why, and what to do."""


class Login(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One login, without its secret. All moments are UTC."""

    username: str
    speaks_for: str
    """A device's id, a bridge's base topic; for our own programs their name."""
    dialect: str = ""
    """Empty for our own programs."""
    name: str = ""
    """What the dialect calls the device: the Topic of a Tasmota plug."""
    sites: tuple[str, ...] = ()
    """Of the simulator: "area/site" or "area/+"."""
    since: datetime
    renewed_at: datetime | None = None
    revoked_at: datetime | None = None


class Speaker(msgspec.Struct, frozen=True):
    """Whom a login is for."""

    username: str
    speaks_for: str
    dialect: str
    name: str


def speaker(speaks_for: str, dialect: str, name: str | None) -> Speaker:
    """Return whom a login would be for; raises CredentialsWrong if there can be none.

    `name` is what the dialect calls the device, if that is not the last part of its id.
    """
    match dialect:
        case "native":
            found = _native(speaks_for, name)
        case "tasmota":
            found = _tasmota(speaks_for, name)
        case "zigbee2mqtt":
            found = _bridge(speaks_for, name)
        case _:
            raise CredentialsWrong(
                f"{speaks_for!r}: no dialect {dialect!r}; there is {NATIVE}, {TASMOTA} (for a"
                f" plug) and {ZIGBEE2MQTT} (for a bridge)"
            )
    if len(found.username.encode()) > USERNAME_BYTES_MAX:
        raise CredentialsWrong(f"{speaks_for!r}: longer than {USERNAME_BYTES_MAX} bytes")
    return found


def simulated(site: str) -> str:
    """Return the site if the simulator can be let loose on it: "area/site" or "area/+"."""
    area, slash, last = site.partition("/")
    if not slash or "/" in last:
        raise CredentialsWrong(f'{site!r}: a site is called "area/site", a whole area "area/+"')
    _checked(area, site)
    _no_drill(area, site)
    if last != "+":
        _checked(last, site)
    return site


def _native(device: str, name: str | None) -> Speaker:
    if name not in {None, device}:
        raise CredentialsWrong(f"{device!r}: a native device is called like its id")
    if len(_levels(device)) != NATIVE_LEVELS:
        raise CredentialsWrong(f'{device!r}: a native device is called "area/site/device"')
    return Speaker(device, device, NATIVE, device)


def _tasmota(device: str, name: str | None) -> Speaker:
    last = _levels(device)[-1]
    plug = last if name is None else name
    _checked(plug, device)
    if "/" in plug or "@" in plug:
        raise CredentialsWrong(f"{device!r}: the Topic {plug!r} of a plug has no / and no @")
    return Speaker(f"{plug}@{TASMOTA}", device, TASMOTA, plug)


def _bridge(base: str, name: str | None) -> Speaker:
    if name not in {None, base}:
        raise CredentialsWrong(f"{base!r}: a bridge is named by its base topic alone")
    root, slash, below = base.partition("/")
    if root != BASE or "/" in below or "@" in below or below == WHOLE_BASE:
        raise CredentialsWrong(
            f"{base!r}: with {ZIGBEE2MQTT} the bridge has the login, not its devices. Give its"
            f" base topic: {BASE}, or with several bridges {BASE}/{{bridge}} for each"
        )
    if slash:
        _checked(below, base)
    return Speaker(f"{below or WHOLE_BASE}@{ZIGBEE2MQTT}", base, ZIGBEE2MQTT, base)


def _levels(device: str) -> list[str]:
    levels = device.split("/")
    if len(levels) < NATIVE_LEVELS:
        raise CredentialsWrong(f'{device!r}: a device is called "area/site/device"')
    for level in levels:
        _checked(level, device)
    _no_drill(levels[0], device)
    return levels


def _no_drill(area: str, whole: str) -> None:
    if area == DRILL_AREA:
        raise CredentialsWrong(f"{whole!r}: the area {DRILL_AREA} is reserved for drills")


def _checked(level: str, whole: str) -> None:
    """Refuse what MQTT, or a file of lines and colons, would read as something else."""
    wrong = bad_name(level)
    if wrong is None and ":" in level:
        wrong = "contains :, which ends a name in the broker's password file"
    if wrong is not None:
        raise CredentialsWrong(f"{whole!r}: {level!r} is {wrong}")
