"""The demo: a whole village in one terminal, with a broker, a service and devices.

Three processes, as in real life: the embedded broker, the simulator (which knows what is
going to happen), and this one, the service (which does not). At the end the service's
alarms are compared with the simulator's truth.
"""

import asyncio
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console
from rich.text import Text

from api.demo_summary import Summary, Truth, all_alerts, summed_up
from api.embedded_broker import HOST, embedded_broker
from api.login_commands import make_admin
from api.ports import check_free, free_port
from api.service import Running
from api.serving import check_http, serving
from api.settings import BrokerSettings, HttpSettings, Settings
from api.text import Texts, alert_title
from api.tokens import add_token
from ingest.clock import utc_now, warped
from ingest.errors import ChargewatchError
from ingest.ledger import queries
from ingest.ledger.queries import AlertRow

ADMIN = "admin"
SCENARIO = "village-evening"
ZONE = ZoneInfo("Asia/Shanghai")
HEAD_START = timedelta(seconds=3)
"""Real time in which the service comes up before the evening begins."""
LOOK_EVERY_S = 0.1


class DemoFailed(ChargewatchError):
    """The demo could not be played."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    speed: float = 60.0
    seed: int = 7
    exit_after_s: float | None = None
    as_json: bool = False
    browser: bool = True
    http_port: int = 8000
    broker_port: int = 1883
    language: str = "zh"


async def play(options: Options, console: Console, stop: asyncio.Event) -> Summary:
    """Play the evening and return how it went; `stop` ends it early."""
    with tempfile.TemporaryDirectory(prefix="chargewatch-demo-") as folder_name:
        folder = Path(folder_name)
        http, broker = _settle_ports(options)
        truth_file, sites_file = folder / "truth.json", folder / "sites.toml"
        policy_file = folder / "policy.toml"
        stream = ("--out", folder / "stream.jsonl", "--duration", 0, "--seed", options.seed)
        registers = ("--sites-toml", sites_file, "--policy-toml", policy_file)
        await _simulator("--truth", truth_file, *registers, *stream)
        truth = msgspec.json.decode(truth_file.read_bytes(), type=Truth)
        started = utc_now() + HEAD_START
        now = warped(options.speed, started, truth.starts)
        settings = Settings(
            data_dir=folder,
            sites_file=sites_file,
            policy_file=policy_file,
            language="en" if options.language == "en" else "zh",
            broker=broker,
            http=http,
        )
        password = await asyncio.to_thread(
            make_admin, folder, ADMIN, utc_now(), must_change=False
        )
        with embedded_broker(folder, options.broker_port, broker.port):
            async with serving(settings, now, options.speed) as (service, server):
                pages = asyncio.create_task(server.serve(), name="pages")
                devices = asyncio.create_task(
                    _simulator(
                        *("--broker", f"mqtt://{HOST}:{broker.port}"),
                        *("--speed", options.speed, "--seed", options.seed),
                        *("--date", f"{started.astimezone(ZONE):%Y-%m-%d}"),
                        *(
                            "--started",
                            started.isoformat(),
                            "--shows",
                            truth.starts.isoformat(),
                        ),
                    ),
                    name="devices",
                )
                _welcome(console, settings, options, password)
                try:
                    others = (pages, devices)
                    await _show_alerts(service, options, console, stop, others, truth.ends)
                finally:
                    server.should_exit = True
                    devices.cancel()
                    await asyncio.wait((pages, devices))
                took = utc_now() - started
                return await summed_up(service, truth, now(), took, options.speed)


def _settle_ports(options: Options) -> tuple[HttpSettings, BrokerSettings]:
    """Return where to listen; say clearly what is in the way."""
    port = options.http_port or free_port(HOST)
    http = HttpSettings(host=HOST, port=port, url=f"http://{HOST}:{port}")
    check_http(http)
    way_out = "Stop what runs there, or choose another port with --broker-port N."
    check_free(HOST, options.broker_port, "embedded broker", way_out)
    return http, BrokerSettings(host=HOST, port=free_port(HOST))


async def _simulator(*arguments: object) -> None:
    """Run the simulator in a process of its own, from this repository, until it ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", SCENARIO, *map(str, arguments)),
        cwd=Path(__file__).parents[1],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, words = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if process.returncode:
        raise DemoFailed(f"the simulator stopped: {words.decode(errors='replace')[-2000:]}")


def _welcome(console: Console, settings: Settings, options: Options, password: str) -> None:
    token = add_token(settings.data_dir, "admin", "write").secret
    url = f"{settings.http.url}/"
    console.print(f"[bold]chargewatch demo[/]: {SCENARIO}, {options.speed:g} times as fast")
    console.print(f"  console   [link={url}]{url}[/link]")
    console.print(f"  log in    {ADMIN}  {password}")
    console.print(f"  token     {token} (for programs)")
    console.print(f"  broker    mqtt://{HOST}:{options.broker_port} (MQTT 3.1.1)")
    console.print("  Ctrl-C ends it.\n")
    if options.browser:
        with suppress(webbrowser.Error):
            webbrowser.open(url)


async def _show_alerts(  # noqa: PLR0913, PLR0917  (what a show needs)
    service: Running,
    options: Options,
    console: Console,
    stop: asyncio.Event,
    others: Sequence[asyncio.Task[None]],
    ends: datetime,
) -> None:
    """Print alerts as they come, until the time is up, the evening over, or Ctrl-C."""
    shown: set[tuple[str, str]] = set()
    loop = asyncio.get_running_loop()
    until_s = loop.time() + (options.exit_after_s or float("inf"))
    with console.status("") as status:
        while not stop.is_set() and loop.time() < until_s and service.watch.now() < ends:
            for task in others:
                if task.done():
                    task.result()  # the devices may have said all; a failure is raised here
            for alert in reversed(await all_alerts(service)):
                for state in ("firing", *(["resolved"] if alert.state == "resolved" else [])):
                    if (alert.episode, state) not in shown:
                        shown.add((alert.episode, state))
                        _print_alert(service, console, alert, state, options.language)
            status.update(await _progress(service))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stop.wait()


async def _progress(service: Running) -> str:
    tallies = await service.ledger.read(queries.tallies)
    messages, readings = tallies.get("messages", 0), tallies.get("readings", 0)
    clock = service.watch.now().astimezone(ZONE)
    return f"{clock:%H:%M:%S}  {messages} messages  {readings} readings"


def _print_alert(
    service: Running, console: Console, alert: AlertRow, state: str, language: str
) -> None:
    over = state == "resolved"
    colour = "green" if over else "red" if alert.severity == "critical" else "yellow"
    say = Texts.of(language)
    title = alert_title(alert, service.watch.registry, say)
    at = alert.resolved_at if over and alert.resolved_at else alert.fired_at
    console.print(Text(f"{at.astimezone(ZONE):%H:%M:%S}  {title}", style=colour))
