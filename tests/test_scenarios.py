"""Plays each timeline in scenarios/ and expects exactly the alerts written in it.

A scenario is a title, then lines of the clock on the wall of its first site, which is
north in Shanghai unless it says otherwise. A time that is earlier than the line above is of
the next day.

    # fires after 30 s above the limit
    north closed = ["22:00-05:00"]           keys of the sites file, before the first time,
    north overload.hold = "5 s"              or, with a dot, of the policy file
    day 2026-01-05                           a Monday; without it, that one
    08:00:00  pile-1  1: 900 W, 2: 850 W     one message; `plug-1  900 W`: no sockets
                                             (`229 V`: its voltage; `1: 900 W + 229 V + 6 A`:
                                             one reading)
    08:00:05  yard/pile-1  1: 20 W  [said 07:40:00]    also: [buffered], [retained]
    08:00:10  pile-1  1: 195 W  [every 300 s until 16:00]    the same again and again
    08:00:30  smoke-1  smoke                 also: no smoke, self-test, no self-test, fine
    08:00:40  pile-1  81.5 C, 2: fault E7, 3: port idle    also: no fault, hot, not hot,
                                             relay off, relay on, tamper, no tamper,
                                             10 %, battery low, battery good, 1.2 kWh,
                                             stop overload
    08:00:50  stranger-1  900 W              a device that nobody declared, until
    08:00:55  declared stranger-1            the service is started anew with it
    08:01:00  smoke-1  offline               the last will; online: the birth
    08:02:00  broker gone                    also: broker back, service stops, service
                                             starts, restart
    08:02:20  health lag 90 s                what the service knows of itself: also ledger 90 s,
                                             dropped 3, history failing, delivery failing, good
    08:02:30  expect pile-2                  it is declared and ought to be there
    08:02:40  cut pile-1:1                   a person orders it; also: sent pile-1:1, reply
                                             pile-1:1 ok (or no), clear pile-1:1
    08:02:40  ! order pile-1:1 switch_off eve    what is ordered, and by whom
    08:03:00  ! overload pile-1:1 firing critical  900 W, limit 1000 W, since 08:00:00
    09:00:00  nothing more                   lets the time pass

Nobody is reminded of what goes on for hours, unless `escalation.remind_after` is set. Somebody
acknowledges each alert as soon as it fires or is raised, until it says

    08:00:00  nobody answers
    08:05:00  seen overload pile-1:1         acknowledged all the same
    08:06:00  silence pile-1:1 until 09:00:00
    08:07:00  silence north overload until 09:00:00
    08:08:00  maintenance smoke-1 until 09:00:00
    08:09:00  end silence 1                  they are counted from 1
"""

import pkgutil
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest

from api import policy_file
from api.sites import parsed
from ingest.ledger.commit import Stored
from ingest.registry import Registry
from ingest.timing import timed
from ingest.wire import Said
from rules import catalog
from rules.alerts import Alert, Change, Group, Subject, Transition
from rules.cutter import Cutter
from rules.cutting import Command, CommandState
from rules.engine import Engine
from rules.policy import DeviceProfile
from rules.readings import DeviceId, Reading, Report
from rules.self_health import SelfHealth
from rules.session import EndedSession
from rules.silences import Silence, SilenceKind
from rules.verdict import Evidence

SCENARIOS = Path(__file__).with_name("scenarios")
LIFE = Path(__file__).with_name("life")
MONDAY = date(2026, 1, 5)
SITE_KEY = re.compile(r"(\w+) ([\w.]+ = .+)")
LINE = re.compile(r"(\d\d:\d\d(?::\d\d)?) +(.+)")
REPEAT = re.compile(r" \[every (\d+) s until (\S+)\]")
OURS = ("broker ", "health ", "service ", "restart")
"""Begin what happens to the service itself."""
SWITCHING = ("cut ", "sent ", "reply ", "clear ")
MARK = re.compile(r" +\[(?:said (\S+)|(buffered|retained))\]")

