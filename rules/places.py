"""Who is who and what is allowed where, as the rules may ask it."""

from typing import Protocol

from rules.alerts import Group
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId

DRILL_AREA = "_drill"
"""Reserved: nothing real is there, and no message from there is believed unless we sent it."""
DRILL_SITE = f"{DRILL_AREA}/drill"
DRILL_DEVICE = DeviceId(f"{DRILL_SITE}/detector")


class Places(Protocol):
    """Asked at each judgement, so that a change of the registry or the policy is in force
    from the next message on.
    """

    def profile_of(self, device: DeviceId) -> DeviceProfile: ...

    def policy_of(self, device: DeviceId) -> Policy: ...

    def group_policy_of(self, group: Group) -> Policy:
        """Return the policy of a site; of any wider group the default one."""
        ...

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        """Return the site and the groups that it belongs to itself."""
        ...
