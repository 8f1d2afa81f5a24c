"""What is in InfluxDB: every measurement, its tags and its fields, named in one place.

The writers write what is declared here, the dashboards ask for it, docs/history.md lists it,
and a test holds the three together. Tags have few values; everything else is a field, with
its unit in its name. A moment in a field is whole microseconds since 1970, UTC.

Readings are in the retention policy that the database begins with, everything else in
`long`, which outlives them (docs/decisions/018).
"""

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from ingest.history import QUANTITY_TYPES

LONG = "long"
"""The retention policy of what is kept for years: in InfluxDB 2 bucket "{database}/long"."""


class Kept(StrEnum):
    """For how long: as the settings say for readings, or in `LONG`."""

    READINGS = "readings"
    LONG = "long"


class Field(NamedTuple):
    """`kind` is float, int, bool or str, and is what the database stores."""

    kind: type
    what: str


class Measurement(NamedTuple):
    name: str
    kept: Kept
    what: str
    """What one point is, and what its time says."""
    tags: tuple[str, ...]
    fields: MappingProxyType[str, Field]


def _measurement(
    name: str, kept: Kept, what: str, tags: str, fields: dict[str, tuple[type, str]]
) -> Measurement:
    named = {field: Field(kind, words) for field, (kind, words) in fields.items()}
    return Measurement(name, kept, what, tuple(tags.split()), MappingProxyType(named))


# --- Tags -----------------------------------------------------------------------------
# area      "riverside"
# site      "riverside/willow-village", as everywhere in chargewatch
# device    "riverside/willow-village/pile-1"
# socket    "1" to "256"
# rule      the rule of an alert
# late      "yes": arrived more than 15 min after, or 5 min before, the time it carries
# again     "1", "2" …: one more reading of the same socket and microsecond in one batch
# what      the transition of an alert
# kind      charger, smoke, unknown
# dialect   native, tasmota, zigbee2mqtt …

CHOICE_ENDS_NAME = "\N{SYMBOL FOR UNIT SEPARATOR}"
"""Between a name and an id in the fields `…choice_…`."""

_QUANTITIES: dict[str, tuple[type, str]] = {
    name: (kind, "as in docs/messages.md") for name, kind in QUANTITY_TYPES.items()
}
_READING: dict[str, tuple[type, str]] = {
    "entry": (int, "the journal entry that brought it; always there"),
    "position": (int, "its place in that entry"),
    "received_at_us": (int, "when it arrived"),
    **_QUANTITIES,
}

SOCKET = _measurement(
    "socket",
    Kept.READINGS,
    "A reading of one socket, at the time of the reading.",
    "area site device socket late again",
    _READING,
)
DEVICE = _measurement(
    "device",
    Kept.READINGS,
    "A reading of a whole device, charger or sensor, at the time of the reading.",
    "area site device late again",
    _READING,
)
CURSOR = _measurement(
    "journal_cursor",
    Kept.LONG,
    "One point, at 1970-01-01: how far the readings have come.",
    "",
    {"entry": (int, "the last journal entry whose readings are all here")},
)
FACTS_CURSOR = _measurement(
    "facts_cursor",
    Kept.LONG,
    "One point, at 1970-01-01: how far alerts and sessions have come.",
    "",
    {
        "event": (int, "the last line of the alerts' log that is here"),
        "session": (int, "the last session that is here"),
    },
)

# --- What happened --------------------------------------------------------------------

