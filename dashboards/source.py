"""The data source, and a question as Grafana keeps it in a panel."""

from dataclasses import dataclass

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE_TYPE = "influxdb"
SOURCE_UID = "chargewatch-influxdb"
SOURCE = DataSourceRef(type_val=SOURCE_TYPE, uid=SOURCE_UID)


@dataclass(frozen=True)
class Question(Dataquery):
    """InfluxQL as text. The SDK has no model of it; this is what Grafana's editor saves."""

    query: str
    ref_id: str = "A"
    table: bool = False
    alias: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self.ref_id,
            "datasource": SOURCE,
            "query": self.query,
            "rawQuery": True,
            "resultFormat": "table" if self.table else "time_series",
            "alias": self.alias,
        }
