"""What a rule is: a question about one subject at one moment."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from rules.policy import DeviceProfile, SitePolicy
from rules.readings import Kind
from rules.schedule import Calendar, Span
from rules.subject import DeviceState, Values


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured against which limit; the words are the message catalogue's."""

    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    since: datetime | None = None
    until: datetime | None = None
    detail: str = ""


class Clear(msgspec.Struct, frozen=True):
    """All is well, at least until `recheck_at` or the next reading."""

    recheck_at: datetime | None = None


class Between(msgspec.Struct, frozen=True):
    """Below the trigger but not below the clear threshold: starts nothing, ends nothing."""

    recheck_at: datetime | None = None


class Unknown(msgspec.Struct, frozen=True):
    """No fresh data. It never starts an alert and never ends one."""

    recheck_at: datetime | None = None


class Breach(msgspec.Struct, frozen=True):
    """Something is wrong, and this is the evidence."""

    evidence: Evidence
    recheck_at: datetime | None = None
    at_once: bool = False
    """It fires without the rule's hold: the device itself has waited already."""


Verdict = Clear | Between | Unknown | Breach

CLEAR = Clear()
BETWEEN = Between()
UNKNOWN = Unknown()


class Timing(NamedTuple):
    """How long a breach must last to fire, and how long it must be gone to be resolved."""

    hold: timedelta = timedelta(0)
    keep_firing: timedelta = timedelta(0)


AT_ONCE = Timing()


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What a rule may know besides the subject itself."""

    now: datetime
    policy: SitePolicy
    profile: DeviceProfile
    fresh_for: timedelta
    """How long a value of this device holds before it counts as unknown."""
    calendar: Calendar
    hearing: bool = True
    """False while the broker is out of reach: then silence means nothing."""

    @property
    def span(self) -> Span:
        """The open or closed time of the site that holds `now`."""
        return self.calendar.span(self.profile.site, self.policy.schedule, self.now)


class Rule(Protocol):
    """Common to all rules. A rule is frozen and remembers nothing."""

    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of device it looks at."""
        ...

    @property
    def basis(self) -> str:
        """Where the threshold comes from."""
        ...

    def timing(self, policy: SitePolicy) -> Timing: ...


class SocketRule(Rule, Protocol):
    """Judges each socket of a device by itself."""

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict: ...


class DeviceRule(Rule, Protocol):
    """Judges a device as a whole."""

    def judge(self, device: DeviceState, moment: Moment) -> Verdict: ...
