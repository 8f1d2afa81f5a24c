"""What one can choose at the top of a dashboard: area, then site, then device."""

from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from dashboards.influxql import AREAS, SITES, tag_values
from dashboards.source import SOURCE
from dashboards.words import Words
from ingest.measurements import DEVICE_NOW, SITE_NOW

ALL = VariableOption(selected=True, text="All", value="$__all")
NONE_YET = VariableOption(selected=False, text="", value="")


def area(say: Words) -> VariableModel:
    return _choice(say, "area", tag_values(SITE_NOW, "area"), multi=True)


def site(say: Words, *, multi: bool = True) -> VariableModel:
    """Return the choice of sites of the chosen areas: several, or one."""
    return _choice(say, "site", tag_values(SITE_NOW, "site", (AREAS,)), multi=multi)


def charger(say: Words) -> VariableModel:
    """Return the choice of one charger of the chosen site."""
    of_site = (AREAS, SITES, "\"kind\" = 'charger'")
    return _choice(say, "device", tag_values(DEVICE_NOW, "device", of_site), multi=False)


def console(url: str) -> VariableModel:
    """Return where the console is: hidden, for the links."""
    option = VariableOption(selected=True, text=url, value=url)
    return VariableModel(
        type_val=VariableType.CONSTANT,
        name="console",
        hide=VariableHide.HIDE_VARIABLE,
        skip_url_sync=True,
        query=url,
        current=option,
        options=[option],
    )


def _choice(say: Words, name: str, query: str, *, multi: bool) -> VariableModel:
    """`.*` for all of them: a question must not grow with the number of sites."""
    return VariableModel(
        type_val=VariableType.QUERY,
        name=name,
        label=say(f"variable.{name}"),
        description=say(f"variable.{name}.text"),
        datasource=SOURCE,
        query={"refId": f"choices-of-{name}", "query": query},
        multi=multi,
        include_all=multi,
        all_value=".*" if multi else None,
        allow_custom_value=False,
        current=ALL if multi else NONE_YET,
        refresh=VariableRefresh.ON_DASHBOARD_LOAD,
        sort=VariableSort.NATURAL_ASC,
    )
