"""Where stations lie among each other: a drawing of our own, since no map may be loaded.

Each station has a cell of a grid, the one that is free and nearest to where it lies, so that
none hides another. What is near is near and north is up; distances are not to scale.
"""

from collections.abc import Iterator, Sequence
from math import ceil, cos, radians

import msgspec

WIDTH = 360
"""As wide as a phone: letters are then as large as others."""
NAMED_MAX = 12
"""Up to so many there is room for the name of each."""
FREE_SHARE = 1.5
"""Cells for each station: some stay free, and show where nothing is."""
TALL_MAX = 2.5


class Spot(msgspec.Struct, frozen=True):
    """A station that is somewhere: degrees north and east."""

    id: str
    north: float
    east: float


class Cell(msgspec.Struct, frozen=True):
    """Where a station is drawn: the middle of its cell."""

    id: str
    x: float
    y: float


class Plan(msgspec.Struct, frozen=True):
    width: int
    height: int
    named: bool
    """There is room for names."""
    cells: tuple[Cell, ...]


def plan_of(spots: Sequence[Spot]) -> Plan:
    """Return where each station is drawn; the order of `spots` changes nothing."""
    named = len(spots) <= NAMED_MAX
    wide, tall = (WIDTH / 3, 76.0) if named else (WIDTH / 9, 40.0)
    columns = round(WIDTH / wide)
    ordered = sorted(spots, key=lambda spot: (-spot.north, spot.east, spot.id))
    wanted, shape = _wanted(ordered)
    least = ceil(len(spots) * FREE_SHARE / columns)
    rows = round(min(max(columns * shape * wide / tall, least), least * TALL_MAX)) or 1
    taken: set[tuple[int, int]] = set()
    cells: list[Cell] = []
    for spot, (across, down) in zip(ordered, wanted, strict=True):
        near = round(across * (columns - 1)), round(down * (rows - 1))
        column, row = _nearest_free(near, (columns, rows), taken)
        taken.add((column, row))
        cells.append(Cell(spot.id, (column + 0.5) * wide, (row + 0.5) * tall))
    rows_used = max((row for _, row in taken), default=0) + 1
    return Plan(WIDTH, round(rows_used * tall), named, tuple(cells))


def _wanted(spots: Sequence[Spot]) -> tuple[list[tuple[float, float]], float]:
    """Return where each lies, from 0 to 1 across and down, and how tall it all is to wide."""
    if not spots:
        return [], 0.0
    norths, easts = [spot.north for spot in spots], [spot.east for spot in spots]
    shrink = cos(radians(sum(norths) / len(norths)))
    height = max(norths) - min(norths)
    width = (max(easts) - min(easts)) * shrink
    side = max(height, width) or 1.0
    return [
        (
            (spot.east - min(easts)) * shrink / (width or side),
            (max(norths) - spot.north) / (height or side),
        )
        for spot in spots
    ], height / (width or side)


def _nearest_free(
    near: tuple[int, int], size: tuple[int, int], taken: set[tuple[int, int]]
) -> tuple[int, int]:
    for distance in range(sum(size)):
        free = [
            cell
            for cell in _ring(near, distance)
            if cell not in taken and 0 <= cell[0] < size[0] and 0 <= cell[1] < size[1]
        ]
        if free:
            return min(
                free,
                key=lambda cell: ((cell[0] - near[0]) ** 2 + (cell[1] - near[1]) ** 2, cell),
            )
    raise AssertionError("there are more cells than stations")


def _ring(middle: tuple[int, int], distance: int) -> Iterator[tuple[int, int]]:
    """Yield the cells of the square around a cell."""
    column, row = middle
    for step in range(-distance, distance + 1):
        yield column + step, row - distance
        yield column + step, row + distance
        yield column - distance, row + step
        yield column + distance, row + step
