"""JSON Schema of the native wire format, for those who build devices.

`python -m ingest.schema` writes docs/schema/ anew; a test compares it with what is there.
"""

from pathlib import Path

import msgspec

from ingest.codecs.native import BRANCHES

SCHEMA_DIR = Path(__file__).parent.parent / "docs" / "schema"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, bytes]:
    """Return the content of each file by its name, the same bytes every time."""
    return {f"{branch}.schema.json": _schema(branch) for branch in BRANCHES}


def _schema(branch: str) -> bytes:
    body = BRANCHES[branch]
    _, parts = msgspec.json.schema_components((body,), ref_template="#/$defs/{name}")
    own = parts.pop(body.__name__)
    schema = {"$schema": DIALECT, "$id": f"chargewatch/v1/{branch}", **own}
    if parts:
        schema["$defs"] = parts
    encoded = msgspec.json.encode(schema, order="sorted")
    return msgspec.json.format(encoded, indent=2) + b"\n"


def main() -> None:
    SCHEMA_DIR.mkdir(parents=True, exist_ok=True)
    for name, content in schemas().items():
        (SCHEMA_DIR / name).write_bytes(content)


if __name__ == "__main__":
    main()
