"""What a rule is: a question about one subject at one moment."""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.policy import DeviceProfile, Policy
from rules.readings import Kind
from rules.schedule import Span
from rules.self_health import SelfHealth
from rules.subject import DeviceState, Values
from rules.verdict import Severity, Timing, Verdict


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What a rule may know besides the subject itself."""

    now: datetime
    policy: Policy
    profile: DeviceProfile
    fresh_for: timedelta
    """How long a value of this device holds before it counts as unknown."""
    span: Span
    """The open or closed time of the site that holds `now`."""
    site: GroupState
    """What is wrong with other devices of the site."""
    hearing: bool = True
    """False while the broker is out of reach: then silence means nothing."""


class GroupMoment(msgspec.Struct, frozen=True, gc=False):
    """What a rule may know besides the group itself."""

    now: datetime
    policy: Policy
    """That of the site; of a carrier, or of everything, the built-in one."""
    hearing: bool = True
    health: SelfHealth | None = None
    """How the service itself is doing; None until it was told."""


class Rule(Protocol):
    """Common to all rules. A rule is frozen and remembers nothing."""

    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> Severity:
        """The level of a breach that names none."""
        ...

    @property
    def basis(self) -> str:
        """Where the threshold comes from."""
        ...

    def timing(self, policy: Policy) -> Timing: ...


class PartRule(Rule, Protocol):
    """Looks at a device or at its sockets."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of device it looks at."""
        ...


class SocketRule(PartRule, Protocol):
    """Judges each socket of a device by itself."""

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict: ...


class DeviceRule(PartRule, Protocol):
    """Judges a device as a whole."""

    def judge(self, device: DeviceState, moment: Moment) -> Verdict: ...


class GroupRule(Rule, Protocol):
    """Judges what belongs together: a site, a carrier's devices, or everything."""

    @property
    def group(self) -> GroupKind: ...

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict: ...
