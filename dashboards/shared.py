"""What several dashboards have in common: limits, links, and columns."""

from dashboards.board import uid_of
from dashboards.influxql import lately
from dashboards.palette import family, severities
from dashboards.panels import link
from dashboards.tables import Column
from dashboards.words import Words

SITES_NOW = lately("5m")
"""Five samples: one that is late does not empty a page."""
DEVICES_NOW = lately("15m")
"""Three samples."""
STILL_OPEN = lately("90d")
"""When an alert that is open may have fired: none must be missed, but not all be read."""

CHARGES_FROM_W = 15.0
OVERLOAD_W = (800.0, 1000.0)
"""The built-in policy's limits, where a word and not a line must stand; a test holds them
equal to it."""

OVERLOAD_RULES = ("overload", "pile_overload", "site_overload")
IS_OVERLOAD = f'"rule" =~ /^({"|".join(OVERLOAD_RULES)})$/'

SITE_VALUE = "${__data.fields.site:percentencode}"
EPISODE_VALUE = "${__data.fields.episode:percentencode}"


def to_station(say: Words) -> dict[str, object]:
    """Return the link from a row with a site to its dashboard."""
    board = f"/d/{uid_of('station', say.lang)}"
    return link(say("links.station"), f"{board}?var-site={SITE_VALUE}&${{__url_time_range}}")


def to_station_console(say: Words) -> dict[str, object]:
    """Return the link from a row with a site to its page in the console.

    A site's id is area/site, and so is the page's address: the slash stays as it is.
    """
    address = "${console:raw}/stations/${__data.fields.site:uriencode}"
    return link(say("links.station_console"), address, outside=True)


def to_alert(say: Words) -> dict[str, object]:
    """Return the link from a row with an episode to its page in the console."""
    return link(say("links.alert"), f"${{console:raw}}/alerts/{EPISODE_VALUE}", outside=True)


def to_board(say: Words, board: str) -> tuple[str, str]:
    """Return words and address of another dashboard, with what is chosen now."""
    address = f"/d/{uid_of(board, say.lang)}?${{area:queryparam}}&${{site:queryparam}}"
    return say(f"{board}.title"), address


def site_columns(say: Words) -> list[Column]:
    """Return area and site of a row; a click leads to the station."""
    return [
        Column(name="area", width=110),
        Column(name="site", links=[to_station(say), to_station_console(say)]),
    ]


def named_site(say: Words) -> Column:
    """Return the name of a row's site; a click leads to the station."""
    return Column(name="name", links=[to_station(say), to_station_console(say)])


def alert_columns(say: Words) -> list[Column]:
    """Return the columns of a list of alerts; ALERT_PARTS asks for them."""
    alert = [to_alert(say)]
    return [
        Column(name="Time", width=170, links=alert),
        Column(name="severity", width=100, mappings=severities(say), coloured=True),
        Column(name="title", links=alert),
        named_site(say),
        Column(name="device"),
        Column(name="socket", width=80),
        Column(name="value", width=90, unit="none", decimals=1),
        Column(name="limit", width=90, unit="none", decimals=1),
        Column(name="unit", width=60),
        Column(name="acknowledged_by", width=130),
        Column(name="episode", hidden=True),
        Column(name="site", hidden=True),
    ]


def alert_parts(say: Words) -> str:
    """Return what a list of alerts asks for."""
    return (
        f'"severity", "title_{say.lang}" AS "title", "site_{say.lang}" AS "name",'
        ' "site", "device", "socket", "value", "limit", "unit", "acknowledged_by", "episode"'
    )


def rule_column(say: Words) -> Column:
    return Column(name="rule", mappings=family(say, "rule"))
