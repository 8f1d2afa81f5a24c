"""What happened, marked in the curves: alerts, and what people did to the system."""

from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    AnnotationTarget,
    DataSourceRef,
)

from dashboards.influxql import ask
from dashboards.palette import BAD, GREY
from dashboards.source import SOURCE
from dashboards.words import Words
from ingest.measurements import ALERT_EVENT

MAINTENANCE = "chargewatch-maintenance"
"""The tag of what `python -m dashboards push --annotate` marks."""
MARKS_MAX = 100


class Events(AnnotationTarget):
    """A question for annotations, as the InfluxDB data source keeps it.

    The SDK knows only what Grafana's own annotations can be asked.
    """

    def __init__(self, query: str, text: str, tags: tuple[str, ...]) -> None:
        super().__init__()
        self.query, self.text, self.tag_columns = query, text, tags

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "Anno",
            "datasource": SOURCE,
            "query": self.query,
            "rawQuery": True,
            "fromAnnotations": True,
            "textColumn": self.text,
            "tagsColumn": ",".join(self.tag_columns),
        }


def alert_events(say: Words) -> AnnotationQuery:
    """Return the mark of everything that happened to the alerts of the chosen sites.

    Grafana drops an event of which any part is missing, so only those are asked for that
    every event has: an alert of a whole site has no device.
    """
    text = f"title_{say.lang}"
    query = ask(ALERT_EVENT, f'"{text}", "rule", "what"')
    return AnnotationQuery(
        name=say("annotations.alerts"),
        datasource=SOURCE,
        enable=True,
        hide=False,
        icon_color=BAD,
        target=Events(query, text, ("rule", "what")),
    )


def maintenance(say: Words) -> AnnotationQuery:
    """Return the mark of what people did, which Grafana keeps itself."""
    return AnnotationQuery(
        name=say("annotations.maintenance"),
        datasource=DataSourceRef(type_val="grafana", uid="-- Grafana --"),
        enable=True,
        hide=False,
        icon_color=GREY,
        target=AnnotationTarget(
            limit=MARKS_MAX, match_any=True, tags=[MAINTENANCE], type_val="tags"
        ),
    )
