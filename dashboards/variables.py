"""What one can choose at the top of a dashboard: area, then site, then device."""

from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from dashboards.influxql import AREAS, HERE, ask, lately, tag_values
from dashboards.source import SOURCE
from dashboards.words import Words
from ingest.measurements import CHOICE_ENDS_NAME, DEVICE_NOW, SITE_NOW

ALL = VariableOption(selected=True, text="All", value="$__all")
KNOWN = lately("30d")
"""A site of which nothing was seen for so long is no choice any more."""
NAME_AND_ID = f"/^(?<text>.*){CHOICE_ENDS_NAME}(?<value>.*)$/"
"""The name is shown, the id is asked for."""
NONE_YET = VariableOption(selected=False, text="", value="")


def area(say: Words) -> VariableModel:
    field = f"area_choice_{say.lang}"
    query = ask(SITE_NOW, f'last("{field}")', when=KNOWN, where=(), by=("area",))
    return _choice(say, "area", query, multi=True, regex=NAME_AND_ID)


def site(say: Words, *, multi: bool = True) -> VariableModel:
    """Return the choice of sites of the chosen areas: several, or one."""
    field = f"choice_{say.lang}"
    query = ask(SITE_NOW, f'last("{field}")', when=KNOWN, where=(AREAS,), by=("site",))
    return _choice(say, "site", query, multi=multi, regex=NAME_AND_ID)


def charger(say: Words) -> VariableModel:
    """Return the choice of one charger of the chosen site."""
    of_site = (*HERE, "\"kind\" = 'charger'")
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


def _choice(
    say: Words, name: str, query: str, *, multi: bool, regex: str | None = None
) -> VariableModel:
    """`.*` for all of them: a question must not grow with the number of sites."""
    return VariableModel(
        type_val=VariableType.QUERY,
        name=name,
        label=say(f"variable.{name}"),
        description=say(f"variable.{name}.text"),
        datasource=SOURCE,
        query={"refId": f"choices-of-{name}", "query": query},
        regex=regex,
        multi=multi,
        include_all=multi,
        all_value=".*" if multi else None,
        allow_custom_value=False,
        current=ALL if multi else NONE_YET,
        refresh=VariableRefresh.ON_DASHBOARD_LOAD,
        sort=VariableSort.NATURAL_ASC,
    )