WORDS: dict[str, dict[str, object]] = {
    "smoke": {"smoke_alarm": True},
    "no smoke": {"smoke_alarm": False},
    "self-test": {"self_test": True},
    "no self-test": {"self_test": False},
    "offline": {"online": False},
    "online": {"online": True},
    "hot": {"overtemperature": True},
    "not hot": {"overtemperature": False},
    "relay on": {"relay_on": True},
    "relay off": {"relay_on": False},
    "tamper": {"tamper": True},
    "no tamper": {"tamper": False},
    "no fault": {"fault": ""},
    "battery low": {"battery_low": True},
    "battery good": {"battery_low": False},
    "fine": {"battery_pct": 90.0},
}

BY_PEOPLE = ("nobody answers", "seen ", "silence ", "maintenance ", "end silence ")
SILENCED = re.compile(r"(silence|maintenance) (\S+?)(?::(\d+))?(?: (\w+))? until (\S+)")

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Stored).decode


class Line(NamedTuple):
    """What happens, or (beginning with `!`) what is expected, at one moment."""

    at: datetime
    words: str


class Scenario(NamedTuple):
    name: str
    registry: Registry
    zone: ZoneInfo
    happens: tuple[Line, ...]
    expected: tuple[Line, ...]

    @property
    def until(self) -> datetime:
        return max(line.at for line in (*self.happens, *self.expected))


def scenario(name: str, lines: Iterable[str]) -> Scenario:
    keys: dict[str, list[str]] = {}
    day, before, timeline = MONDAY, time(0), list[tuple[date, time, str]]()
    for line in lines:
        if match := LINE.fullmatch(line):
            clock = time.fromisoformat(match[1])
            if clock < before:
                day += timedelta(days=1)
            before = clock
            timeline.append((day, clock, re.sub(r"\s+", " ", match[2])))
        elif match := SITE_KEY.fullmatch(line):
            keys.setdefault(match[1], []).append(match[2])
        else:
            day, before = date.fromisoformat(line.removeprefix("day ")), time(0)
    devices = {
        device_of(words.removeprefix("expect "))
        for _, _, words in timeline
        if is_message(words)
    }
    registry = declared(keys, devices, day.year)
    zone = registry.sites[f"town/{next(iter(keys), 'north')}"].schedule.zone
    moments = [
        line
        for day, clock, words in timeline
        for line in repeated(datetime.combine(day, clock, zone), words)
    ]
    happens = [line for line in moments if not line.words.startswith("!")]
    return Scenario(
        name,
        registry,
        zone,
        tuple(sorted(happens, key=lambda line: line.at)),
        tuple(line for line in moments if line.words.startswith("!")),
    )


def repeated(first: datetime, words: str) -> Iterator[Line]:
    """Yield a line once, or as often as it says."""
    match = REPEAT.search(words)
    if match is None:
        yield Line(first.astimezone(UTC), words)
        return
    last = datetime.combine(first, time.fromisoformat(match[2]), first.tzinfo)
    if last < first:
        last += timedelta(days=1)
    at, every = first.astimezone(UTC), timedelta(seconds=int(match[1]))
    while at <= last:
        yield Line(at, words.replace(match[0], ""))
        at += every


def is_message(words: str) -> bool:
    return not words.startswith(
        ("!", "nothing more", "declared ", *OURS, *SWITCHING, *BY_PEOPLE)
    )


def device_of(words: str) -> str:
    device, _, _ = words.partition(" ")
    return f"town/{device}" if "/" in device else f"town/north/{device}"


