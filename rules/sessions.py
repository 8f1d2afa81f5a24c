"""Recognises charging sessions, from power alone and from a device's own words.

`step` takes one reading of one socket and is the only way in which a session changes. It
keeps no past: one `Session` for each socket, and the same work for every reading.

Three things make it hard, and decide its shape. Meters err: one reading may show ten times
the power, or nothing (X10P firmware filters such), so nothing happens on a single one.
Readings come every second or every five minutes. And a socket that is empty shows a few
watts of its neighbours, just as a full battery does.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rules.charging import MEAN_MAX, TWO_KILOHOURS, draws, enter
from rules.cutting import Action
from rules.latch import Cut
from rules.policy import Policy
from rules.readings import Reading, Report, Standing
from rules.session import EndedSession, Ending, Phase, Session
from rules.subject import DeviceState, Values

PLUGGED = "plugged"
"""The word of `port_state` for a plug that goes in; those that end a charge are these:"""
ENDINGS = {
    "unplugged": Ending.UNPLUGGED,
    "idle": Ending.UNPLUGGED,
    "cut": Ending.CUT,
    "finished": Ending.FINISHED,
    "full": Ending.FINISHED,
}
UNPLUGGED, UNEXPLAINED = Ending.UNPLUGGED, (Ending.ABRUPT, Ending.LOST)

CERTAIN = timedelta(seconds=60)
"""Ours: nobody changes bikes within it unseen; a device that starts anew does."""

Stepped = tuple[Session | None, Session | None]
NOTHING: Stepped = (None, None)


def follow(device: DeviceState, report: Report, policy: Policy) -> Iterator[EndedSession]:
    """Take a message that the device has taken already; yield the sessions that it ended."""
    if report.standing is not Standing.LIVE:
        return
    for reading in report.readings:
        if reading.channel is None and device.sockets:
            continue  # the common meter of several sockets
        part = device.values(reading.channel)
        part.session, ended = step(part.session, reading, report.received_at, policy)
        if part.cut is not None and part.session is not None:
            _know_of_cut(part.session, part.cut)
        if ended is not None:
            yield _record(ended, part, device)


def lose(device: DeviceState, now: datetime, policy: Policy) -> Iterator[EndedSession]:
    """End the sessions of a device that has not been heard for too long; yield them."""
    heard_at = device.waiting_since
    if heard_at is None or now - heard_at < policy.sessions.lost_after:
        return
    for part in device.parts:
        if part.session is not None and part.session.ended_at is None:
            part.session, ended = _lost(part.session)
            if ended is not None:
                yield _record(ended, part, device)


def step(session: Session | None, reading: Reading, at: datetime, policy: Policy) -> Stepped:
    """Return the session to keep for the socket, and one that ended (or ended otherwise).

    The latter is for the record: it may come twice, the second time better explained. A
    session that never charged is forgotten without a word. `at` never goes back.
    """
    power_w = reading.power_w
    if session is None or session.ended_at is not None:
        if power_w is not None and power_w >= policy.charging.min_w:
            return _begun(reading, at, power_w), None
        if reading.port_state == PLUGGED:
            return _begun(reading, at, 0.0), None
        return NOTHING if session is None else _after(session, reading, at, policy)
    passed = at - session.at
    if (reading.port_state == PLUGGED or passed > CERTAIN) and _is_another(
        session, reading, at, policy
    ):
        return _replaced(session, reading, at, policy)
    if power_w is not None and power_w >= policy.charging.min_w:
        draws(session, power_w, at, passed, policy)
    else:
        _is_low(session, reading, at, passed, policy)
    _count(session, reading)
    if session.low_since is not None and _is_over(session, at, policy):
        return _ended(session, session.low_since)
    return session, None


# --- while it lasts ------------------------------------------------------------------


def _begun(reading: Reading, at: datetime, power_w: float) -> Session:
    session = Session(
        began_at=at, since=at, at=at, held_since=at, power_w=power_w, level_w=power_w
    )
    _count(session, reading)
    return session


def _count(session: Session, reading: Reading) -> None:
    """Follow the device's own counter: the running one if it has both."""
    now_kwh = reading.energy_kwh
    if now_kwh is None:
        now_kwh = reading.session_energy_kwh
        if now_kwh is None:
            return
    before_kwh = session.counter_kwh
    session.counter_kwh = now_kwh
    if before_kwh is None:
        session.counted_from_kwh = now_kwh
    elif now_kwh < before_kwh:  # it began anew, at 0
        session.counted_from_kwh -= before_kwh


# --- how it ends ---------------------------------------------------------------------


def _is_low(
    session: Session, reading: Reading, at: datetime, passed: timedelta, policy: Policy
) -> None:
    """Take a reading without any charging power, or without power at all."""
    word = ENDINGS.get(reading.port_state) if reading.port_state else None
    low_w = reading.power_w
    if low_w is not None:
        two_w = min(max(0.0, session.power_w + low_w), 2 * MEAN_MAX * session.level_w)
        session.drawn_kwh += two_w * (min(passed, policy.sessions.gap_max) / TWO_KILOHOURS)
        session.power_w, session.at = low_w, at
    if session.low_since is None:
        begins = session.level_w > 0 or word if low_w is not None else word is UNPLUGGED
        if not begins:
            _hint(session, reading)
            return
        session.low_since = at
        shown, hinted = _unexplained(session, passed, policy), session.ending
        session.ending = hinted if hinted and shown in UNEXPLAINED else shown
    _explain(session, reading)
    _feel(session, reading)
    if session.ending is Ending.FINISHED and at - session.low_since >= policy.sessions.settles:
        enter(session, Phase.FINISHED, session.low_since)


