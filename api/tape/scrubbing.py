"""Leaves of a JSON payload what is known, and nothing else."""

import math
import re
from collections.abc import Callable, Mapping

import msgspec

from ingest.codecs.loose import MAGNITUDE_MAX, number, parsed
from ingest.wire import Rejected

DEPTH_MAX = 6
LIST_MAX = 64
MILLISECONDS_MAX = 10**14
"""Of a time since 1970; it is the one number beyond what a meter can have."""

_TIME = re.compile(
    r"\d{4}-\d\d?-\d\d?[T ]\d\d?:\d\d?:\d\d?(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
TIME_KEYS = frozenset({"Time", "last_seen"})


def scrubbed(
    payload: bytes,
    is_known: Callable[[str], bool],
    words: Mapping[str, str],
    instead: Mapping[str, str] | None = None,
) -> bytes | None:
    """Return a payload with known keys, numbers, times and words only; None: nothing is left.

    `words` are in lower case, with what they become; `instead` says what stands for another
    word under a key, where a word that is left out would say that all is well.
    """
    if not payload:
        return payload
    if not payload.lstrip().startswith((b"{", b"[")):
        return _bare(payload, words)
    body = parsed(payload)
    if isinstance(body, Rejected) or not isinstance(body, dict):
        return None
    return msgspec.json.encode(_object(body, is_known, words, instead or {}, DEPTH_MAX))


def _bare(payload: bytes, words: Mapping[str, str]) -> bytes | None:
    """Return a payload that is a single word or number."""
    try:
        said = payload.decode()
    except UnicodeDecodeError:
        return None
    kept = _text(said.strip().strip('"'), words)
    return None if kept is None else kept.encode()


def _object(
    body: dict[str, object],
    is_known: Callable[[str], bool],
    words: Mapping[str, str],
    instead: Mapping[str, str],
    depth: int,
) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in body.items():
        if not is_known(key):
            continue
        if isinstance(value, dict):
            if depth > 1:
                kept[key] = _object(value, is_known, words, instead, depth - 1)
        elif isinstance(value, list):
            kept[key] = [_scalar(key, each, words, instead) for each in value[:LIST_MAX]]
        elif (known := _scalar(key, value, words, instead)) is not None or value is None:
            kept[key] = known
    return kept


def _scalar(
    key: str, value: object, words: Mapping[str, str], instead: Mapping[str, str]
) -> object:
    """Return what may stay of a value; None: nothing."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        most = MILLISECONDS_MAX if key in TIME_KEYS else MAGNITUDE_MAX
        return value if math.isfinite(value) and abs(value) <= most else None
    if isinstance(value, str):
        kept = _text(value, words)
        return instead.get(key) if kept is None and value.strip() else kept
    return None


def _text(said: str, words: Mapping[str, str]) -> str | None:
    trimmed = said.strip()
    if _TIME.fullmatch(trimmed):
        return trimmed
    measured = number(said)
    if measured is not None:  # written anew: digits behind the point are no place to hide
        return f"{measured:.10g}"
    return words.get(trimmed.casefold())
