"""A month of three sites, small enough to know every number that the dashboards must show.

One site has a name made to break out of a question, and one alert is of no site at all.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx

from ingest.influx_lines import Value, line
from ingest.measurements import (
    ALERT,
    ALERT_EVENT,
    DEVICE,
    DEVICE_NOW,
    LONG,
    SERVICE_NOW,
    SESSION,
    SITE_15M,
    SITE_DAY,
    SITE_NOW,
    SOCKET,
    SOCKET_DAY,
    Kept,
    Measurement,
)
from tests.influx import Influx

NOW = datetime(2026, 11, 24, 4, 7, tzinfo=UTC)
"""12:07 on a Tuesday in Shanghai."""
MIDNIGHT = datetime(2026, 11, 23, 16, tzinfo=UTC)
"""The midnight before it, in Shanghai."""
SINCE = NOW - timedelta(days=30)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DATABASE = "grafana_village"

WILLOW, NORTH = "riverside/willow-village", "riverside/north-gate"
ODD = 'hill side/it\'s "odd" $ (a|b)/.*'
SITES = {WILLOW: "柳树村", NORTH: "北门", ODD: "怪村"}
NAMES_EN = {WILLOW: "Willow Village", NORTH: "North Gate", ODD: "Odd Village"}

PILE = f"{WILLOW}/pile-1"
SOCKETS = tuple(range(1, 12))
"""Eleven: as text, 10 and 11 come before 2."""
POWERS_W = {1: 200.0, 2: 900.0, 3: 1200.0}
"""Others draw 2 W: idle."""
CASE_C, HOT_SOCKET_C = 41.5, 66.0
LIMITS: dict[str, Value] = {
    "overload_warn_w": 700.0,
    "overload_act_w": 950.0,
    "heat_warn_c": 60.0,
    "heat_act_c": 75.0,
}
"""In force here; not those that we ship."""
SMOKE = (f"{WILLOW}/smoke-1", f"{WILLOW}/smoke-2")

AREA_CHOICES = {
    "riverside": ("河滨区␟riverside", "Riverside␟riverside"),
    "hill side": ("山区␟hill side", "Hill Side␟hill side"),
}

SITE_NOW_FIELDS: dict[str, dict[str, Value]] = {
    WILLOW: {
        "latitude": 30.25,
        "longitude": 120.5,
        "worst": 2,
        "open_alerts": 2,
        "sockets": 11,
        "charging": 3,
        "after_hours": 0,
        "closed": 0,
        "power_w": 2316.0,
        "chargers": 1,
        "chargers_missing": 0,
        "sensors": 2,
        "sensors_missing": 1,
    },
    NORTH: {
        "worst": 0,
        "open_alerts": 0,
        "sockets": 2,
        "charging": 1,
        "after_hours": 1,
        "closed": 1,
        "power_w": 150.0,
        "chargers": 1,
        "chargers_missing": 1,
        "sensors": 0,
        "sensors_missing": 0,
    },
    ODD: {
        "worst": 1,
        "open_alerts": 1,
        "sockets": 1,
        "charging": 0,
        "after_hours": 0,
        "closed": 0,
        "chargers": 1,
        "chargers_missing": 0,
        "sensors": 0,
        "sensors_missing": 0,
    },
}
DEVICES: dict[str, tuple[str, str, dict[str, Value]]] = {
    PILE: (
        "charger",
        "native",
        {"silent": 0, "signal_pct": 80.0, "firmware": "1.4.0", **LIMITS},
    ),
    SMOKE[0]: (
        "smoke",
        "zigbee2mqtt",
        {"silent": 0, "battery_pct": 74.0, "battery_low": 0, "signal_pct": 15.0},
    ),
    SMOKE[1]: (
        "smoke",
        "zigbee2mqtt",
        {"silent": 1, "battery_pct": 9.0, "battery_low": 1, "signal_pct": 60.0},
    ),
    f"{NORTH}/pile-1": ("charger", "native", {"silent": 1, "firmware": "1.4.0"}),
    f"{ODD}/plug": ("charger", "tasmota", {"silent": 0, "declared": 0, "clock_wrong": 1}),
}

DAYS = 60
"""Of daily figures, the newest of the day before NOW's."""
DAY_KWH = {WILLOW: 24.0, NORTH: 6.0, ODD: 1.0}
DAY_CLOSED_KWH = {WILLOW: 2.0, NORTH: 1.5, ODD: 0.0}
QUARTER_KWH = {WILLOW: 0.25, NORTH: 0.0625, ODD: 0.0}
MEAN_W = {WILLOW: 1000.0, NORTH: 250.0, ODD: 0.0}
UPTIME_PCT = {WILLOW: 100.0, NORTH: 80.0, ODD: 99.5}

TITLES = {"overload": ("插座功率过高", "Socket overload"), "smoke": ("烟雾报警", "Smoke")}

