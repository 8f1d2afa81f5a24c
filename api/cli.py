"""The command line: one word to type, `./chargewatch`, and what it can do.

Each command imports what it needs: `decode` must not wait for web servers.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import typer
from rich.console import Console

from api.cli_audit import audit
from api.cli_backup import backup, restore
from api.cli_deploy import deploy
from api.cli_devices import devices
from api.cli_doctor import doctor, drill
from api.cli_errors import run_or_explain
from api.cli_health import health
from api.cli_history import history
from api.cli_instants import instant
from api.cli_login import login
from api.cli_people import people
from api.cli_rules import check_policy, rules
from api.cli_score import score
from api.cli_tape import anonymise, record, replay
from ingest.clock import utc_now

app = typer.Typer(
    name="chargewatch",
    help="Watches e-bike charging stations over MQTT, and warns before there is a fire.\n\n"
    "New here? Run `make demo`: a village in your terminal, alarms included.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(rules)
app.add_typer(deploy)
app.add_typer(devices)
app.add_typer(history)
app.add_typer(login)
app.add_typer(people)
app.add_typer(audit)
app.command()(backup)
app.command()(restore)
app.command()(health)
app.command()(doctor)
app.command()(drill)
app.command()(score)
app.command()(record)
app.command()(replay)
app.command()(anonymise)
app.command("check-policy")(check_policy)


@app.command()
def demo(  # noqa: PLR0913  (a command line is as wide as its options)
    *,
    exit_after: Annotated[
        float | None, typer.Option(help="End after so many seconds.", min=1)
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
    browser: Annotated[bool, typer.Option(help="Open the console in a browser.")] = True,
    speed: Annotated[float, typer.Option(help="Times faster than life.", min=1, max=600)] = 60,
    seed: Annotated[int, typer.Option(help="Another number, another village.")] = 7,
    http_port: Annotated[int, typer.Option(help="Console and API; 0: any free port.")] = 8000,
    broker_port: Annotated[int, typer.Option(help="Embedded broker, MQTT 3.1.1.")] = 1883,
    language: Annotated[str, typer.Option(help="zh or en, for the alarms shown here.")] = "zh",
) -> None:
    """Play an evening in a village: broker, devices, service, console. No set-up.

    Ends with a summary, and with status 0 only if every alarm of the evening was raised and
    told, and no other.
    """
    from api.demo import Options, play
    from api.demo_summary import table
    from api.serving import main_loop, set_up_log, stop_on_signals

    set_up_log("human", quiet=True)
    console = Console(stderr=json)
    options = Options(
        speed=speed,
        seed=seed,
        exit_after_s=exit_after,
        browser=browser,
        http_port=http_port,
        broker_port=broker_port,
        language=language,
    )

    async def run() -> None:
        stop = stop_on_signals()
        summary = await play(options, console, stop)
        if json:
            sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        else:
            console.print(table(summary))
        ended_early = stop.is_set() and not (summary.missed or summary.unexpected)
        if not (summary.ok or ended_early):
            raise typer.Exit(1)

    run_or_explain(lambda: main_loop(run()))


@app.command("serve")
def serve_command() -> None:
    """Run the service: broker in, ledger, rules, alarms, console. Settings: README, `.env`."""

    def run() -> None:
        from api.settings import read_settings

        settings = read_settings(os.environ)  # first: a mistake in it is said at once

        from api.serving import main_loop, serve, set_up_log

        set_up_log(settings.log)
        main_loop(serve(settings, utc_now))

    run_or_explain(run)


@app.command()
def decode(
    *,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object per line, in and out.")
    ] = True,
) -> None:
    """Show what chargewatch understands of messages given on standard input.

    A line is {"topic": …, "payload": … or "payload_base64": …}, and may have "format",
    "kind" (charger or smoke) and "received_at".
    """
    if not jsonl:
        raise typer.BadParameter("JSON lines are the only form there is")
    from ingest.decode import decode_lines

    for line in decode_lines(sys.stdin.buffer, utc_now):
        sys.stdout.buffer.write(line)
        sys.stdout.flush()


_FORWARDED: dict[str, Any] = {
    "context_settings": {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
    "add_help_option": False,
}
"""Of a command that is a program of its own, whose options are its own affair."""


@app.command(**_FORWARDED)
def simulate(context: typer.Context) -> None:
    """Play devices that do not exist to a broker, or into a file (`simulate --help`)."""
    _become("simulator", context.args)


@app.command(**_FORWARDED)
def village(context: typer.Context) -> None:
    """Watch a village live, and do something to it by a key (`village --help`)."""
    _become("simulator.watch", context.args)


@app.command(**_FORWARDED)
def dashboards(context: typer.Context) -> None:
    """Build Grafana's dashboards, or push them to a Grafana (`dashboards --help`)."""
    _become("dashboards", context.args)


