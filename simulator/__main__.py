"""The command line: `python -m simulator village-evening --broker mqtt://127.0.0.1`."""

import asyncio
import datetime as dt
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ingest.clock import Now, utc_now, warped
from simulator import quiet_month, village_evening
from simulator.devices import Emission
from simulator.player import Player, recorded
from simulator.publisher import Broker, Publisher
from simulator.village import POLICY_TOML, Village, incidents, ledger
from simulator.village import sites_toml as register


class Size(NamedTuple):
    """How much of a scenario that comes in sizes."""

    days: int
    sites: int


SCENARIOS: dict[str, Callable[[int, dt.date, Size], Village]] = {
    village_evening.NAME: lambda seed, day, _: village_evening.village_evening(seed, day),
    quiet_month.NAME: lambda seed, day, size: quiet_month.quiet_month(seed, day, *size),
}
ZONE = ZoneInfo(village_evening.ZONE)
STANDARD_OUTPUT = Path("-")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


def instant(text: str) -> datetime:
    """Read an ISO instant. It must say its offset: guessing a zone shifts a whole night."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text} has no offset; write e.g. {text}+08:00")
    return moment


Scenario = Annotated[str, typer.Argument(help="Which one; see --list.")]
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
        help="Play in real time from this moment on; what would have been said before is not.",
    ),
]
CaFile = Annotated[Path | None, typer.Option(help="Certificates to trust, with mqtts://.")]
Speed = Annotated[
    float, typer.Option(min=0.01, max=100_000, help="Virtual seconds per real second.")
]
Seed = Annotated[int, typer.Option(help="The same seed says the same bytes.")]
Day = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], help="The local date; if not given: today."),
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
Days = Annotated[int, typer.Option(min=1, max=366, help="Of quiet-month.")]
Sites = Annotated[int, typer.Option(min=1, max=999, help="Of quiet-month.")]
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
    typer.Option(help="Write the alerts that a good service raises (JSON; .jsonl: lines)."),
]
SitesFile = Annotated[
    Path | None, typer.Option(help="Write the register of its areas, sites and devices.")
]
PolicyFile = Annotated[
    Path | None, typer.Option(help="Write the limits that it has agreed on.")
]
Listing = Annotated[
    bool, typer.Option("--list", help="Show the scenarios and what happens in them.")
]


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(  # noqa: PLR0913  (a command line is as wide as its options)
    scenario: Scenario = "",
    *,
    broker: Url = "mqtt://127.0.0.1:1883",
    username: Username = None,
    password: Password = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    live: Live = False,
    speed: Speed = 1.0,
    seed: Seed = 7,
    date: Day = None,
    started: Started = None,
    shows: Shows = None,
    duration: Minutes = None,
    days: Days = 30,
    sites: Sites = 50,
    out: Out = None,
    truth: TruthFile = None,
    sites_toml: SitesFile = None,
    policy_toml: PolicyFile = None,
    listing: Listing = False,
) -> None:
    """Play a village of charging stations to an MQTT broker, or into a file.

    Given the same --speed, --started and --shows, the service agrees on the time.
    """  # fmt: skip
    day = (date or (shows or utc_now()).astimezone(ZONE)).date()
    if listing:
        listed = (build(seed, day, Size(1, 1)) for build in SCENARIOS.values())
        Console().print(*map(timetable, listed))
        return
    village = chosen(scenario)(seed, day, Size(days, sites))
    player, begins = Player(village.devices()), village.starts
    if live:
        started = shows = begins = utc_now()
        for _ in player.play(begins):
            """Nobody hears what is past."""
    until = village.ends if duration is None else begins + timedelta(minutes=duration)
    if truth:
        lines = truth.suffix == ".jsonl"
        truth.write_bytes(incidents(village) if lines else ledger(village))
    if sites_toml:
        sites_toml.write_text(register(village), encoding="utf-8")
    if policy_toml:
        policy_toml.write_text(POLICY_TOML, encoding="utf-8")
    if out:
        write(player.play(until), out)
        return
    if password_file:
        password = password_file.read_text(encoding="utf-8").strip()
    where = address(broker, username, password, ca_file)
    now = warped(speed, started or utc_now(), shows or village.starts)
    console.print(timetable(village))
    asyncio.run(perform(player, where, now, speed, until))


def write(emissions: Iterable[Emission], out: Path) -> None:
    """Write a recording, line by line: a month need not fit into memory."""
    with sys.stdout.buffer if out == STANDARD_OUTPUT else out.open("wb") as file:
        file.writelines(map(recorded, emissions))


def chosen(scenario: str) -> Callable[[int, dt.date, Size], Village]:
    if scenario not in SCENARIOS:
        raise typer.BadParameter(f"no scenario {scenario!r}; there is {', '.join(SCENARIOS)}")
    return SCENARIOS[scenario]


async def perform(
    player: Player, where: Broker, now: Now, speed: float, until: datetime
) -> None:
    """Play to the broker until the virtual moment `until`."""
    publisher = Publisher(player, where, now, speed)
    await publisher.run(until)
    console.print(f"{publisher.said} messages said and acknowledged")


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


def timetable(village: Village) -> Table:
    """Return what goes wrong in a scenario, and when an alert is due."""
    title = f"{village.scenario}, seed {village.seed}, from {_local(village.starts)}"
    table = Table(title=title)
    for column in ("cause", "rule", "device #socket", "alert is due"):
        table.add_column(column, no_wrap=True)
    for truth in village.truth():
        subject = f"{truth.device} #{truth.channel}" if truth.channel else truth.device
        due = f"{_local(truth.earliest)}-{_local(truth.latest)}"
        table.add_row(_local(truth.begins), truth.rule, subject, due)
    return table


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(ZONE):%H:%M:%S}"


if __name__ == "__main__":
    app(prog_name="python -m simulator")