SERVICE: dict[str, Value] = {
    "messages_s": 12.0,
    "readings_s": 30.0,
    "refused": 1,
    "repeated": 2,
    "lag": 40,
    "delay_p50_s": 0.01,
    "delay_p99_s": 0.15,
    "outbox": 3,
    "told": 1,
    "tries_failed": 0,
    "given_up": 0,
    "broker_ok": 1,
    "ledger_ok": 1,
    "history_ok": 0,
    "open_alerts": 3,
    "memory_mib": 210.0,
}
SERVICE_EVERY, SERVICE_FOR = timedelta(seconds=15), timedelta(hours=1)


class Fired:
    """One alert; `at` before NOW."""

    def __init__(  # noqa: PLR0913
        self,
        ago: timedelta,
        rule: str,
        severity: int,
        *,
        site: str = "",
        device: str = "",
        socket: str = "",
        acknowledged_s: float | None = None,
        resolved_s: float | None = None,
        value: float | None = None,
    ) -> None:
        self.at, self.rule, self.severity = NOW - ago, rule, severity
        self.place = {"site": site, "device": device, "socket": socket}
        self.place["area"] = site.partition("/")[0]
        self.acknowledged_s, self.resolved_s, self.value = acknowledged_s, resolved_s, value

    @property
    def site(self) -> str:
        return self.place["site"]

    @property
    def open(self) -> bool:
        return self.resolved_s is None


def _overloads() -> Iterator[Fired]:
    for day in range(1, 5):
        yield Fired(
            day * DAY,
            "overload",
            1,
            site=WILLOW,
            device=PILE,
            socket="3",
            acknowledged_s=60.0 * day,
            resolved_s=600.0 * day,
            value=1200.0 + day,
        )


ALERTS = (
    *_overloads(),
    Fired(HOUR, "smoke", 2, site=WILLOW, device=SMOKE[0]),
    Fired(40 * DAY, "silence", 1, site=WILLOW, device=SMOKE[1], acknowledged_s=30.0),
    Fired(2 * HOUR, "undeclared_device", 1, site=ODD, device=f"{ODD}/plug"),
    Fired(3 * DAY, "monitoring_blind", 3, resolved_s=120.0),
    Fired(2 * DAY, "after_hours", 1, site=NORTH, device=f"{NORTH}/pile-1", resolved_s=5.0),
)
IN_RANGE = tuple(alert for alert in ALERTS if alert.at >= SINCE)
OPEN = tuple(alert for alert in ALERTS if alert.open)

SESSIONS = (
    # began before NOW, device, socket, kWh, after hours
    (3 * HOUR, PILE, "1", 1.5, 0),
    (11 * HOUR, PILE, "2", 0.5, 1),
    (2 * DAY, PILE, "3", 2.0, 1),
    (9 * DAY, PILE, "3", 2.5, 1),
    (4 * DAY, f"{NORTH}/pile-1", "1", 1.0, 1),
)


def fill(server: Influx) -> None:
    """Make the database as our set-up does, and write everything."""
    server.query(f'CREATE DATABASE "{DATABASE}"')
    server.query(f'CREATE RETENTION POLICY "{LONG}" ON "{DATABASE}" DURATION INF REPLICATION 1')
    _write(server, DATABASE, readings())
    _write(server, f"{DATABASE}/{LONG}", facts())


def _write(server: Influx, bucket: str, lines: Iterator[bytes]) -> None:
    answer = httpx.post(
        f"{server.url}/api/v2/write",
        params={"bucket": bucket, "org": server.org, "precision": "ns"},
        content=b"\n".join(lines),
        headers={"Authorization": f"Token {server.token}"},
        trust_env=False,
        timeout=60,
    )
    assert answer.is_success, answer.text


def _point(
    what: Measurement, at: datetime, tags: dict[str, str], fields: dict[str, Value | None]
) -> bytes:
    return line(what, tags, fields, round(at.timestamp()) * 10**9)


def _at(site: str, **more: str) -> dict[str, str]:
    return {"area": site.partition("/")[0], "site": site, **more}


def readings() -> Iterator[bytes]:
    """Yield six hours of readings, one a minute; socket 11 fell silent three hours ago."""
    assert SOCKET.kept is DEVICE.kept is Kept.READINGS
    for minute in range(6 * 60):
        at = NOW - minute * MINUTE
        for number in SOCKETS:
            if number == SOCKETS[-1] and minute < 180:
                continue
            fields: dict[str, Value | None] = {
                "entry": minute,
                "power_w": POWERS_W.get(number, 2.0),
                "device_temperature_c": HOT_SOCKET_C if number == 3 else None,
            }
            yield _point(SOCKET, at, _at(WILLOW, device=PILE, socket=str(number)), fields)
        case: dict[str, Value | None] = {"entry": minute, "device_temperature_c": CASE_C}
        yield _point(DEVICE, at, _at(WILLOW, device=PILE), case)
    for hour in range(6):
        smoke: dict[str, Value | None] = {"entry": hour, "smoke_alarm": hour == 0}
        yield _point(DEVICE, NOW - HOUR * (hour + 1), _at(WILLOW, device=SMOKE[0]), smoke)


