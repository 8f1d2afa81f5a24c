"""The watch as one caller may see it: what is foreign is not there.

Every route and every page looks things up here, so that nobody has to remember to ask whose
area it is. What is foreign is answered like what does not exist, by 404.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from api.http.access import Caller, Right
from api.http.problems import Trouble
from api.watch import PolicyState, Watch
from ingest.ledger import commanding, post_checks, queries, silences
from ingest.ledger.policy_log import PolicyLine, policy_lines
from ingest.ledger.queries import AlertRow
from ingest.ledger.silences import SilenceRow
from ingest.people import Post
from ingest.post_checks import PostCheck
from ingest.registry import Area, Device, Site
from rules.cutting import Command
from rules.latch import Latch
from rules.policies import Changed
from rules.readings import DeviceId


class Scoped(msgspec.Struct, frozen=True):
    """What is there for one caller."""

    watch: Watch
    caller: Caller

    # --- the registry ------------------------------------------------------------------

    def areas(self) -> list[Area]:
        """Return their areas, by id."""
        known = self.watch.registry.areas
        return [known[each] for each in sorted(known) if self.caller.answers_for(each)]

    def sites(self) -> list[Site]:
        known = self.watch.registry.sites.values()
        return [site for site in known if self.caller.answers_for(site.area)]

    def devices(self) -> list[Device]:
        known = self.watch.registry.devices.values()
        return [device for device in known if self.caller.sees(device.site)]

    def devices_at(self, site: str) -> list[Device]:
        """Return the devices of a site of theirs, by id."""
        known = self.watch.registry.devices.values()
        own = self.has_site(site)
        found = [device for device in known if own and device.site == site]
        return sorted(found, key=lambda device: device.id)

    def has_site(self, site: str) -> bool:
        return site in self.watch.registry.sites and self.caller.sees(site)

    def has_device(self, device: str) -> bool:
        return DeviceId(device) in self.watch.registry.devices and self.caller.sees(device)

    def site(self, site: str) -> Site:
        if not self.has_site(site):
            raise Trouble(404, "There is no such site.")
        return self.watch.registry.sites[site]

    def device(self, device: str) -> Device:
        if not self.has_device(device):
            raise Trouble(404, "There is no such device.")
        return self.watch.registry.devices[DeviceId(device)]

    # --- duty posts --------------------------------------------------------------------

    def duty_posts(self) -> list[Post]:
        """Return the posts of their areas, by name."""
        known = self.watch.directory.posts.values()
        theirs = [post for post in known if self.caller.answers_for(post.area)]
        return sorted(theirs, key=lambda post: post.id)

    def duty_post(self, post: str) -> Post:
        known = self.watch.directory.posts.get(post)
        if known is None or not self.caller.answers_for(known.area):
            raise Trouble(404, "There is no such post.")
        return known

    def may_answer(self, check: PostCheck) -> bool:
        """Say whether they may say that a post is manned: its members, or its area's people."""
        post = self.watch.directory.posts.get(check.post)
        is_member = post is not None and self.caller.person in post.members
        return self.caller.may(Right.ACKNOWLEDGE) and (
            is_member or self.caller.answers_for(check.area)
        )

    async def post_check(self, number: int) -> PostCheck:
        check = await self.watch.ledger.read(lambda c: post_checks.get_check(c, number))
        if check is None or not (self.caller.answers_for(check.area) or self.may_answer(check)):
            raise Trouble(404, "There is no such post check.")
        return check

    # --- the ledger --------------------------------------------------------------------

    async def alert(self, number: int) -> AlertRow:
        return await self.watch.ledger.read(lambda c: self.alert_of(c, number))

    def alert_of(self, connection: Connection, number: int) -> AlertRow:
        """Return an alert, for whoever has more to ask in the same moment."""
        alert = queries.get_alert(connection, number)
        if alert is None or not self.caller.sees_alert(alert.site, alert.scope):
            raise Trouble(404, "There is no such alert.")
        return alert

    async def silence(self, number: int) -> SilenceRow:
        row = await self.watch.ledger.read(lambda c: silences.get(c, number))
        if row is None or not self.caller.sees(row.silence.site or row.silence.device):
            raise Trouble(404, "There is no such silence.")
        return row

    async def policy_changes(self, before_id: int | None, limit: int) -> list[PolicyLine]:
        """Return the log of the policy; what was set for foreign places is left out of it."""
        found = await self.watch.ledger.read(lambda c: policy_lines(c, before_id, limit))
        return [replace(line, changes=self._own(line.changes)) for line in found]

    def policy_state(self) -> PolicyState:
        """Return which policy is in force; complaints about the file name places of all."""
        state = self.watch.policy.state
        if self.caller.is_everywhere:
            return state
        error = state.error and "The file is wrong."
        return replace(state, warnings=(), error=error)

    def _own(self, changes: Sequence[Changed]) -> tuple[Changed, ...]:
        return tuple(
            change
            for change in changes
            if change.place is None or self.caller.sees(change.place)
        )

    async def command(self, number: str) -> Command:
        command = await self.watch.ledger.read(lambda c: commanding.get_command(c, number))
        if command is None or not self.caller.sees(command.device):
            raise Trouble(404, "There is no such command.")
        return command

    async def latch(self, number: str) -> Latch:
        latch = await self.watch.ledger.read(lambda c: commanding.get_latch(c, number))
        if latch is None or not self.caller.sees(latch.device):
            raise Trouble(404, "There is no such latch.")
        return latch
