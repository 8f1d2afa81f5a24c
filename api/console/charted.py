"""What is charted of an alert, or of a socket: which quantity, with which limits."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from api.console.chart import Chart, Limit, Mark, Point, Question, drawn, window
from api.watch import Watch
from ingest.ledger.queries import AlertRow, EventRow
from rules.alerts import State
from rules.policy import Policy
from rules.readings import DeviceId, Kind
from rules.subject import DeviceState, Values
from rules.verdict import Severity

UNITS: Mapping[str, str] = {
    "power_w": "W",
    "device_temperature_c": "°C",
    "ambient_temperature_c": "°C",
    "voltage_v": "V",
    "battery_pct": "%",
}
"""The quantities that are charted."""
OF_UNIT = {"W": "power_w", "°C": "device_temperature_c", "K": "device_temperature_c"} | {
    "V": "voltage_v"
}
OF_RULE = {
    "sensor_battery": "battery_pct",
    "long_charge": "power_w",
    "no_taper": "power_w",
    "long_float": "power_w",
    "cut_failed": "power_w",
}
"""Of rules whose evidence is a length of time, or of no unit."""
HEARD_AT = {
    "power_w": "power_at",
    "device_temperature_c": "temperature_at",
    "voltage_v": "voltage_at",
}
MARKED = (
    "firing",
    "raised",
    "acknowledged",
    "escalated",
    "reminded",
    "command_sent",
    "command_verified",
    "command_failed",
    "latch_cleared",
    "resolved",
)
MARKS_MAX = 12


def question_of(alert: AlertRow, state: DeviceState | None) -> Question | None:
    """Return what shows best what the alert is about; None: nothing that is measured."""
    if not alert.device or state is None:
        return None
    quantity = OF_RULE.get(alert.rule) or OF_UNIT.get(alert.evidence.unit)
    if quantity is None and state.kind is Kind.SMOKE:
        quantity = _warmth(state.whole)
    if quantity is None:
        return None
    return Question(
        device=state.id,
        channels=_channels(alert, state, quantity),
        quantity=quantity,
        unit=UNITS[quantity],
        lowest=alert.evidence.lower_is_worse or quantity == "battery_pct",
    )


def limits_of(quantity: str, policy: Policy, rule: str = "overload") -> Iterator[Limit]:
    """Yield the limits in force for a quantity, those of a warning first."""
    warning, critical = Severity.WARNING, Severity.CRITICAL
    if quantity == "power_w":
        own = policy.pile_overload if rule == "pile_overload" else policy.overload
        yield from (Limit(own.warn_w, warning), Limit(own.act_w, critical))
    elif quantity == "device_temperature_c":
        yield from (Limit(policy.heat.warn_c, warning), Limit(policy.heat.act_c, critical))
    elif quantity == "voltage_v":
        own_v = policy.voltage
        yield from (Limit(own_v.low_warn_v, warning), Limit(own_v.high_warn_v, warning))
        yield from (Limit(own_v.low_act_v, critical), Limit(own_v.high_act_v, critical))
    elif quantity == "battery_pct":
        yield Limit(policy.sensor_battery.low_pct, warning)


def present_of(state: DeviceState | None, question: Question) -> Point | None:
    """Return the last value that was heard, which the history may not have yet."""
    if state is None or len(question.channels) != 1:
        return None
    [channel] = question.channels
    part = state.whole if channel is None else state.sockets.get(channel)
    heard = HEARD_AT.get(question.quantity)
    at = getattr(part, heard) if part is not None and heard else None
    value = None if part is None else getattr(part, question.quantity)
    return None if at is None or value is None else Point(at, value)


def marks_of(log: Iterable[EventRow]) -> list[Mark]:
    """Return the moments that are marked: of many of a kind the first and the last."""
    found = [Mark(event.at, event.what) for event in log if event.what in MARKED]
    return found if len(found) <= MARKS_MAX else [*found[: MARKS_MAX - 1], found[-1]]


async def chart_of_alert(
    watch: Watch, alert: AlertRow, log: Iterable[EventRow], now: datetime
) -> Chart | None:
    """Return the chart around an alert; None: what it is about is not measured."""
    state = watch.engine.device(DeviceId(alert.device)) if alert.device else None
    question = question_of(alert, state)
    if question is None or question.device not in watch.registry.devices:
        return None
    policy = watch.registry.policy_of(question.device)
    limits = list(limits_of(question.quantity, policy, alert.rule))
    evidence = alert.evidence
    known = {limit.value for limit in limits}
    if evidence.limit is not None and evidence.unit == question.unit:
        limits += [Limit(evidence.limit, alert.severity)] * (evidence.limit not in known)
    return await drawn(
        watch.history,
        question,
        window(alert.began_at, alert.resolved_at, now),
        limits=_near(limits, alert),
        marks=marks_of(log),
        present=present_of(state, question) if alert.state == State.FIRING else None,
    )


def _near(limits: list[Limit], alert: AlertRow) -> list[Limit]:
    """Return the limits on the side on which the alert is: voltage has four."""
    if alert.rule != "voltage" or alert.evidence.limit is None:
        return limits
    middle = sum(limit.value for limit in limits) / len(limits)
    below = alert.evidence.lower_is_worse
    return [limit for limit in limits if (limit.value < middle) is below]


def _warmth(part: Values) -> str | None:
    """Return by which name a smoke detector tells its temperature, if it has one."""
    for name in ("device_temperature_c", "ambient_temperature_c"):
        if getattr(part, name) is not None:
            return name
    return None


def _channels(alert: AlertRow, state: DeviceState, quantity: str) -> tuple[int | None, ...]:
    if alert.channel is not None:
        return (alert.channel,)
    named = alert.evidence.detail.rpartition(" ")[2]  # "over_neighbours 3", or only "3"
    if quantity != "power_w":
        return (int(named) if named.isdecimal() and int(named) in state.sockets else None,)
    metered = [part.channel for part in state.metered_parts if part.channel is not None]
    return tuple(sorted(metered)) or (None,)