ALERT = _measurement(
    "alert",
    Kept.LONG,
    "An alert as it now is, at the time it fired; written anew with each change.",
    "area site device socket rule",
    {
        "episode": (str, "its id, as in the console's address /alerts/{episode}"),
        "title_zh": (str, "the rule's name"),
        "title_en": (str, "the rule's name"),
        "site_zh": (str, "name of the site; empty for an alert of none"),
        "site_en": (str, "name of the site; empty for an alert of none"),
        "severity": (int, "1 warning, 2 critical, 3 emergency"),
        "open": (int, "1 while it fires, then 0"),
        "withheld": (int, "1 if people have not been told, on purpose"),
        "flaps": (int, "1 if it comes and goes"),
        "tier": (int, "how far it was escalated, from 1"),
        "acknowledged_by": (str, "who; empty: nobody yet"),
        "acknowledged_after_s": (float, "from firing to acknowledgement; not there before"),
        "resolved_after_s": (float, "from firing to its end; not there before"),
        "value": (float, "what was measured, if it was a number"),
        "limit": (float, "the limit that it broke, if there is one"),
        "unit": (str, "of both"),
    },
)
ALERT_EVENT = _measurement(
    "alert_event",
    Kept.LONG,
    "One thing that happened to an alert, when it did; the dashboards' annotations.",
    "area site device socket rule what",
    {
        "episode": (str, "the alert"),
        "severity": (int, "1 warning, 2 critical, 3 emergency"),
        "title_zh": (str, "the rule's name and what happened"),
        "title_en": (str, "the rule's name and what happened"),
        "who": (str, "who did it; empty or a part of the service: nobody"),
        "detail": (str, "what they said"),
    },
)
SESSION = _measurement(
    "session",
    Kept.LONG,
    "A charge that has ended, at the time it began.",
    "area site device socket",
    {
        "ended_at_us": (int, "when it ended"),
        "duration_s": (float, "how long it was"),
        "energy_kwh": (float, "energy charged"),
        "peak_w": (float, "highest power of two readings in a row"),
        "charging_w": (float, "power of its plateau"),
        "ending": (str, "finished, unplugged, cut, stopped, abrupt or lost"),
        "stop_reason": (str, "the device's words, if it gave any"),
        "after_hours": (int, "1 if it lasted into hours in which the site is closed"),
    },
)

# --- Rollups: what the readings come to ------------------------------------------------

SOCKET_15M = _measurement(
    "socket_15m",
    Kept.LONG,
    "A quarter of an hour of one socket, at its beginning.",
    "area site device socket",
    {
        "energy_kwh": (float, "energy in that time"),
        "peak_w": (float, "highest power read"),
        "mean_w": (float, "mean of the powers read"),
        "temperature_c": (float, "highest temperature of the socket read"),
        "readings": (int, "how many"),
    },
)
SITE_15M = _measurement(
    "site_15m",
    Kept.LONG,
    "A quarter of an hour of one site, at its beginning.",
    "area site",
    {
        "energy_kwh": (float, "energy in that time"),
        "after_hours_kwh": (float, "of which while the site was closed"),
        "mean_w": (float, "mean power of all sockets together: the demand"),
        "peak_w": (float, "highest power read at one socket"),
        "charging": (int, "sockets that charged at any time of it"),
        "heard": (int, "declared devices that were heard, or need not be heard so often"),
        "devices": (int, "declared devices"),
    },
)
SITE_DAY = _measurement(
    "site_day",
    Kept.LONG,
    "A day of one site, at midnight of the site's own clock.",
    "area site",
    {
        "name_zh": (str, "of the site"),
        "name_en": (str, "of the site"),
        "energy_kwh": (float, "energy of that day"),
        "after_hours_kwh": (float, "of which while the site was closed"),
        "demand_w": (float, "highest mean power of a quarter of an hour"),
        "sessions": (int, "charges that began"),
        "after_hours_sessions": (int, "of which lasted into closed hours"),
        "overload_alerts": (int, "alerts of the overload rules that fired"),
        "alerts": (int, "all alerts that fired"),
        "uptime_pct": (float, "how much of the time its declared devices were heard"),
    },
)
SOCKET_DAY = _measurement(
    "socket_day",
    Kept.LONG,
    "A day of one socket, at midnight of the site's own clock.",
    "area site device socket",
    {
        "energy_kwh": (float, "energy of that day"),
        "peak_w": (float, "highest power read"),
        "sessions": (int, "charges that began"),
        "uptime_pct": (float, "how much of the time its device was heard"),
    },
)

