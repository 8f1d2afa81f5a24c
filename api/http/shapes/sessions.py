"""Charging sessions, those that go on and those that ended."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Shape, shown
from ingest.ledger.sessions import SessionRow
from rules.session import Session as OpenSession
from rules.subject import DeviceState

SESSION: dict[str, JsonValue] = {
    "id": 204,
    "device": "xuhui/renmin-lu/pile-1",
    "channel": 3,
    "site": "xuhui/renmin-lu",
    "began_at": WHEN,
    "ended_at": WHEN,
    "duration_s": 17_460.0,
    "energy_kwh": 0.912,
    "power_w": None,
    "charging_w": 196.4,
    "peak_w": 201.0,
    "phase": "finished",
    "ending": "finished",
    "stop_reason": "",
}


class Session(Shape):
    """One charge. One that goes on has no id, no end, and a present power."""

    id: int | None
    device: str
    channel: int | None
    """null: the device is one socket."""
    site: str
    began_at: datetime
    ended_at: datetime | None
    duration_s: float
    energy_kwh: float
    power_w: float | None
    charging_w: float
    """The plateau: the highest power that was held."""
    peak_w: float
    phase: str
    """plugged, charging, tapering, float or finished; of one that ended, the last."""
    ending: str | None
    """finished, unplugged, cut, stopped, abrupt or lost."""
    stop_reason: str
    """The device's own word, if it gave one."""

    model_config = shown(SESSION)

    @classmethod
    def of(cls, row: SessionRow) -> "Session":
        duration_s = (row.ended_at - row.began_at).total_seconds()
        names = [name for name in cls.model_fields if name not in {"duration_s", "power_w"}]
        values = {name: getattr(row, name) for name in names}
        return cls(duration_s=duration_s, power_w=None, **values)

    @classmethod
    def of_open(
        cls, session: OpenSession, device: DeviceState, channel: int | None
    ) -> "Session":
        return cls(
            id=None,
            device=device.id,
            channel=channel,
            site=device.site,
            began_at=session.began_at,
            ended_at=None,
            duration_s=session.duration.total_seconds(),
            energy_kwh=session.energy_kwh,
            power_w=session.power_w,
            charging_w=session.charging_w,
            peak_w=session.peak_w,
            phase=session.phase,
            ending=None,
            stop_reason="",
        )


class Sessions(Shape):
    """Newest first."""

    sessions: list[Session]
    next_before_id: int | None
    """Ask again with `before_id` set to this for the next page; null: this was the last."""

    model_config = shown({"sessions": [SESSION], "next_before_id": None})
