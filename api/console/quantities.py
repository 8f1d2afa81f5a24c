"""What a device said, in words: the unit is in the name of the quantity."""

from datetime import timedelta

from api.http.shapes.shape import Value
from api.text import Texts, plain

UNITS = {"w": "W", "a": "A", "v": "V", "kwh": "kWh", "c": "°C", "pct": "%"}
PLACES = {"kwh": 3, "a": 2}


def said(say: Texts, quantity: str, value: Value) -> str:
    """Return a value as people read it; what a device wrote itself stays plain text."""
    if isinstance(value, bool):
        return say("value.yes" if value else "value.no")
    if isinstance(value, str):
        return plain(value) or say("value.none")
    suffix = quantity.rpartition("_")[2]
    if suffix == "s":
        return say.span(timedelta(seconds=value)) if value >= 0 else say.number(value, "s")
    return say.number(value, UNITS.get(suffix, ""), PLACES.get(suffix, 1))