# --- Now: what the service sees, sampled ------------------------------------------------

SITE_NOW = _measurement(
    "site_now",
    Kept.LONG,
    "A site as the service sees it, once a minute.",
    "area site",
    {
        "name_zh": (str, "of the site"),
        "name_en": (str, "of the site"),
        "choice_zh": (str, "name and id of the site, ␟ between them: a choice in Grafana"),
        "choice_en": (str, "name and id of the site, ␟ between them: a choice in Grafana"),
        "area_choice_zh": (str, "name and id of its area, ␟ between them"),
        "area_choice_en": (str, "name and id of its area, ␟ between them"),
        "latitude": (float, "degrees north, if the sites file says so"),
        "longitude": (float, "degrees east, if the sites file says so"),
        "worst": (int, "of its open alerts: 0 none, 1 warning, 2 critical, 3 emergency"),
        "open_alerts": (int, "alerts that fire"),
        "sockets": (int, "sockets known"),
        "charging": (int, "sockets that charge now"),
        "after_hours": (int, "of which although the site is closed"),
        "closed": (int, "1 while the site is closed"),
        "power_w": (float, "all sockets together, latest values"),
        "chargers": (int, "declared chargers"),
        "chargers_missing": (int, "of which silent or never heard"),
        "sensors": (int, "declared smoke sensors"),
        "sensors_missing": (int, "of which silent or never heard"),
    },
)
DEVICE_NOW = _measurement(
    "device_now",
    Kept.LONG,
    "A device as the service sees it, every five minutes.",
    "area site device kind dialect",
    {
        "name": (str, "what its dialect calls it"),
        "declared": (int, "1 if the sites file names it"),
        "silent": (int, "1 if it is silent or was never heard"),
        "heard_ago_s": (float, "since it was last heard; not there if it never was"),
        "battery_pct": (float, "latest value"),
        "battery_low": (int, "1 if the device says so"),
        "signal_pct": (float, "how well it is received, latest value"),
        "clock_off_s": (float, "how far its clock is ahead; not there if it gives no time"),
        "clock_wrong": (int, "1 if its clock is not believed"),
        "firmware": (str, "latest value"),
        "overload_warn_w": (float, "a charger's limit in force: a socket's power, warning"),
        "overload_act_w": (float, "a charger's limit in force: a socket's power, critical"),
        "heat_warn_c": (float, "a charger's limit in force: its temperature, warning"),
        "heat_act_c": (float, "a charger's limit in force: its temperature, critical"),
    },
)
SERVICE_NOW = _measurement(
    "service_now",
    Kept.LONG,
    "The service itself, every 15 s.",
    "",
    {
        "messages_s": (float, "messages understood a second, since the last point"),
        "readings_s": (float, "readings kept a second"),
        "refused": (int, "messages put in quarantine since the last point"),
        "repeated": (int, "messages that had been here before, since the last point"),
        "lag": (int, "journal entries that the history lacks"),
        "delay_p50_s": (float, "alarms of the last hour, arrival to first telling"),
        "delay_p99_s": (float, "alarms of the last hour, arrival to first telling"),
        "outbox": (int, "notifications that wait to be told"),
        "told": (int, "notifications told since the last point"),
        "tries_failed": (int, "tries that failed since the last point"),
        "given_up": (int, "notifications given up since the last point"),
        "broker_ok": (int, "1 while both sessions with the broker are up"),
        "ledger_ok": (int, "1 while the ledger can be written"),
        "history_ok": (int, "1 while the history takes what it is given"),
        "open_alerts": (int, "alerts that fire, everywhere"),
        "memory_mib": (float, "resident memory of the process"),
    },
)

ALL = (
    SOCKET,
    DEVICE,
    CURSOR,
    FACTS_CURSOR,
    ALERT,
    ALERT_EVENT,
    SESSION,
    SOCKET_15M,
    SITE_15M,
    SITE_DAY,
    SOCKET_DAY,
    SITE_NOW,
    DEVICE_NOW,
    SERVICE_NOW,
)
