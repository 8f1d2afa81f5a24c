"""The six dashboards, each on one line. To add one: a file here, a line below, its words."""

from collections.abc import Callable
from types import MappingProxyType

from dashboards.board import Board
from dashboards.boards.alerts import alerts
from dashboards.boards.devices import devices
from dashboards.boards.overview import overview
from dashboards.boards.service import service
from dashboards.boards.station import station
from dashboards.boards.weekly import weekly
from dashboards.words import Words

BOARDS: MappingProxyType[str, Callable[[Words], Board]] = MappingProxyType(
    {
        "overview": overview,
        "station": station,
        "alerts": alerts,
        "devices": devices,
        "weekly": weekly,
        "service": service,
    }
)
