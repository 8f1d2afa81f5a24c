"""What docs/history.md says of InfluxDB's measurements, made from ingest/measurements.py.

A program: `python -m tests.history_page` writes it into the page.
"""

from collections.abc import Iterator
from pathlib import Path

from ingest.measurements import ALL, DEVICE, LONG, SOCKET, Kept, Measurement

PAGE = Path(__file__).parents[1] / "docs" / "history.md"
BEGINS = "from ingest/measurements.py -->\n"
ENDS = "<!-- end -->"


def section() -> str:
    return "".join(f"{line}\n" for each in ALL for line in _lines(each))


def shown() -> str:
    """Return what the page has."""
    return PAGE.read_text(encoding="utf-8").partition(BEGINS)[2].partition(ENDS)[0]


def _lines(measurement: Measurement) -> Iterator[str]:
    place = "the readings' retention" if measurement.kept is Kept.READINGS else f"`{LONG}`"
    tags = ", ".join(f"`{tag}`" for tag in measurement.tags) or "none"
    yield f"\n### `{measurement.name}`\n"
    yield f"{measurement.what} In {place}; tags: {tags}.\n"
    if measurement is DEVICE:
        yield f"Its fields are those of `{SOCKET.name}`."
        return
    yield "| field | type | what |"
    yield "|---|---|---|"
    for name, field in measurement.fields.items():
        yield f"| `{name}` | {field.kind.__name__} | {field.what.replace('|', chr(92) + '|')} |"


def write() -> None:
    before, begins, rest = PAGE.read_text(encoding="utf-8").partition(BEGINS)
    after = rest.partition(ENDS)[2]
    PAGE.write_text(f"{before}{begins}{section()}\n{ENDS}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
