"""What a tester at the live view has chosen, and what is known of it."""

from zoneinfo import ZoneInfo

import msgspec

from ingest.codecs.native import Telemetry
from rules.readings import Reading
from simulator.answers import Answers
from simulator.faults.fault import Fault
from simulator.meddling import MeddledPlayer, at_hand
from simulator.scene import Subject
from simulator.view_words import Words

MENU_COLUMNS = 4

_telemetry = msgspec.json.Decoder(Telemetry)


class Scene:
    """What is chosen and what is known; the player and the answers go on beneath it."""

    def __init__(
        self, player: MeddledPlayer, answers: Answers, url: str, zone: ZoneInfo, say: Words
    ) -> None:
        self.player, self.answers, self.url = player, answers, url
        self.zone, self.say = zone, say
        self._places = {each.id: each for each in player.village.sites}
        self.sites = sorted(self._places)
        self._site = self._pile = 0
        self.channel = 1
        self.notice = ""
        self.faults = sorted(at_hand(), key=say.fault)
        self.menu: int | None = None
        """Which of all faults is looked at; None: they are not shown."""

    # --- what is chosen ---------------------------------------------------------------

    @property
    def site(self) -> str:
        return self.sites[self._site]

    @property
    def pile(self) -> str | None:
        piles = self._places[self.site].pile_ids()
        return piles[self._pile % len(piles)] if piles else None

    def move(self, key: str) -> bool:
        """Choose another site, pile or socket; False: the key means something else."""
        if self.menu is not None:
            steps = {"up": -MENU_COLUMNS, "down": MENU_COLUMNS, "left": -1, "right": 1}
            if key not in steps:
                return False
            self.menu = (self.menu + steps[key]) % len(self.faults)
        elif key in {"up", "down"}:
            step = 1 if key == "down" else -1
            self._site = (self._site + step) % len(self.sites)
            self._pile, self.channel = 0, 1
        elif key == "tab":
            self._pile, self.channel = self._pile + 1, 1
        elif key in {"left", "right"}:
            channels = sorted(self.sockets(self.pile)) or [1]
            here = channels.index(self.channel) if self.channel in channels else 0
            self.channel = channels[(here + (1 if key == "right" else -1)) % len(channels)]
        else:
            return False
        return True

    def whom(self, fault: Fault) -> Subject | None:
        """Return whom a fault would befall of what is chosen; None: there is nobody."""
        site, target = self._places[self.site], fault.target
        if self.pile is None or (target == "carrier" and not site.carrier):
            return None
        if target in {"site", "carrier"}:
            return Subject(site)
        if "sensor" in {target, getattr(fault, "kind", "")}:
            return Subject(site, site.sensor_ids()[0]) if site.sensors else None
        return Subject(site, self.pile, self.channel if target == "socket" else None)

    # --- what is known ----------------------------------------------------------------

    def sockets(self, device: str | None) -> dict[int, Reading]:
        """Return what a pile last said of its sockets; nothing if that was no sense."""
        said = self.player.last.get(device or "")
        if said is None:
            return {}
        try:
            readings = _telemetry.decode(said.payload).readings
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return {each.channel: each for each in readings if each.channel is not None}

    def of_site(self, site: str) -> tuple[list[Reading], int, set[str]]:
        """Return what the sockets of a site say, its sensors, and what is done to it."""
        place = self._places[site]
        said = [r for name in place.pile_ids() for r in self.sockets(name).values()]
        done = {deed.name for deed in self.player.open_deeds() if site in deed.sites}
        return said, place.sensors, done
