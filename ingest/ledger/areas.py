"""Whose business a row is: those of some areas only, by the site or the device in it."""

import sqlalchemy as sa

from rules.alerts import EVERYTHING

Areas = frozenset[str] | None
"""Ids of areas; None: all there are."""


def lies_in(areas: Areas, *places: sa.ColumnElement[str]) -> list[sa.ColumnElement[bool]]:
    """Return the condition that one of `places` ("area/…") lies in `areas`, if it must."""
    if areas is None:
        return []
    own = sorted(areas)
    return [sa.or_(*(sa.func.substr(p, 1, sa.func.instr(p, "/") - 1).in_(own) for p in places))]


def concerns(
    areas: Areas, site: sa.ColumnElement[str], scope: sa.ColumnElement[str]
) -> list[sa.ColumnElement[bool]]:
    """Return the condition that an alert concerns `areas`, as in `Caller.sees_alert`."""
    return [
        sa.or_(condition, sa.and_(site == "", scope == str(EVERYTHING)))
        for condition in lies_in(areas, site)
    ]
