"""Publishes the JSON Schema of scenario files: `python -m simulator.schema`."""

from pathlib import Path

from simulator.scenario import schema

FILE = Path(__file__).parents[1] / "docs" / "schema" / "scenario.schema.json"


def main() -> None:
    FILE.write_bytes(schema())


if __name__ == "__main__":
    main()
