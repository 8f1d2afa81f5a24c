"""The picture of a running village in a terminal: what it does, what was done, what came of it.

Pure: a scene and a size go in, lines come out. Nothing is told by colour alone, so that it
can be read without any.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from rich.cells import set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ingest.codecs.native import Telemetry
from rules.readings import Kind, Reading
from simulator.answers import Answers, Outcome, outcome
from simulator.meddling import CHOICES, Choice, Deed, MeddledPlayer
from simulator.view_words import Words

CHARGES_W = 15.0
"""An idle charger draws a few watts (docs/sources.md)."""
SOCKETS_A_ROW = 5
ROWS_LEAST = 20
"""Lines of a terminal in which everything has a place."""
FIXED = 8
"""Lines that are neither sites nor deeds."""
FRESH = timedelta(seconds=1)
LONG_S = 120

_telemetry = msgspec.json.Decoder(Telemetry)


class Scene:
    """What is chosen and what is known; the player and the answers go on beneath it."""

    def __init__(
        self, player: MeddledPlayer, answers: Answers, url: str, zone: ZoneInfo, say: Words
    ) -> None:
        self.player, self.answers, self.url = player, answers, url
        self.zone, self.say = zone, say
        names = (name for name in player.meddled if "/" in name)  # a bridge is nowhere
        self.sites = sorted({name.rpartition("/")[0] for name in names})
        self._site = self._pile = 0
        self.channel = 1
        self.notice = ""

    # --- what is chosen ---------------------------------------------------------------

    @property
    def site(self) -> str:
        return self.sites[self._site]

    def piles(self) -> list[str]:
        return self._named(Kind.CHARGER)

    @property
    def pile(self) -> str | None:
        piles = self.piles()
        return piles[self._pile % len(piles)] if piles else None

    def move(self, key: str) -> bool:
        """Choose another site, pile or socket; False: the key means something else."""
        if key in {"up", "down"}:
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

    def whom(self, choice: Choice) -> str | None:
        """Return the device to which a choice would be done; None: there is none."""
        if choice.at == "sensor":
            sensors = self._named(Kind.SMOKE)
            return sensors[0] if sensors else None
        if choice.at == "site":
            return next(iter([*self.piles(), *self._named(Kind.SMOKE)]), None)
        return self.pile

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

    def _named(self, kind: Kind) -> list[str]:
        here = self.player.devices_of(self.site)
        return sorted(each.id for each in here if each.kind is kind)


def picture(scene: Scene, now: datetime, connected: int, height: int) -> RenderableType:
    """Return the whole picture, as high as the terminal."""
    room = max(ROWS_LEAST, height) - FIXED - len(_socket_rows(scene))
    sites = min(len(scene.sites), max(3, room // 2))
    return Group(
        *_head(scene, now, connected),
        _sites(scene, sites),
        *_pile(scene),
        _deeds(scene, now, max(2, room - sites)),
        *_foot(scene),
    )


def _head(scene: Scene, now: datetime, connected: int) -> Iterator[Text]:
    say, player = scene.say, scene.player
    link = say("connected", count=connected) if connected else say("disconnected")
    yield _line(
        f"{say('title')}  {now.astimezone(scene.zone):%H:%M:%S}",
        f"{'●' if connected else '○'} {link}",
        say("rate", rate=player.rate(now)),
        say("said", said=player.said),
        style="bold",
    )
    if not scene.url:
        yield _line(say("no_service"))
    elif scene.answers.trouble:
        yield _line(f"! {say('trouble', why=scene.answers.trouble)}", style="red")
    else:
        yield _line(f"● {say('service', url=scene.url)}")


def _sites(scene: Scene, rows: int) -> Table:
    say = scene.say
    table = _table(say("site"), say("charging"), say("power"), say("sensors"), say("ills"))
    first = max(0, min(scene.sites.index(scene.site) - rows // 2, len(scene.sites) - rows))
    for site in scene.sites[first : first + rows]:
        chosen = site == scene.site
        here = scene.player.devices_of(site)
        readings = [r for each in here for r in scene.sockets(each.id).values()]
        powers = [r.power_w or 0.0 for r in readings]
        charging = sum(power >= CHARGES_W for power in powers)
        ills = {ill.name for each in here for ill in each.ills}
        table.add_row(
            Text(f"{'>' if chosen else ' '} {site}", style="reverse" if chosen else ""),
            f"{charging}/{len(readings)}",
            f"{sum(powers) / 1000:.1f} kW",
            str(sum(each.kind is Kind.SMOKE for each in here)),
            Text(", ".join(say(f"ill.{name}") for name in sorted(ills)), style="red"),
        )
    return table


def _pile(scene: Scene) -> Iterator[Text]:
    if scene.pile is None:
        return
    name = scene.pile.rpartition("/")[2]
    yield _line(scene.say("sockets", pile=name), style="bold")
    for row in _socket_rows(scene):
        line = Text(no_wrap=True, overflow="ellipsis")
        for channel, reading in row:
            chosen = channel == scene.channel
            words = f"{'>' if chosen else ' '}#{channel:<2} {reading.power_w or 0:>6.0f} W "
            line.append(words, style="reverse" if chosen else "")
            line.append(" ")
        yield line


def _socket_rows(scene: Scene) -> list[list[tuple[int, Reading]]]:
    sockets = sorted(scene.sockets(scene.pile).items())
    return [sockets[n : n + SOCKETS_A_ROW] for n in range(0, len(sockets), SOCKETS_A_ROW)][:4]


def _deeds(scene: Scene, now: datetime, rows: int) -> RenderableType:
    """Return what was done, the last first, each on a line."""
    say, deeds = scene.say, scene.player.deeds
    if not deeds:
        return _line(say("none_done"))
    shown = list(reversed(deeds))[: rows - 1]
    return Group(_line(say("done"), style="bold"), *(_deed(scene, each, now) for each in shown))


def _deed(scene: Scene, deed: Deed, now: datetime) -> Text:
    whom = deed.site if deed.choice.at == "site" else deed.devices[0]
    socket = "" if deed.ill.channel is None else f" #{deed.ill.channel}"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{deed.since.astimezone(scene.zone):%H:%M:%S} ")
    line.append(set_cell_size(scene.say(f"ill.{deed.ill.name}"), 14) + " ")
    line.append(set_cell_size(whom.partition("/")[2] + socket, 22) + " ")
    found = outcome(deed, scene.answers.alarms.values())
    line.append(*_came(scene, deed, found, now))
    if found.others:
        line.append(f" ({scene.say('also', rules=', '.join(found.others))})")
    return line


def _came(scene: Scene, deed: Deed, found: Outcome, now: datetime) -> tuple[str, str]:
    """Return when the alarm fired and was told, and by which rule; or that there is none."""
    say, alarm = scene.say, found.alarm
    over = f" {say('over')}" if deed.ended_at else ""
    if alarm is None and found.already is not None:
        since = found.already.fired_at.astimezone(scene.zone)
        return f"• {say('already', rule=found.already.rule, at=f'{since:%H:%M:%S}')}{over}", ""
    if alarm is None:
        waited = (deed.ended_at or now) - deed.since
        words = say("nothing", seconds=waited.total_seconds()) + _reports(scene, deed, now)
        return f"… {words}{over}", "yellow"
    told = say("withheld") if alarm.withheld else say("not_told")
    if alarm.told_at is not None:
        told = _after(deed, alarm.told_at)
    fired = _after(deed, alarm.fired_at)
    good = "✓" if alarm.told_at is not None else "!"
    return f"{good} {alarm.rule} {fired} / {told}{over}", "green" if good == "✓" else "yellow"


def _reports(scene: Scene, deed: Deed, now: datetime) -> str:
    """Say when the device will report next, which is what an alarm may wait for."""
    if deed.ended_at is not None or deed.choice.at not in {"socket", "sensor"}:
        return ""
    at = scene.player.meddled[deed.devices[0]].next_at()
    if at is None or at - now < FRESH:
        return ""
    seconds = (at - now).total_seconds()
    if seconds > LONG_S:
        return scene.say("next_min", minutes=seconds / 60)
    return scene.say("next", seconds=seconds)


def _after(deed: Deed, moment: datetime) -> str:
    return f"+{max(0.0, (moment - deed.since).total_seconds()):.1f} s"


def _foot(scene: Scene) -> Iterator[Text]:
    say = scene.say
    if scene.notice:
        yield _line(f"! {scene.notice}", style="yellow")
    names = [f"{each.key} {say('ill.' + each.ill(since=_ANY).name)}" for each in CHOICES]
    half = len(names) // 2
    yield _line("  ".join(names[:half]))
    yield _line("  ".join(names[half:]))
    yield _line(say("move"))


_ANY = datetime.fromtimestamp(0, ZoneInfo("UTC"))


def _line(*words: str, style: str = "") -> Text:
    return Text("  ".join(words), style=style, no_wrap=True, overflow="ellipsis")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table