def declared(keys: dict[str, list[str]], devices: Iterable[str], year: int) -> Registry:
    """Say it in a sites file, as an operator would."""
    text = ['[areas.town]\nname = {zh = "镇", en = "Town"}']
    for site in sorted({"north", *keys, *(device.split("/")[1] for device in devices)}):
        text += [f'[sites."town/{site}"]\nname = {{zh = "站", en = "Site"}}']
        text += [key for key in keys.get(site, []) if not is_limit(key)]
    for device in sorted(devices):
        kind = "smoke" if "/smoke-" in device else "charger"
        text.append(f'[[devices]]\nid = "{device}"\nkind = "{kind}"')
    said = parsed("\n".join(text).encode(), frozenset({"native"}), year)
    registry = Registry([], [], [])
    registry.declare(said.areas, said.sites, said.devices, datetime(2026, 1, 1, tzinfo=UTC))
    limits = [
        line
        for site, said in keys.items()
        for line in (f'[site."town/{site}"]', *filter(is_limit, said))
    ]
    limits = ["[default]", 'escalation.remind_after = "300 d"', *limits]
    registry.apply(policy_file.parsed("\n".join(limits).encode()))
    return registry


def is_limit(key: str) -> bool:
    """Say whether a key is one of the policy file: those have a table before them."""
    return "." in key.partition("=")[0]


