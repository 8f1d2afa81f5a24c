import json

from ingest.codecs.native import BRANCHES
from ingest.schema import SCHEMA_DIR, schemas
from rules.readings import QUANTITIES
from simulator.scenario import schema
from simulator.schema import FILE


def test_the_published_schemas_are_those_of_the_code() -> None:
    published = {path.name: path.read_bytes() for path in SCHEMA_DIR.glob("*.json")}
    assert published.pop(FILE.name) == schema(), "run: python -m simulator.schema"
    assert published == schemas(), "run: python -m ingest.schema"


def test_there_is_a_schema_for_each_branch() -> None:
    assert schemas().keys() == {f"{branch}.schema.json" for branch in BRANCHES}


def test_the_telemetry_schema_names_every_quantity() -> None:
    telemetry = json.loads(schemas()["telemetry.schema.json"])
    assert telemetry["$id"] == "chargewatch/v1/telemetry"
    assert telemetry["description"]
    assert telemetry["$defs"]["Reading"]["properties"].keys() == {"channel", *QUANTITIES}
