"""Prints the tables of docs/simulator.md: `python -m simulator.tables`."""

from collections.abc import Iterator

from simulator.faults import FAULTS
from simulator.scenario_file import library, read

COMMON = ("at", "where", "all")


def faults_table() -> Iterator[str]:
    """Yield the rows of the table of faults, as Markdown."""
    yield "| `fault` | what happens | befalls | its own keys | where it comes from |"
    yield "|---|---|---|---|---|"
    for tag, fault in FAULTS.items():
        keys = [name for name in fault.__struct_encode_fields__ if name not in COMMON]
        shown = ", ".join(f"`{key}`" for key in keys) or "–"
        text = " ".join((fault.__doc__ or "").split())
        yield f"| `{tag}` | {text} | {fault.target} | {shown} | {fault.source} |"


def scenarios_table() -> Iterator[str]:
    """Yield the rows of the table of scenarios, as Markdown."""
    yield "| scenario | lasts | stations | what it is for |"
    yield "|---|---|---|---|"
    for name, path in library().items():
        scenario = read(path)
        stations = len(scenario.sites) + sum(part.count for part in scenario.places)
        yield f"| `{name}` | {scenario.lasts} | {stations} | {scenario.text.en} |"


if __name__ == "__main__":
    print(*faults_table(), "", *scenarios_table(), sep="\n")  # noqa: T201