def facts() -> Iterator[bytes]:
    yield from _sites()
    yield from _devices()
    yield from _days()
    yield from _happened()
    for number in range(SERVICE_FOR // SERVICE_EVERY):
        yield _point(SERVICE_NOW, NOW - number * SERVICE_EVERY, {}, dict(SERVICE))


def _sites() -> Iterator[bytes]:
    """Yield ten minutes of samples; one of two days ago that must not count any more."""
    for site, fields in SITE_NOW_FIELDS.items():
        area = site.partition("/")[0]
        named: dict[str, Value] = {
            "name_zh": SITES[site],
            "name_en": NAMES_EN[site],
            "choice_zh": f"{SITES[site]}␟{site}",
            "choice_en": f"{NAMES_EN[site]}␟{site}",
            "area_choice_zh": AREA_CHOICES[area][0],
            "area_choice_en": AREA_CHOICES[area][1],
            **fields,
        }
        for minute in range(10):
            yield _point(SITE_NOW, NOW - minute * MINUTE, _at(site), dict(named))
        old = named | {"open_alerts": 99, "charging": 99, "worst": 3}
        yield _point(SITE_NOW, NOW - 2 * DAY, _at(site), dict(old))
    gone: dict[str, Value | None] = {
        "name_zh": "旧村",
        "name_en": "Old",
        "worst": 3,
        "open_alerts": 7,
        "charging": 7,
    }
    yield _point(SITE_NOW, NOW - 2 * DAY, _at("riverside/gone"), gone)
    for site in SITES:
        for number in range(30 * 96):
            at = MIDNIGHT + 12 * HOUR - number * 15 * MINUTE
            if at > NOW:
                continue
            quarter: dict[str, Value | None] = {
                "energy_kwh": QUARTER_KWH[site],
                "after_hours_kwh": 0.0,
                "mean_w": MEAN_W[site],
                "charging": 1,
                "heard": 1,
                "devices": 2,
            }
            yield _point(SITE_15M, at, _at(site), quarter)


def _devices() -> Iterator[bytes]:
    """Yield an hour of samples, every five minutes, and one a day for a month."""
    times = [NOW - number * 5 * MINUTE for number in range(12)]
    times += [NOW - number * DAY for number in range(1, 30)]
    for device, (kind, dialect, said) in DEVICES.items():
        site = device.rpartition("/")[0]
        tags = _at(site, device=device, kind=kind, dialect=dialect)
        sample: dict[str, Value] = {"name": device, "declared": 1, "clock_wrong": 0}
        sample |= {"heard_ago_s": 30.0, **said}
        for at in times:
            yield _point(DEVICE_NOW, at, tags, dict(sample))


def _days() -> Iterator[bytes]:
    for site, name in SITES.items():
        for number in range(1, DAYS + 1):
            at = MIDNIGHT - number * DAY
            fields: dict[str, Value | None] = {
                "name_zh": name,
                "name_en": NAMES_EN[site],
                "energy_kwh": DAY_KWH[site],
                "after_hours_kwh": DAY_CLOSED_KWH[site],
                "demand_w": MEAN_W[site] + number,
                "sessions": 10,
                "after_hours_sessions": 1,
                "overload_alerts": 2,
                "alerts": 3,
                "uptime_pct": UPTIME_PCT[site],
            }
            yield _point(SITE_DAY, at, _at(site), fields)
            socket: dict[str, Value | None] = {
                "energy_kwh": 1.0,
                "uptime_pct": UPTIME_PCT[site],
            }
            tags = _at(site, device=f"{site}/pile-1", socket="1")
            yield _point(SOCKET_DAY, at, tags, socket)


def _happened() -> Iterator[bytes]:
    for number, alert in enumerate(ALERTS, 1):
        zh, en = TITLES.get(alert.rule, (alert.rule, alert.rule))
        titles: dict[str, Value | None] = {"title_zh": zh, "title_en": en}
        shared = {"episode": str(number), "severity": alert.severity, **titles}
        fields = shared | {
            "open": int(alert.open),
            "acknowledged_by": "" if alert.acknowledged_s is None else "王",
            "acknowledged_after_s": alert.acknowledged_s,
            "resolved_after_s": alert.resolved_s,
            "value": alert.value,
            "limit": None if alert.value is None else 800.0,
            "unit": "" if alert.value is None else "W",
            "site_zh": SITES.get(alert.place.get("site", ""), ""),
            "site_en": NAMES_EN.get(alert.place.get("site", ""), ""),
        }
        tags = alert.place | {"rule": alert.rule}
        yield _point(ALERT, alert.at, tags, fields)
        yield _point(ALERT_EVENT, alert.at, tags | {"what": "firing"}, shared)
    for ago, device, socket, energy_kwh, after_hours in SESSIONS:
        fields = {
            "duration_s": 3600.0,
            "energy_kwh": energy_kwh,
            "peak_w": 250.0,
            "ending": "finished",
            "after_hours": after_hours,
        }
        site = device.rpartition("/")[0]
        yield _point(SESSION, NOW - ago, _at(site, device=device, socket=socket), fields)
