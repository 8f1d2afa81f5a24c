"""The picture of a running village in a terminal: what it does, what was done, what came of it.

Pure: a scene and a size go in, lines come out. Nothing is told by colour alone, so that it
can be read without any.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.cells import set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rules.readings import Reading
from simulator.answers import Outcome, outcome
from simulator.choosing import MENU_COLUMNS, Scene
from simulator.improvising import Deed
from simulator.meddling import CHOICES
from simulator.scene import Subject

CHARGES_W = 15.0
"""An idle charger draws a few watts (docs/sources.md)."""
SOCKETS_A_ROW = 5
ROWS_LEAST = 20
"""Lines of a terminal in which everything has a place."""
FIXED = 8
"""Lines that are neither sites nor deeds."""
FRESH, SOON = timedelta(seconds=1), timedelta(minutes=1)
LONG_S = 120
LONG_AFTER_S = 100
"""From here on tenths of a second are no news."""
OFF = frozenset({"cut", "stopped"})


def picture(scene: Scene, now: datetime, connected: int, height: int) -> RenderableType:
    """Return the whole picture, as high as the terminal."""
    if scene.menu is not None:
        return Group(*_head(scene, now, connected), *_menu(scene, scene.menu))
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
        readings, sensors, done = scene.of_site(site)
        powers = [r.power_w or 0.0 for r in readings]
        charging = sum(power >= CHARGES_W for power in powers)
        table.add_row(
            Text(f"{'>' if chosen else ' '} {site}", style="reverse" if chosen else ""),
            f"{charging}/{len(readings)}",
            f"{sum(powers) / 1000:.1f} kW",
            str(sensors),
            Text(", ".join(say(f"fault.{name}") for name in sorted(done)), style="red"),
        )
    return table


def _pile(scene: Scene) -> Iterator[Text]:
    if scene.pile is None:
        return
    name = scene.pile.rpartition("/")[2]
    yield _line(scene.say("sockets", pile=name), _measured(scene), style="bold")
    for row in _socket_rows(scene):
        line = Text(no_wrap=True, overflow="ellipsis")
        for channel, reading in row:
            chosen = channel == scene.channel
            off = "×" if reading.port_state in OFF else " "
            words = f"{'>' if chosen else ' '}#{channel:<2} {reading.power_w or 0:>6.0f} W{off}"
            line.append(words, style="reverse" if chosen else "")
            line.append(" ")
        yield line


def _measured(scene: Scene) -> str:
    """Say what the chosen socket shows, as far as it says so."""
    said = scene.sockets(scene.pile).get(scene.channel)
    if said is None:
        return ""
    figures = (
        (said.current_a, "{:.2f} A"),
        (said.voltage_v, "{:.1f} V"),
        (said.device_temperature_c, "{:.1f} °C"),
        (said.session_energy_kwh, "{:.3f} kWh"),
    )
    words = [form.format(value) for value, form in figures if value is not None]
    return "  ".join((f"#{scene.channel}", said.port_state or "", *words))


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
    device, channel = deed.place
    whom = device or deed.sites[0]
    socket = "" if channel is None else f" #{channel}"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{deed.since.astimezone(scene.zone):%H:%M:%S} ")
    line.append(set_cell_size(scene.say.fault(deed.fault), 13) + " ")
    line.append(set_cell_size(whom.partition("/")[2] + socket, 19) + " ")
    found = outcome(deed, scene.answers.alarms.values(), scene.player.deeds)
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
    if found.wrong is not None:
        words = say("wrong", rule=found.wrong.rule)
        return f"✗ {words} {_after(deed, found.wrong.fired_at)} s{over}", "red"
    if alarm is None and not deed.expected:
        return f"– {say('not_due')}{over}", ""
    if alarm is None:
        waited = (deed.ended_at or now) - deed.since
        words = say("nothing", seconds=waited.total_seconds()) + _reports(scene, deed, now)
        return f"… {words}{over}", "yellow"
    times = [alarm.fired_at, alarm.told_at, alarm.resolved_at]
    after = " / ".join(_after(deed, at) for at in times if at is not None)
    if alarm.told_at is not None:
        return f"✓ {alarm.rule} {after} s{over}", "green"
    why = say("withheld") if alarm.withheld else say("not_told")
    return f"! {alarm.rule} {after} s / {why}{over}", "yellow"


def _reports(scene: Scene, deed: Deed, now: datetime) -> str:
    """Say what an alarm waits for: that there is something to know, or the next report."""
    if deed.ended_at is not None:
        return ""
    if deed.due_at is not None and deed.due_at - now > SOON:
        return scene.say("due", at=f"{deed.due_at.astimezone(scene.zone):%H:%M}")
    if deed.fault.target not in {"socket", "sensor"}:
        return ""
    at = scene.player.next_of(deed.subject.device)
    if at is None or at - now < FRESH:
        return ""
    seconds = (at - now).total_seconds()
    if seconds > LONG_S:
        return scene.say("next_min", minutes=seconds / 60)
    return scene.say("next", seconds=seconds)


def _after(deed: Deed, moment: datetime) -> str:
    seconds = max(0.0, (moment - deed.since).total_seconds())
    return f"+{seconds:.0f}" if seconds >= LONG_AFTER_S else f"+{seconds:.1f}"


def _foot(scene: Scene) -> Iterator[Text]:
    say = scene.say
    if scene.notice:
        yield _line(f"! {scene.notice}", style="yellow")
    names = [f"{each.key} {say.fault(each.fault)}" for each in CHOICES]
    half = len(names) // 2
    yield _line("  ".join(names[:half]))
    yield _line("  ".join(names[half:]))
    yield _line(say("move"))


def _menu(scene: Scene, at: int) -> Iterator[RenderableType]:
    """Yield all faults there are, and what the chosen one is."""
    say, chosen = scene.say, scene.faults[at]
    yield _line(say("all"), style="bold")
    for first in range(0, len(scene.faults), MENU_COLUMNS):
        line = Text(no_wrap=True, overflow="ellipsis")
        for number in range(first, min(first + MENU_COLUMNS, len(scene.faults))):
            mark = ">" if number == at else " "
            words = set_cell_size(f"{mark} {say.fault(scene.faults[number])}", 19)
            line.append(words, style="reverse" if number == at else "")
            line.append(" ")
        yield line
    whom = scene.whom(chosen)
    words = say("nobody") if whom is None else _place_of(whom)
    yield _line(f"{say(f'target.{chosen.target}')}: {words}")
    yield _line((type(chosen).__doc__ or "").partition("\n")[0], style="dim")


def _place_of(subject: Subject) -> str:
    socket = "" if subject.channel is None else f" #{subject.channel}"
    return (subject.device or subject.site.id) + socket


def _line(*words: str, style: str = "") -> Text:
    return Text("  ".join(words), style=style, no_wrap=True, overflow="ellipsis")


def _table(*columns: str) -> Table:
    """Return a table whose last column has what room the others leave."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True
    )
    for column in columns:
        ratio = 1 if column == columns[-1] else None
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=ratio)
    return table
