"""What people read, in their language: the message catalogue, and alerts, explained.

Devices' own words (names, faults, notes) come out as visible text, never as control
characters; escaping for HTML is the page's business.
"""

from api.text.catalogue import DEFAULT, LANGUAGES, Texts, plain
from api.text.explaining import (
    AlertLike,
    Explanation,
    alert_text,
    alert_title,
    device_label,
    explained,
    hazard_text,
)

__all__ = [
    "DEFAULT",
    "LANGUAGES",
    "AlertLike",
    "Explanation",
    "Texts",
    "alert_text",
    "alert_title",
    "device_label",
    "explained",
    "hazard_text",
    "plain",
]