def _become(module: str, arguments: list[str]) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Who it is for.")] = "admin",
    *,
    scope: Annotated[
        Literal["read", "write"] | None,
        typer.Option(help="What it allows; if not given: read, and for admin write."),
    ] = None,
) -> None:
    """Print a token for the API and the console, making it if there is none of that name.

    A running service knows a new one after its next start.
    """

    def run() -> None:
        from api.settings import read_settings
        from api.tokens import add_token

        wanted = scope or ("write" if name == "admin" else "read")
        made = add_token(read_settings(os.environ).data_dir, name, wanted)
        if scope is not None and made.scope != scope:
            typer.echo(f"chargewatch: {name} has scope {made.scope} already", err=True)
            raise typer.Exit(2)
        typer.echo(made.secret)

    run_or_explain(run)


@app.command("renew-links")
def renew_links() -> None:
    """Make a new key for the links in notifications.

    The one before it is kept, so that links of the last day still open; twice in a row, and
    none does. A running service knows a new one after its next start.
    """

    def run() -> None:
        from api.link_keys import FILE_NAME, renew_key
        from api.settings import read_settings

        data_dir = read_settings(os.environ).data_dir
        renew_key(data_dir)
        typer.echo(str(data_dir / FILE_NAME))

    run_or_explain(run)


@app.command("check-sites")
def check_sites(
    file: Annotated[Path, typer.Argument(help="A sites file (docs/sites.md).")],
) -> None:
    """Check a sites file, and say what it declares."""

    def run() -> None:
        from api.sites import read_sites
        from api.sites_schedule import calendars_ending
        from ingest.codecs import all_codecs

        today = utc_now().date()
        declared = read_sites(file, [codec.name for codec in all_codecs()], today.year)
        Console().print(
            f"{file}: {len(declared.areas)} areas, {len(declared.sites)} sites,"
            f" {len(declared.devices)} devices"
        )
        for words in calendars_ending(declared.calendars, today):
            Console().print(f"warning: {words}", soft_wrap=True, markup=False)

    run_or_explain(run)


@app.command()
def backtest(  # noqa: PLR0913  (a command line is as wide as its options)
    *,
    policy: Annotated[
        Path | None, typer.Option(help="The policy to try, beside the one in force.")
    ] = None,
    recording: Annotated[
        Path | None, typer.Option(help="JSON lines of recorded messages; .gz, or - for stdin.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Play the service's own history instead.")
    ] = False,
    since: Annotated[
        str, typer.Option("--from", metavar="ISO", help="With --history: from this instant.")
    ] = "",
    until: Annotated[
        str, typer.Option("--to", metavar="ISO", help="With --history: until this instant.")
    ] = "",
    sites: Annotated[
        Path | None, typer.Option(help="The sites file; if not given: that of the settings.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="JSON lines of what really happened, to score it.")
    ] = None,
    alerts: Annotated[
        Path | None, typer.Option(help="Write what would have fired, for `score --alerts`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Play recorded traffic through the rules in its own time: what would have fired?

    With --policy: and what would have been different. With --truth: and how good is that?
    docs/backtest.md describes the files.
    """

    def run() -> None:
        import asyncio

        from api.backtest.printing import show
        from api.backtest.running import Asked, on_history, on_recording, progress
        from api.histories import influx_address
        from api.score.told import of_backtest, write_alarms
        from api.settings import read_settings

        if (recording is None) is not history or (bool(since and until)) is not history:
            raise typer.BadParameter("either --recording FILE, or --history --from … --to …")
        settings = read_settings(os.environ)
        asked = Asked(
            policy=policy,
            in_force=settings.policy_file,
            sites=sites or settings.sites_file,
            truth=truth,
        )
        with progress(shown=not json and sys.stderr.isatty()) as tell:
            if recording is not None:
                result = on_recording(asked, recording, tell)
            else:
                times = (instant(since, "--from"), instant(until, "--to"))
                influx = influx_address(settings)
                result = asyncio.run(
                    on_history(asked, settings.data_dir, *times, tell, influx=influx)
                )
        if alerts is not None:
            write_alarms(alerts, of_backtest(result))
        if json:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        else:
            show(result, Console())

    run_or_explain(run)
