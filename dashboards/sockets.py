"""Sockets in the order of their numbers, and each in its own colour.

The database sorts them as text: 1, 10, 2. Grafana's own colours are hard to tell apart for
a colour-blind person, so a socket has one of ours and, as those are few, a line of its own.
"""

from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, Panel

from dashboards.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from dashboards.panels import Property, setting
from dashboards.words import Words

NUMBERED = 64
"""More than any pile has; further ones come after them."""


def in_order(say: Words, panel: Panel) -> Panel:
    """Return the panel with its series, named `series.socket`, in the order of numbers."""
    names = [named(say, number) for number in range(1, NUMBERED + 1)]
    index = {name: place for place, name in enumerate(["Time", *names])}
    panel.transformations = [
        DataTransformerConfig(
            id_val="joinByField", options={"byField": "Time", "mode": "outer"}
        ),
        DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {}, "indexByName": index, "renameByName": {}},
        ),
    ]
    return panel


LINES: tuple[object, ...] = (
    {"fill": "solid"},
    {"fill": "dash", "dash": [10, 6]},
    {"fill": "dot", "dash": [0, 8]},
)
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE)


def in_colour(say: Words, panel: Panel) -> Panel:
    """Return the panel with a colour and a kind of line for each of the first sockets."""
    kinds = [(colour, line) for line in LINES for colour in COLOURS]
    for number, (colour, line) in enumerate(kinds, 1):
        properties: list[Property] = [
            ("color", {"mode": "fixed", "fixedColor": colour}),
            ("custom.lineStyle", line),
        ]
        setting(panel, "byName", named(say, number), *properties)
    return panel


def named(say: Words, number: int) -> str:
    """Return what the series of a socket is called."""
    return say("series.socket").replace("$tag_socket", str(number))