class Player:
    """An engine, and what the ledger would hold of it."""

    def __init__(self, played: Scenario) -> None:
        self._played = played
        self._declared: set[str] = set()
        self._health = SelfHealth()
        self._engine = self._new_engine()
        self._cutter = Cutter(self._engine, played.registry.policy_of)
        self._engine.note_health(self._health, played.happens[0].at)
        self._kept: dict[Subject, bytes] = {}
        self._deaf_since: datetime | None = None
        self._stopped = False
        self._answered = True
        self._silences: list[Silence] = []
        self.changes: list[tuple[datetime, Change]] = []
        self.ended: list[EndedSession] = []
        self.orders: list[tuple[datetime, Command]] = []

    def play(self, restarts_at: Iterable[datetime] = ()) -> list[tuple[datetime, Change]]:
        """Play it all, with further restarts that take no time, after what happens then."""
        restarts = iter(sorted(restarts_at))
        restart = next(restarts, None)
        for line in self._played.happens:
            while restart is not None and restart < line.at:
                self._pass_time(restart)
                if not self._stopped:
                    self._restart(restart)
                restart = next(restarts, None)
            self._pass_time(line.at)
            self._happen(line)
            self._settle(line.at)
        self._pass_time(self._played.until)
        return self.changes

    def _pass_time(self, until: datetime) -> None:
        while (due := self._next_deadline()) and due <= until:
            self._note(due, self._engine.advance(due))
            self._settle(due)

    def _next_deadline(self) -> datetime | None:
        deadlines = (self._engine.next_deadline(), self._cutter.next_deadline())
        return min((each for each in deadlines if each is not None), default=None)

    def _settle(self, now: datetime) -> None:
        """Let the cutter look, as the intake does with each batch, and keep everything."""
        self._cutter.run(frozenset(self._engine.touched), now)
        caused = self._cutter.take_caused()
        self._note(now, caused.changes)
        for command in caused.commands.values():
            if command.state is CommandState.ORDERED:
                self.orders.append((now, command))
        self._keep()

    def _happen(self, line: Line) -> None:
        match line.words:
            case "nothing more":
                return
            case words if words.startswith("expect "):
                device = device_of(words.removeprefix("expect "))
                self._engine.expect(DeviceId(device), line.at)
            case words if words.startswith("declared "):
                self._declared.add(device_of(words.removeprefix("declared ")))
                self._restart(line.at)
            case words if words.startswith((*SWITCHING, *BY_PEOPLE)):
                self._act(line)
            case words if words.startswith(OURS):
                self._happen_to_us(line)
            case _:
                self._note(line.at, self._engine.observe(self._report(line), line.at))
                return
        self._note(line.at, self._engine.advance(line.at))

    def _happen_to_us(self, line: Line) -> None:
        match line.words:
            case "broker gone":
                self._deaf_since = line.at
                self._engine.blind(line.at)
            case "broker back":
                self._deaf_since = None
                self._engine.sighted(line.at)
            case "restart":
                self._restart(line.at)
            case "service stops":
                self._engine, self._deaf_since = self._new_engine(), line.at
                self._stopped = True
            case "service starts":
                self._stopped = False
                self._restart(line.at)
                self._deaf_since = None
                self._engine.sighted(line.at)
            case words:
                self._health = health_of(words.removeprefix("health "), line.at)
                self._engine.note_health(self._health, line.at)

    def _act(self, line: Line) -> None:
        """Do what a person does."""
        if line.words.startswith(SWITCHING):
            self._switch(line)
        else:
            self._say(line.words, line.at)

    def _switch(self, line: Line) -> None:
        what, socket, *rest = line.words.split()
        device, _, channel = socket.partition(":")
        subject = DeviceId(device_of(device)), int(channel) if channel else None
        state = self._engine.device(subject[0])
        cut = state and state.values(subject[1]).cut
        match what:
            case "cut":
                self._cutter.order(subject, by="eve", reason="smells", now=line.at)
            case "clear":
                self._cutter.clear(subject, by="eve", reason="looked at", now=line.at)
            case "sent":
                assert cut
                self._cutter.sent(cut.command.id, line.at)
            case _:
                assert cut
                ok, number = rest == ["ok"], cut.command.id
                self._cutter.answered(subject[0], number, ok=ok, detail="", at=line.at)

    def _note(self, at: datetime, changes: Iterable[Change]) -> None:
        for change in changes:
            self.changes.append((at, change))
            if self._answered and change.transition is not Transition.RESOLVED:
                self._engine.acknowledge(change.alert.episode, at)

    def _say(self, words: str, at: datetime) -> None:
        """Do what somebody asks for."""
        if match := SILENCED.fullmatch(words):
            self._silence(match, at)
        elif words.startswith("end silence "):
            number = int(words.removeprefix("end silence ")) - 1
            self._silences[number] = msgspec.structs.replace(self._silences[number], ends=at)
            self._engine.silence(self._silences[number], at)
        elif words.startswith("seen "):
            rule, subject = words.removeprefix("seen ").split()
            for alert in tuple(self._engine.open_alerts()):
                if (alert.key.rule, subject_of(alert)) == (rule, subject):
                    self._engine.acknowledge(alert.episode, at)
        else:
            self._answered = False

    def _silence(self, match: re.Match[str], at: datetime) -> None:
        kind, place, channel, rule, until = match.groups()
        wall = at.astimezone(self._played.zone)
        ends = datetime.combine(wall, time.fromisoformat(until), wall.tzinfo)
        is_device = any(character.isdigit() for character in place)
        silence = Silence(
            id=str(len(self._silences) + 1),
            kind=SilenceKind(kind),
            owner="caretaker",
            reason="a test",
            starts=at,
            ends=ends + timedelta(days=ends <= at),
            site="" if is_device else f"town/{place}",
            device=device_of(place) if is_device else "",
            channel=int(channel) if channel else None,
            rule=rule or "",
        )
        self._silences.append(silence)
        self._engine.silence(silence, at)

    def _report(self, line: Line) -> Report:
        device, _, rest = line.words.partition(" ")
        claim, standing = None, ""
        if mark := MARK.search(rest):
            rest, claim, standing = rest[: mark.start()], mark[1], mark[2] or ""
        wall = line.at.astimezone(self._played.zone)
        at = claim and datetime.combine(wall, time.fromisoformat(claim), wall.tzinfo)
        readings = tuple(reading(part) for part in rest.split(", "))
        said = Said(readings, at or None, buffered=standing == "buffered")
        before = self._engine.device(DeviceId(device_of(device)))
        booked = timed(said, line.at, before, retained=standing == "retained")
        return Report(
            device=DeviceId(device_of(device)),
            at=booked.at,
            received_at=line.at,
            identity=line.words,
            readings=said.readings,
            standing=booked.standing,
            clock=booked.clock,
            claimed_at=said.at,
        )

    def _restart(self, at: datetime) -> None:
        """Begin anew with what was kept; since it went deaf, nothing has been."""
        away = at - self._deaf_since if self._deaf_since else timedelta(0)
        stored = [_unpack(blob) for blob in self._kept.values()]
        self._engine = self._new_engine()
        for silence in self._silences:
            self._engine.silence(silence, at)
        self._engine.restore(
            (each.state for each in stored if each.state is not None),
            (alert for each in stored for alert in each.alerts),
            (firings for each in stored for firings in each.firings),
            now=at,
            away=away,
        )
        self._cutter = Cutter(self._engine, self._played.registry.policy_of)
        if self._deaf_since:
            self._deaf_since = at
            self._engine.blind(at)
        self._engine.note_health(self._health, at)
        self._keep()

    def _keep(self) -> None:
        engine = self._engine
        for each in engine.touched:
            stored = Stored(
                engine.state_of(each), engine.alerts_of(each), engine.firings_of(each)
            )
            self._kept[each] = _pack(stored)
        engine.touched.clear()
        self.ended += engine.take_ended()

    def _new_engine(self) -> Engine:
        places = WithStrangers(self._played.registry, self._declared)
        return Engine(*catalog.rules_in_force(), places)