def _hint(session: Session, reading: Reading) -> None:
    """Keep what a device says of an end before its power shows it."""
    if reading.stop_reason:
        session.stop_reason = reading.stop_reason
    if reading.relay_on is not None:
        session.ending = None if reading.relay_on else Ending.CUT


def _unexplained(session: Session, gap: timedelta, policy: Policy) -> Ending:
    """Say what the power alone shows of the end."""
    if session.level_w < session.charging_w * policy.sessions.abrupt_share:
        return Ending.FINISHED
    return Ending.LOST if gap > policy.sessions.gap_max else Ending.ABRUPT


def _explain(session: Session, reading: Reading) -> bool:
    """Believe the device's word for an end; return whether it said anything new.

    A plug is pulled after a charge that finished, too: that is no other end.
    """
    before = session.ending
    if reading.stop_reason:
        session.stop_reason = reading.stop_reason
    if session.stop_reason:
        session.ending = Ending.STOPPED
    elif before in UNEXPLAINED:
        word = ENDINGS.get(reading.port_state) if reading.port_state else None
        if word is None and reading.relay_on is False:
            word = Ending.CUT
        session.ending = word or before
    return session.ending is not before


def _feel(session: Session, reading: Reading) -> None:
    """Follow how the socket cools down."""
    now_c = reading.device_temperature_c
    if now_c is None:
        return
    before_c, session.felt_c = session.felt_c, now_c
    if before_c is not None:
        session.warm_c = min(before_c, now_c)
        shown_c, coolest_c = max(before_c, now_c), session.coolest_c
        session.coolest_c = shown_c if coolest_c is None else min(coolest_c, shown_c)


def _know_of_cut(session: Session, cut: Cut) -> None:
    """Explain an end that we ordered: not every device says that its relay is off."""
    command, fell_at = cut.command, session.low_since
    if session.ending not in UNEXPLAINED or fell_at is None:
        return
    if command.action is Action.CUT and session.began_at <= command.ordered_at <= fell_at:
        session.ending = Ending.CUT


def _is_over(session: Session, at: datetime, policy: Policy) -> bool:
    """Say whether power has been gone for long enough."""
    low = at - (session.low_since or at)
    if session.power_w < policy.sessions.unplugged_w:
        return low >= policy.sessions.unplugged_for
    if session.ending is Ending.FINISHED:
        return low >= policy.sessions.trickle_for
    return low >= policy.sessions.dropped_for


def _is_another(session: Session, reading: Reading, at: datetime, policy: Policy) -> bool:
    """Say whether this reading cannot be of the open session any more."""
    if reading.port_state == PLUGGED and session.phase is not Phase.PLUGGED:
        low = session.low_since
        if low is None or at - low >= policy.sessions.unplugged_for:
            return True
        enter(session, Phase.PLUGGED, at)  # a plug that bounced; its inrush is no step
    gap = at - session.at
    if gap <= CERTAIN:
        return False
    ran_s = reading.session_duration_s
    if ran_s is not None and session.level_w > 0:
        return ran_s < gap.total_seconds()  # it was plugged in since we last heard of it
    return gap > policy.sessions.lost_after


def _replaced(session: Session, reading: Reading, at: datetime, policy: Policy) -> Stepped:
    _, ended = _lost(session)
    fresh, _ = step(ended, reading, at, policy)
    return fresh, ended


def _lost(session: Session) -> Stepped:
    if session.low_since is None:
        session.ending = Ending.LOST
    return _ended(session, session.low_since or session.at)


def _ended(session: Session, ended_at: datetime) -> Stepped:
    if not session.has_charged:
        return NOTHING
    session.ended_at = ended_at
    return session, session


def _after(session: Session, reading: Reading, at: datetime, policy: Policy) -> Stepped:
    """Watch a session that is over: a late word for its end, and how the socket cools.

    It is forgotten in the end, but not while the socket is warm without a reason.
    """
    ended_at = session.ended_at or at
    _feel(session, reading)
    if at - ended_at >= policy.after_session.watch and not is_warm(session, policy):
        return NOTHING
    late = at - ended_at > policy.sessions.dropped_for
    if (reading.stop_reason or not late) and _explain(session, reading):
        return session, session
    return session, None


def is_warm(session: Session, policy: Policy) -> bool:
    """Say whether a socket without load is warmer than it should be."""
    limits, warm_c, coolest_c = policy.after_session, session.warm_c, session.coolest_c
    if warm_c is None or coolest_c is None:
        return False
    return warm_c >= limits.warm_c or warm_c >= coolest_c + limits.rise_c


def _record(session: Session, part: Values, device: DeviceState) -> EndedSession:
    return EndedSession(
        device=device.id,
        channel=part.channel,
        site=device.site,
        began_at=session.began_at,
        ended_at=session.ended_at or session.at,
        energy_kwh=session.energy_kwh,
        peak_w=session.peak_w,
        charging_w=session.charging_w,
        phase=session.phase,
        ending=session.ending or Ending.LOST,
        stop_reason=session.stop_reason,
    )
