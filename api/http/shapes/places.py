"""Areas, sites, devices and sockets, with what is known of them at this moment."""

from datetime import datetime, time
from enum import StrEnum

from api.http.shapes.shape import WHEN, Names, Shape, Value, shown
from rules.readings import Kind
from rules.schedule import Days
from rules.session import Phase, Session


class Condition(StrEnum):
    """The worst that is known of a place, worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    """Something there does not report: all may be well, or not."""
    FINE = "fine"


class Use(StrEnum):
    CHARGING = "charging"
    FREE = "free"
    UNKNOWN = "unknown"


class SmokeWatch(StrEnum):
    FINE = "fine"
    ALARM = "alarm"
    TESTING = "testing"
    SILENT = "silent"
    NEVER = "never"
    """Declared, and not heard so far."""


class Area(Shape):
    id: str
    name: Names
    declared: bool
    sites: int


class Charge(Shape):
    """The charge that goes on at a socket; more of it is in /sessions?open=true."""

    began_at: datetime
    phase: Phase
    energy_kwh: float

    @classmethod
    def of(cls, session: Session) -> "Charge":
        return cls(
            began_at=session.began_at, phase=session.phase, energy_kwh=session.energy_kwh
        )


class Socket(Shape):
    """`channel` counts from 1; null is a device that is one single socket."""

    channel: int | None
    use: Use
    power_w: float | None
    """Null: not known, or too old to be believed."""
    relay_on: bool | None
    device_temperature_c: float | None
    as_of: datetime | None
    """When the power was last heard."""
    latched_since: datetime | None
    """Since when it has been cut for safety; null: it is not. A person clears it."""
    charge: Charge | None
    """null: none goes on."""
    values: dict[str, Value]
    """The latest of every quantity, under its name in docs/messages.md."""


class Device(Shape):
    id: str
    site: str
    label: str
    kind: Kind
    dialect: str
    declared: bool
    condition: Condition
    online: bool | None
    heard_at: datetime | None
    power_w: float | None
    smoke: SmokeWatch | None
    """Null for a device that is no smoke detector."""
    sockets: list[Socket]
    values: dict[str, Value]

    model_config = shown(
        {
            "id": "xuhui/renmin-lu/pile-1",
            "site": "xuhui/renmin-lu",
            "label": "pile-1",
            "kind": "charger",
            "dialect": "native",
            "declared": True,
            "condition": "fine",
            "online": True,
            "heard_at": "2026-11-23T14:33:26Z",
            "power_w": 312.5,
            "smoke": None,
            "sockets": [
                {
                    "channel": 1,
                    "use": "charging",
                    "power_w": 312.5,
                    "relay_on": True,
                    "device_temperature_c": 31.0,
                    "as_of": "2026-11-23T14:33:26Z",
                    "latched_since": None,
                    "charge": {"began_at": WHEN, "phase": "charging", "energy_kwh": 0.42},
                    "values": {"power_w": 312.5, "relay_on": True},
                }
            ],
            "values": {"online": True},
        }
    )


class Window(Shape):
    """Closed from `start` to `end` on the site's clock; past midnight if `end` is earlier."""

    start: time
    end: time
    days: list[int] | Days
    """The days on which it begins: weekdays (0 is Monday), workdays or restdays."""


class Limit(Shape):
    """One value of the policy in force, and where it comes from."""

    rule: str
    key: str
    value: str | float | bool
    """As in the policy file (docs/policy.md): a length of time is "30 s", "8 h"."""
    layer: str
    """"built in", "default", "area …", "site …" or "device …"."""


class Policy(Shape):
    """The opening hours and the limits in force at a site."""

    zone: str
    closed: list[Window]
    limits: list[Limit]


class Site(Shape):
    """A station at this moment. The counts add up to all its sockets and smoke detectors."""

    id: str
    area: str
    name: Names
    declared: bool
    condition: Condition
    zone: str
    devices: int
    sockets: dict[Use, int]
    smoke: dict[SmokeWatch, int]
    power_w: float | None
    heard_at: datetime | None
    firing: int
    """Alerts that are open now."""

    model_config = shown(
        {
            "id": "xuhui/renmin-lu",
            "area": "xuhui",
            "name": {"zh": "人民路站", "en": "Renmin Road"},
            "declared": True,
            "condition": "fine",
            "zone": "Asia/Shanghai",
            "devices": 3,
            "sockets": {"charging": 4, "free": 6, "unknown": 0},
            "smoke": {"fine": 1},
            "power_w": 1204.0,
            "heard_at": "2026-11-23T14:33:26Z",
            "firing": 0,
        }
    )


class Areas(Shape):
    areas: list[Area]

    model_config = shown(
        {
            "areas": [
                {
                    "id": "xuhui",
                    "name": {"zh": "徐汇", "en": "Xuhui"},
                    "declared": True,
                    "sites": 12,
                }
            ]
        }
    )


class Sites(Shape):
    sites: list[Site]

    model_config = shown({"sites": []})


class SiteInFull(Shape):
    site: Site
    policy: Policy

    model_config = shown(
        {
            "site": Site.model_config["json_schema_extra"]["examples"][0],  # type: ignore[index]
            "policy": {
                "zone": "Asia/Shanghai",
                "closed": [{"start": "22:00:00", "end": "05:00:00", "days": [0, 1, 2]}],
                "limits": [
                    {"rule": "overload", "key": "hold", "value": "30 s", "layer": "built in"}
                ],
            },
        }
    )


class Devices(Shape):
    devices: list[Device]
    next_after: str | None
    """Ask again with `after` set to this for the next page; null: this was the last."""

    model_config = shown({"devices": [], "next_after": None})