class WithStrangers(Registry):
    """A registry in which some are strangers, until they are declared."""

    def __init__(self, known: Registry, declared: set[str]) -> None:
        super().__init__(known.areas.values(), known.sites.values(), known.devices.values())
        self.apply(known.policies)
        self._declared = declared

    def profile_of(self, device: DeviceId) -> DeviceProfile:
        stranger = "/stranger-" in device and device not in self._declared
        return msgspec.structs.replace(super().profile_of(device), declared=not stranger)


def health_of(words: str, now: datetime) -> SelfHealth:
    match words.split():
        case ["good"]:
            return SelfHealth()
        case ["dropped", count]:
            return SelfHealth(broker_dropped=int(count))
        case [part, "failing"]:
            return msgspec.convert({f"{part}_failing_since": now}, SelfHealth)
        case [part, seconds, "s"]:
            field = {"lag": "lag", "ledger": "ledger_away"}[part]
            return msgspec.convert({field: timedelta(seconds=float(seconds))}, SelfHealth)
        case _:
            raise ValueError(words)


UNITS = {
    "W": "power_w",
    "V": "voltage_v",
    "A": "current_a",
    "C": "device_temperature_c",
    "C air": "ambient_temperature_c",
    "%": "battery_pct",
    "kWh": "energy_kwh",
}


def reading(words: str) -> Reading:
    channel: int | None = None
    if match := re.fullmatch(r"(\d+): (.+)", words):
        channel, words = int(match[1]), match[2]
    if " + " in words:
        parts = [msgspec.structs.asdict(reading(part)) for part in words.split(" + ")]
        said = {
            name: value for part in parts for name, value in part.items() if value is not None
        }
        return msgspec.convert({**said, "channel": channel}, Reading)
    amount, _, unit = words.partition(" ")
    if unit in UNITS:
        return msgspec.convert({"channel": channel, UNITS[unit]: float(amount)}, Reading)
    if words.startswith("stop "):
        return Reading(channel=channel, stop_reason=words.removeprefix("stop "))
    if words.startswith("fault "):
        return Reading(channel=channel, fault=words.removeprefix("fault "))
    if words.startswith("port "):
        return Reading(channel=channel, port_state=words.removeprefix("port "))
    return msgspec.convert({"channel": channel, **WORDS[words]}, Reading)


