"""What the power of an open session shows: its level, its plateau, its phase.

A level is a power that is held. It follows what stays near it, and moves elsewhere only for
readings that all stay away for a while: no single reading does anything. The plateau is
the highest level, and the phase is how far the level is below it.
"""

from datetime import datetime, timedelta

from rules.policy import Policy
from rules.session import Phase, Session

BAND_SHARE, BAND_W, BAND_W_MAX = 0.15, 3.0, 60.0
"""Ours: more than a meter's noise (1 %) and the mains' changes, less than another bike."""
SMOOTHING = 1 / 8
"""Ours: how far a reading within the band moves the level."""
STAYS_SHARE = 0.8
"""Ours: power that has fallen by a fifth falls; noise and the mains do not do that."""
FLOATS_SHARE = 2 / 3
"""Ours, of a float: for hours after the charger has stepped down to it a lead-acid battery
takes less and less, by a quarter in the first; the tail of a taper halves in that time."""
RETURNS_SHARE = 0.9
"""Ours: a phase is gone back to only beyond this, so that noise does not alternate."""
MEAN_MAX = 2
"""Ours: energy is counted up to this multiple of the level; more is one wrong reading."""
UNSEEN_MAX = timedelta(seconds=90)
"""Ours: what draws on both sides of a longer gap may be another bike. A pile that reports by
the minute leaves shorter ones."""
TWO_KILOHOURS = timedelta(hours=2000)
"""The sum of two powers over this is kilowatt-hours."""
PLUGGED_IN, CHARGING = Phase.PLUGGED, Phase.CHARGING
"""Looking up a member of an enum costs as much as arithmetic."""


def draws(
    session: Session, power_w: float, at: datetime, passed: timedelta, policy: Policy
) -> None:
    """Take a charging power. Most readings end up here: it calls little and makes little."""
    if session.ending is not None or session.stop_reason:
        _goes_on(session)
    last_w = session.power_w
    session.power_w, session.at = power_w, at
    two_w = min(last_w + power_w, 2 * MEAN_MAX * session.level_w)
    session.drawn_kwh += two_w * (min(passed, policy.sessions.gap_max) / TWO_KILOHOURS)
    if power_w > session.peak_w < last_w:
        session.peak_w = min(power_w, last_w)
    if session.phase is PLUGGED_IN:
        _starts(session, last_w, at, policy)
        return
    level_w = session.level_w
    off_w = power_w - level_w
    if abs(off_w) > band_w(level_w):
        _leaves(session, last_w, at, passed, policy)
        level_w = session.level_w
    else:
        session.level_w = level_w = level_w + off_w * SMOOTHING
        session.leaving_since = None
        if level_w > session.held_w:
            session.held_w = level_w
            session.charging_w = max(session.charging_w, level_w)
        elif level_w < session.held_w * _stays_share(session):
            session.held_w, session.held_since = level_w, at
    if (
        session.phase is not CHARGING
        or level_w < session.charging_w * policy.sessions.taper_share
    ):
        enter(session, _phase(session, policy), at)


def _starts(session: Session, last_w: float, at: datetime, policy: Policy) -> None:
    """Take a charging power of a plug that has just gone in: its inrush is no plateau."""
    power_w = session.power_w
    if session.level_w == 0:  # plugged in some time ago, it begins to draw now
        session.began_at = session.since = session.held_since = at
        session.drawn_kwh = 0.0
    elif last_w >= policy.charging.min_w and at - session.since >= policy.sessions.settles:
        session.held_w, session.held_since = min(last_w, power_w), session.since
        session.charging_w = max(session.charging_w, session.held_w)
        enter(session, CHARGING, at)
    session.level_w = power_w


def _goes_on(session: Session) -> None:
    """Take back an end that was none."""
    session.low_since = session.ending = None
    session.felt_c = session.warm_c = session.coolest_c = None
    session.stop_reason = ""


def _leaves(
    session: Session, last_w: float, at: datetime, passed: timedelta, policy: Policy
) -> None:
    """Take a power beside the level's band; the level follows if it stays away.

    Of all the readings on the one side, the nearest counts.
    """
    power_w, level_w = session.power_w, session.level_w
    rises, leaving_w = power_w > level_w, session.leaving_w or 0.0
    if session.leaving_since is None or rises is not (leaving_w > level_w):
        session.leaving_since, session.leaving_w = at, power_w
        near = abs(last_w - level_w) <= band_w(level_w)
        session.leaving_seen = near and passed <= UNSEEN_MAX
        return
    leaving_w = min(leaving_w, power_w) if rises else max(leaving_w, power_w)
    session.leaving_w = leaving_w
    if at - session.leaving_since < policy.sessions.settles:
        return
    session.leaving_since, session.level_w = None, leaving_w
    if rises or leaving_w < session.held_w * _stays_share(session):
        session.held_w, session.held_since = leaving_w, at
    if rises and leaving_w > session.charging_w:
        _tops(session, level_w, at, policy)


def _tops(session: Session, from_w: float, at: datetime, policy: Policy) -> None:
    """Take a level above the plateau; it is a step if it is clearly above.

    A charger may go back to what it has drawn before, and no further. If the rise itself was
    seen, it is as high as it was; else, as if it had begun from the plateau.
    """
    plateau_w, session.charging_w = session.charging_w, session.level_w
    before_w = session.stepped_from_w
    if before_w is not None and from_w > before_w + band_w(before_w):
        return  # one more on top of a step that still lasts
    armed = at - session.began_at >= policy.power_step.armed_after
    if armed and session.level_w > plateau_w + band_w(plateau_w):
        session.stepped_from_w = min(from_w, plateau_w) if session.leaving_seen else plateau_w
        session.stepped_at = at


def _stays_share(session: Session) -> float:
    return FLOATS_SHARE if session.phase is Phase.FLOAT else STAYS_SHARE


def band_w(level_w: float) -> float:
    """Return how far off a level a reading may be and still belong to it."""
    return min(level_w * BAND_SHARE + BAND_W, BAND_W_MAX)


def _phase(session: Session, policy: Policy) -> Phase:
    """Return the phase that the level shows, leaning to the present one."""
    level_w, plateau_w, present = session.level_w, session.charging_w, session.phase
    if level_w >= plateau_w * (
        policy.sessions.taper_share if present is CHARGING else RETURNS_SHARE
    ):
        return Phase.CHARGING
    floats_w = max(policy.sessions.float_w, plateau_w * policy.sessions.float_share)
    if present is Phase.FLOAT:
        floats_w /= RETURNS_SHARE
    return Phase.FLOAT if level_w < floats_w else Phase.TAPERING


def enter(session: Session, phase: Phase, since: datetime) -> None:
    if phase is not session.phase:
        session.phase, session.since = phase, since
