"""The command line: `python -m simulator village-evening --broker mqtt://127.0.0.1`."""

import asyncio
import datetime as dt
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ingest.clock import utc_now, warped
from ingest.errors import ChargewatchError
from simulator.building import built
from simulator.emissions import Emission
from simulator.line import Return
from simulator.link_faults import Marked
from simulator.performing import crowd, perform
from simulator.player import Player, recorded
from simulator.publisher import Broker, Publisher
from simulator.scenario import Scenario
from simulator.scenario_file import found, library, read
from simulator.village import Village, incidents, ledger, policy_toml
from simulator.village import sites_toml as register
from simulator.wire import KEEP_ALIVE_S

STANDARD_OUTPUT = Path("-")
DAY = timedelta(days=1)
LISTED_MAX = 40
"""Alerts that are announced when a scenario begins."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


def instant(text: str) -> datetime:
    """Read an ISO instant. It must say its offset: guessing a zone shifts a whole night."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text} has no offset; write e.g. {text}+08:00")
    return moment


Named = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A name of --list, or a file: my.toml.")
]
Url = Annotated[
    str, typer.Option(help="mqtt://[user[:password]@]host[:port]; mqtts:// for TLS.")
]
Username = Annotated[str | None, typer.Option(envvar="CHARGEWATCH_MQTT_USERNAME")]
Password = Annotated[str | None, typer.Option(envvar="CHARGEWATCH_MQTT_PASSWORD")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file that holds the password, as container secrets do.")
]
Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Play in real time from this moment on; what would have been said before is not"
        " (but see --fill).",
    ),
]
Fill = Annotated[
    int,
    typer.Option(
        min=0,
        max=366,
        help="With --live: first say what would have been said in these days, as fast as can"
        " be, each message marked as kept back.",
    ),
]
CaFile = Annotated[Path | None, typer.Option(help="Certificates to trust, with mqtts://.")]
Speed = Annotated[
    float, typer.Option(min=0.01, max=100_000, help="Virtual seconds per real second.")
]
Seed = Annotated[
    int | None,
    typer.Option(help="The same seed says the same bytes; if not given, the scenario says."),
]
Day = Annotated[
    datetime | None,
    typer.Option(
        "--date",
        formats=["%Y-%m-%d"],
        help="The local date; if not given, the scenario says, or it is today.",
    ),
]
Started = Annotated[
    datetime | None,
    typer.Option(
        "--started",
        "--origin",
        parser=instant,
        metavar="ISO",
        help="Real instant at which the virtual clock showed --shows; if not given: now.",
    ),
]
Shows = Annotated[
    datetime | None,
    typer.Option(
        parser=instant,
        metavar="ISO",
        help="Virtual instant shown at --started; if not given: the scenario's start.",
    ),
]
Days = Annotated[
    int | None,
    typer.Option(min=1, max=366, help="How many days; if not given, the scenario says."),
]
Sites = Annotated[
    int | None,
    typer.Option(min=1, max=5000, help="How many stations, where the scenario makes them."),
]
Minutes = Annotated[
    float | None,
    typer.Option(min=0, help="Virtual minutes to play; if not given: the whole scenario."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Write a recording here at once (-: standard output); publish nothing."),
]
TruthFile = Annotated[
    Path | None,
    typer.Option(
        help="Write what is true: JSON lines if it ends with .jsonl, else one object."
    ),
]
SitesFile = Annotated[
    Path | None, typer.Option(help="Write the register of its areas, sites and devices.")
]
PolicyFile = Annotated[
    Path | None, typer.Option(help="Write the limits that it has agreed on.")
]
Connections = Annotated[
    Literal["shared", "each"],
    typer.Option(help="One connection for all devices, or each has one and its last will."),
]
LoginsFile = Annotated[
    Path | None,
    typer.Option(
        help="With --connections each: the file of `./chargewatch devices import --out`."
    ),
]
Returns = Annotated[
    Return,
    typer.Option("--return", help="How devices come back when the broker has been away."),
]
KeepAlive = Annotated[
    int, typer.Option(min=5, max=65_535, help="Seconds, as each device tells the broker.")
]
Listing = Annotated[bool, typer.Option("--list", help="Show the scenarios, a line for each.")]


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(  # noqa: PLR0913  (a command line is as wide as its options)
    scenario: Named = "",
    *,
    broker: Url = "mqtt://127.0.0.1:1883",
    username: Username = None,
    password: Password = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    connections: Connections = "shared",
    logins: LoginsFile = None,
    returns: Returns = Return.JITTERED,
    keep_alive: KeepAlive = KEEP_ALIVE_S,
    live: Live = False,
    fill: Fill = 0,
    speed: Speed = 1.0,
    seed: Seed = None,
    date: Day = None,
    started: Started = None,
    shows: Shows = None,
    duration: Minutes = None,
    days: Days = None,
    sites: Sites = None,
    out: Out = None,
    truth: TruthFile = None,
    sites_toml: SitesFile = None,
    policy_toml: PolicyFile = None,
    listing: Listing = False,
) -> None:
    """Play a village of charging stations to an MQTT broker, or into a file.

    Given the same --speed, --started and --shows, the service agrees on the time.
    """  # fmt: skip
    if listing:
        Console().print(scenarios(), soft_wrap=True)
        return
    if fill and not live:
        raise typer.BadParameter("--fill goes with --live", param_hint="--fill")
    read_one, name = chosen(scenario)
    first = None if date is None else date.date()
    if first is None:
        first = first_day(read_one, shows or utc_now(), live=live) - fill * DAY
    days = days if days is None or not fill else days + fill
    village = made(name, read_one, first, seed, days, sites)
    begins = village.starts
    if live:
        started = shows = begins = utc_now()
        village = kept_until(village, begins) if fill else village
    player = Player(village.devices())
    if live and not fill:
        for _ in player.play(begins):
            """Nobody hears what is past."""
    until = village.ends if duration is None else begins + timedelta(minutes=duration)
    put_down(village, truth, sites_toml, policy_toml)
    if out:
        write(player.play(until), out)
        return
    if password_file:
        password = password_file.read_text(encoding="utf-8").strip()
    where = address(broker, username, password, ca_file)
    come = crowd(player, where, connections == "each", logins, returns, keep_alive)
    now = warped(speed, started or utc_now(), shows or village.starts)
    console.print(timetable(village))
    asyncio.run(perform(Publisher(player, where, now, speed, come), until, console))


def put_down(
    village: Village, truth: Path | None, sites_toml: Path | None, policy: Path | None
) -> None:
    """Write what is true, what there is and what was agreed on, as far as it is wanted."""
    if truth:
        lines = truth.suffix == ".jsonl"
        truth.write_bytes(incidents(village) if lines else ledger(village))
    if sites_toml:
        sites_toml.write_text(register(village), encoding="utf-8")
    if policy:
        policy.write_text(policy_toml(village), encoding="utf-8")


def write(emissions: Iterable[Emission], out: Path) -> None:
    """Write a recording, line by line: a month need not fit into memory."""
    with sys.stdout.buffer if out == STANDARD_OUTPUT else out.open("wb") as file:
        file.writelines(map(recorded, emissions))


def chosen(named: str) -> tuple[Scenario, str]:
    """Return the scenario that was asked for, and its name."""
    try:
        path = found(named)
        return read(path), path.stem
    except ChargewatchError as error:
        raise typer.BadParameter(str(error), param_hint="SCENARIO") from None


def first_day(scenario: Scenario, now: datetime, *, live: bool) -> dt.date:
    """Return the day on which a scenario begins, if nobody says: its own, or today."""
    if scenario.date is not None and not live:
        return dt.date.fromisoformat(scenario.date)
    return now.astimezone(ZoneInfo(scenario.zone)).date()


def made(  # noqa: PLR0913, PLR0917
    name: str,
    scenario: Scenario,
    first: dt.date,
    seed: int | None,
    days: int | None,
    sites: int | None,
) -> Village:
    """Return the village; what cannot be is a mistake of the caller's."""
    try:
        return built(name, scenario, first, seed=seed, days=days, sites=sites)
    except ChargewatchError as error:
        raise typer.BadParameter(str(error), param_hint="SCENARIO") from None


def kept_until(village: Village, now: datetime) -> Village:
    """Return the village with all that it says before `now` marked as kept back until then.

    It is the past: the service keeps it in its history, and raises no alarm about it.
    """
    return village.through(Marked(since=village.starts, until=now))


def address(
    url: str, username: str | None, password: str | None, ca_file: Path | None
) -> Broker:
    """Return where the broker is; what is given beside the URL goes before what is in it."""
    try:
        broker = Broker.at(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--broker") from None
    return msgspec.structs.replace(
        broker,
        username=username or broker.username,
        password=password or broker.password,
        ca_file=ca_file,
    )


def scenarios() -> Table:
    """Return the library: each scenario in a line of each language."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, path in library().items():
        text = read(path).text
        table.add_row(name, f"{text.zh}\n{text.en}")
    return table


def timetable(village: Village) -> Table:
    """Return what goes wrong in a scenario, and when an alert is due."""
    zone = ZoneInfo(village.zone)

    def local(moment: datetime) -> str:
        return f"{moment.astimezone(zone):%m-%d %H:%M:%S}"

    title = f"{village.scenario}, seed {village.seed}, from {local(village.starts)}"
    table = Table(title=title)
    for column in ("cause", "rule", "device #socket", "alert is due"):
        table.add_column(column, no_wrap=True)
    due = village.truth()
    for truth in due[:LISTED_MAX]:
        subject = f"{truth.device} #{truth.channel}" if truth.channel else truth.device
        table.add_row(
            local(truth.begins),
            truth.rule,
            subject,
            f"{local(truth.earliest)} - {local(truth.latest)[6:]}",
        )
    if len(due) > LISTED_MAX:
        table.caption = f"and {len(due) - LISTED_MAX} more: --truth FILE has all"
    return table


if __name__ == "__main__":
    app(prog_name="python -m simulator")