def written(change: Change, at: datetime, zone: ZoneInfo) -> Line:
    alert = change.alert
    subject = subject_of(alert)
    said = list(words_of(alert.evidence, zone))
    if alert.withheld and change.transition is not Transition.RESOLVED:
        said.append(f"withheld {alert.withheld}")
    if alert.flaps:
        said.append("flaps")
    if change.transition is Transition.ESCALATED:
        said.append(f"tier {alert.tier}")
    words = f"! {alert.key.rule} {subject} {change.transition} {alert.severity}"
    return Line(at, f"{words} {', '.join(said)}".strip())


def order_line(command: Command, at: datetime) -> Line:
    socket = command.device.removeprefix("town/").removeprefix("north/")
    if command.channel is not None:
        socket += f":{command.channel}"
    return Line(at, f"! order {socket} {command.action} {command.ordered_by}")


def subject_of(alert: Alert) -> str:
    """Return `pile-1:3`, `yard/pile-1`, `site north`, `carrier mobile`, `all`."""
    _, device, channel, group = alert.key
    if device is None:
        assert isinstance(group, Group)
        return f"{group.kind} {group.name.removeprefix('town/')}".strip()
    subject = device.removeprefix("town/").removeprefix("north/")
    return subject if channel is None else f"{subject}:{channel}"


def words_of(evidence: Evidence, zone: ZoneInfo) -> Iterator[str]:
    if evidence.measured is not None:
        yield f"{evidence.measured:g} {evidence.unit}".strip()
    if evidence.limit is not None:
        yield f"limit {evidence.limit:g} {evidence.unit}"
    if evidence.since is not None:
        yield f"since {evidence.since.astimezone(zone):%H:%M:%S}"
    if evidence.until is not None:
        yield f"until {evidence.until.astimezone(zone):%H:%M:%S}"


def blocks(path: Path) -> Iterator[tuple[str, list[str]]]:
    for block in path.read_text().strip().split("\n\n"):
        title, *lines = block.splitlines()
        yield title.removeprefix("# "), lines


def all_scenarios() -> list[Scenario]:
    """Return those of the rules, and those of the life of alerts, whichever their rule."""
    return [
        scenario(f"{path.stem} {title}", lines)
        for path in (*sorted(SCENARIOS.glob("*.txt")), *sorted(LIFE.glob("*.txt")))
        for title, lines in blocks(path)
    ]


@pytest.mark.parametrize("played", all_scenarios(), ids=lambda played: played.name)
def test_scenario(played: Scenario) -> None:
    player = Player(played)
    changes = [written(change, at, played.zone) for at, change in player.play()]
    orders = [line for line in played.expected if line.words.startswith("! order ")]
    alerts = [line for line in played.expected if line not in orders]
    assert shown(changes, played.zone) == shown(alerts, played.zone)
    ordered = [order_line(command, at) for at, command in player.orders]
    assert shown(ordered, played.zone) == shown(orders, played.zone)


def shown(lines: Iterable[Line], zone: ZoneInfo) -> list[str]:
    return [f"{line.at.astimezone(zone):%d %H:%M:%S} {line.words}" for line in lines]


def test_every_rule_is_in_force_and_has_scenarios() -> None:
    files = {module.name for module in pkgutil.iter_modules(catalog.__path__)}
    in_force = {rule.name for rules in catalog.rules_in_force() for rule in rules}
    assert files == in_force == {path.stem for path in SCENARIOS.glob("*.txt")}


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_scenarios_begin_with_what_does_not_fire(path: Path) -> None:
    titles = [title for title, _ in blocks(path)]
    quiet = [title.startswith("does not fire") for title in titles]
    assert len(titles) >= 6
    assert len(titles) == len(set(titles))
    assert quiet[0]
    assert quiet == sorted(quiet, reverse=True)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_scenario_that_does_not_fire_says_so_of_its_own_rule(path: Path) -> None:
    for title, lines in blocks(path):
        fires = any(f"! {path.stem} " in line and " firing " in line for line in lines)
        assert fires is not title.startswith("does not fire"), title
