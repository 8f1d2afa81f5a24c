"""Recordings, truths and runs for the tests of the backtest."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api.backtest.episodes import Episode
from api.backtest.places import registry_of
from api.backtest.result import Result
from api.backtest.running import Asked, on_recording
from api.backtest.truth import Incident
from ingest.codecs import all_codecs
from ingest.duckdb_history import open_duckdb
from ingest.intake import Intake
from ingest.ledger.store import open_ledger
from ingest.lines import recorded_line
from ingest.replay import Seen
from ingest.wire import Message
from rules.catalog import rules_in_force
from rules.engine import Engine

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
"""A Monday, in Shanghai."""
MINUTE = timedelta(minutes=1)
PILE = "town/north/pile-1"
SITES = f"""
[areas.town]
name = {{zh = "镇", en = "Town"}}

[sites."town/north"]
name = {{zh = "北", en = "North"}}

[[devices]]
id = "{PILE}"
kind = "charger"
"""


def watts(after_s: float, power_w: float, device: str = PILE) -> Message:
    """Return what the first socket of a pile says, so many seconds after noon."""
    said = {"readings": [{"channel": 1, "power_w": power_w}]}
    at = NOON + timedelta(seconds=after_s)
    return Message(f"chargewatch/v1/{device}/telemetry", json.dumps(said).encode(), at)


def lines(*messages: Message) -> list[bytes]:
    return [recorded_line(message) for message in messages]


def an_hour(*loads: tuple[float, float]) -> list[Message]:
    """Return a report every 30 s; each load is (from minute, power) and lasts to the next."""
    messages = []
    for second in range(0, 3600, 30):
        power_w = [power_w for minute, power_w in loads if minute * 60 <= second][-1]
        messages.append(watts(second, power_w))
    return messages


def run(  # noqa: PLR0913  (a run has this many files)
    folder: Path,
    recording: Iterable[bytes],
    *,
    sites: str = SITES,
    policy: str | None = None,
    in_force: str | None = None,
    truth: Iterable[object] | None = None,
) -> Result:
    """Play a recording as the command does, without its words."""
    asked = Asked(
        sites=written(folder / "sites.toml", sites),
        policy=None if policy is None else written(folder / "policy.toml", policy),
        in_force=None if in_force is None else written(folder / "in-force.toml", in_force),
        truth=None
        if truth is None
        else written(folder / "truth.jsonl", "\n".join(map(json.dumps, truth))),
    )
    path = folder / "recording.jsonl"
    path.write_bytes(b"".join(recording))
    return on_recording(asked, path, lambda _share, _now: None)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def episode(
    begins: float, ends: float | None = None, rule: str = "overload", channel: int | None = 1
) -> Episode:
    """Return an alert that fired and was resolved so many minutes after noon."""
    return Episode(
        rule=rule,
        severity="critical",
        site="town/north",
        device=PILE,
        channel=channel,
        fired_at=NOON + begins * MINUTE,
        told_at=NOON + begins * MINUTE,
        resolved_at=None if ends is None else NOON + ends * MINUTE,
    )


def incident(  # noqa: PLR0913  (a truth has this many parts)
    begins: float,
    ends: float | None = None,
    rules: Sequence[str] = ("overload",),
    *,
    kind: str = "overload",
    device: str | None = PILE,
    channel: int | None = 1,
    must_not: Sequence[str] = (),
    latest: float | None = None,
    severity: str = "",
) -> Incident:
    """Return something that happened so many minutes after noon."""
    return Incident(
        kind=kind,
        begins=NOON + begins * MINUTE,
        ends=None if ends is None else NOON + ends * MINUTE,
        site="town/north",
        device=device,
        channel=channel,
        severity=severity,
        expected_rules=tuple(rules),
        must_not_rules=tuple(must_not),
        latest=None if latest is None else NOON + latest * MINUTE,
    )


def kept(folder: Path, messages: list[Message]) -> None:
    """Keep messages as the service does: in the ledger, then in the history."""
    registry = registry_of(folder / "sites.toml", None, messages[0].received_at)
    engine = Engine(*rules_in_force(), registry)
    intake = Intake(all_codecs(), registry, engine, Seen(), lambda *_: ())
    ledger = open_ledger(folder / "ledger.sqlite")

    async def keep() -> None:
        for first in range(0, len(messages), 100):
            batch = messages[first : first + 100]
            await ledger.commit(intake.digest(batch, batch[-1].received_at))
        async with open_duckdb(folder / "history.duckdb") as history:
            await history.append(await ledger.entries_after(0, len(messages)))

    try:
        asyncio.run(keep())
    finally:
        ledger.close()
