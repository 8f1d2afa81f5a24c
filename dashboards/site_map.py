"""The map: sites where they are, and nothing that comes from the internet.

Grafana's own base maps are tiles from foreign servers, and the borders in the outlines that
it brings along are not ours to publish. So the base layer is a GeoJSON layer without a
feature, given in its address: the browser asks nobody for it.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import geomap
from grafana_foundation_sdk.builders.common import FrameGeometrySource, MapLayerOptions
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models.geomap import MapCenterID, TooltipMode

from dashboards.panels import Look, by_threshold, finished
from dashboards.source import Question
from dashboards.tables import Column, arranged, named
from dashboards.words import Words

EMPTY = 'data:application/json,{"type":"FeatureCollection","features":[]}'
MARKER_PX = 10
NEAREST_ZOOM = 16
"""A single site must not fill the map."""


def site_map(say: Words, key: str, query: str, columns: Sequence[Column]) -> grafana.Panel:
    """Return sites as marks, coloured by `worst` and named by `name`; `columns` are shown
    where the mouse is.
    """
    blank = (
        MapLayerOptions()
        .type("geojson")
        .name(say(f"{key}.blank"))
        .config({"src": EMPTY, "rules": []})
    )
    style = {
        "size": {"fixed": MARKER_PX},
        "color": {"field": "worst"},
        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
        "opacity": 0.8,
        "text": {"mode": "field", "field": "name"},
        "textConfig": {"fontSize": 13, "offsetX": 0, "offsetY": 18},
    }
    sites = (
        MapLayerOptions()
        .type("markers")
        .name(say(f"{key}.sites"))
        .config({"showLegend": True, "style": style})
        .location(
            FrameGeometrySource()
            .mode(common.FrameGeometrySourceMode.COORDS)
            .latitude("latitude")
            .longitude("longitude")
        )
        .tooltip(True)
    )
    panel = (
        geomap.Panel()
        .basemap(blank)
        .layers([sites])
        .view(
            geomap.MapViewConfig().id(MapCenterID.FIT).all_layers(True).max_zoom(NEAREST_ZOOM)
        )
        .controls(
            geomap.ControlsOptions()
            .show_zoom(True)
            .mouse_wheel_zoom(True)
            .show_attribution(False)
            .show_scale(True)
        )
        .tooltip(geomap.TooltipOptions().mode(TooltipMode.DETAILS))
        .color_scheme(by_threshold())
        .build()
    )
    panel = finished(say, key, panel, [Question(query, table=True)], Look())
    panel.transformations = arranged(columns)
    named(say, panel, columns)
    return panel
