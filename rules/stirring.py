"""Whose alert is judged anew when another one begins at the same site.

A rule that waits for a witness may wait on a device that says nothing any more.
"""

STIRRED_BY: dict[str, tuple[str, ...]] = {"abrupt_end": ("smoke", "heat", "after_session")}
"""By rule, the rules whose alarm its pending alerts wait for."""
