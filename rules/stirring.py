"""Whose alert is judged anew when another one begins or ends at the same site.

A rule that waits for a witness may wait on a device that says nothing any more.
"""

STIRRED_BY: dict[str, tuple[str, ...]] = {
    "abrupt_end": ("smoke", "heat", "warm", "after_session"),
}
"""By rule, the rules whose alarms bear its own out."""
