"""The command line's words about raw MQTT on tape: record, replay, anonymise."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_errors import run_or_explain
from api.cli_instants import instant
from ingest.clock import utc_now

if TYPE_CHECKING:
    from api.tape.address import Address
    from api.tape.recording import Change, Heard
    from api.tape.replaying import Played, Shifting

INCOMPLETE = 1
MB = 1_000_000
TOLD_EVERY_S = 0.5

Url = Annotated[
    str, typer.Option(help="mqtt://[user[:password]@]host[:port]; mqtts:// for TLS.")
]
Username = Annotated[str | None, typer.Option(envvar="CHARGEWATCH_MQTT_USERNAME")]
Password = Annotated[str | None, typer.Option(envvar="CHARGEWATCH_MQTT_PASSWORD")]
PasswordFile = Annotated[Path | None, typer.Option(help="A file that holds the password.")]
CaFile = Annotated[Path | None, typer.Option(help="Certificates to trust, with mqtts://.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="Replace all names, keyed by this file; made if it is not there."),
]


def record(  # noqa: PLR0913  (a command line is as wide as its options)
    out: Annotated[Path, typer.Argument(help="The tape: a new file; .jsonl, or .jsonl.gz.")],
    *,
    broker: Url = "mqtt://127.0.0.1:1883",
    username: Username = None,
    password: Password = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="A topic filter; may be repeated. If none: #.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.001, help="Stop after so long; if not given: Ctrl-C.")
    ] = None,
    max_mb: Annotated[
        float | None, typer.Option(min=0.001, help="Stop after so much, before packing.")
    ] = None,
    max_messages: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many messages.")
    ] = None,
    rotate_mb: Annotated[
        float | None, typer.Option(min=0.001, help="Begin a new file after so much.")
    ] = None,
    rotate_minutes: Annotated[
        float | None, typer.Option(min=0.001, help="Begin a new file after so long.")
    ] = None,
    anonymise: KeyFile = None,
    mqtt3: Annotated[
        bool, typer.Option("--mqtt3", help="Speak MQTT 3.1.1, if the broker knows no 5.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Record raw MQTT from any broker, as `backtest` and `replay` read it.

    Status 0: everything is on the tape; 1: something may be missing, and the summary says what.
    """

    def run() -> None:
        from api.tape.recording import Recorder, Wanted
        from api.tape.writing import Limits, Tape

        wanted = Wanted(
            topics=tuple(topic or ("#",)),
            lasts=None if minutes is None else timedelta(minutes=minutes),
            messages=max_messages,
            bytes=None if max_mb is None else int(max_mb * MB),
            mqtt5=not mqtt3,
        )
        limits = Limits(
            file_bytes=None if rotate_mb is None else int(rotate_mb * MB),
            file_lasts=None if rotate_minutes is None else timedelta(minutes=rotate_minutes),
        )
        where = _address(broker, username, password, password_file, ca_file)
        tape = Tape(out, limits)
        recorder = Recorder(where, wanted, tape, utc_now, _change(anonymise))
        with _stopping() as stop, _telling() as tell:
            heard = recorder.run(stop, lambda heard: tell(f"{heard.messages} messages"))
        _print(heard, json, list(_heard_words(heard, tape.files)))
        if not heard.complete:
            raise typer.Exit(INCOMPLETE)

    run_or_explain(run)


def replay(  # noqa: PLR0913  (a command line is as wide as its options)
    file: Annotated[Path, typer.Argument(help="A tape; .gz, or - for standard input.")],
    *,
    broker: Url = "mqtt://127.0.0.1:1883",
    username: Username = None,
    password: Password = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    speed: Annotated[
        float, typer.Option(min=0, max=100_000, help="Times faster than life; 0: at once.")
    ] = 1.0,
    shift: Annotated[
        str,
        typer.Option(
            metavar="now|ISO|0",
            help="Move the times inside of messages: each as far as its message is moved, to"
            " begin at an instant, or not at all.",
        ),
    ] = "now",
    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="Play topics of no dialect, and ORDERS, too: real devices would obey.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Play a tape to a broker: in order, at any speed, every message confirmed."""

    def run() -> None:
        from typing import cast

        from api.backtest.recording import Recording
        from api.tape.replaying import Replay
        from api.tape.taken import Taken, taken_message

        where = _address(broker, username, password, password_file, ca_file)
        recording = Recording(file, taken_message)
        playing = Replay(where, _shifting(shift), everything=everything)
        tape = cast("Iterator[Taken]", recording.messages())
        with _stopping() as stop, _telling() as tell:
            played = playing.run(
                tape, speed, utc_now, stop, lambda done: tell(f"{done.messages} messages")
            )
        _print(played, json, list(_played_words(played, recording.bad_shown)))

    run_or_explain(run)


def anonymise(  # noqa: PLR0913  (a command line is as wide as its options)
    source: Annotated[Path, typer.Argument(help="A tape; .gz, or - for standard input.")],
    out: Annotated[Path, typer.Argument(help="The new tape.")],
    *,
    key_file: Annotated[
        Path, typer.Option(help="The key; made if it is not there. Keep it, or destroy it.")
    ],
    sites: Annotated[
        Path | None, typer.Option(help="The sites file of these devices ...")
    ] = None,
    sites_out: Annotated[
        Path | None, typer.Option(help="... is written here under the same pseudonyms.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Take names, texts and places out of a tape; what is not known is dropped.

    The same key gives the same pseudonyms, so that tapes of different days fit together.
    """

    def run() -> None:
        from typing import cast

        from api.backtest.recording import Recording
        from api.tape.anonymising import Anonymiser
        from api.tape.anonymous_sites import anonymous_sites
        from api.tape.pseudonyms import key_of
        from api.tape.recording import Heard
        from api.tape.taken import Taken, taken_message
        from api.tape.writing import Tape

        key = key_of(key_file)
        if sites is not None and sites_out is not None:
            sites_out.write_text(anonymous_sites(sites, key), encoding="utf-8")
        change, tape = Anonymiser(key), Tape(out)
        recording, heard = Recording(source, taken_message), Heard(left_out={}, gaps=[])
        try:
            for taken in recording.messages():
                changed = change(cast("Taken", taken))
                if isinstance(changed, str):
                    heard.left_out[changed] = heard.left_out.get(changed, 0) + 1
                else:
                    tape.take(changed)
        finally:
            tape.close()
        heard.messages, heard.bytes = tape.messages, tape.bytes
        if recording.bad_lines:
            heard.left_out["a line that cannot be read"] = recording.bad_lines
        _print(heard, json, list(_heard_words(heard, tape.files)))

    run_or_explain(run)


# --- what goes in -------------------------------------------------------------------------


def _address(
    url: str,
    username: str | None,
    password: str | None,
    password_file: Path | None,
    ca_file: Path | None,
) -> "Address":
    from api.tape.address import Address

    try:
        if password_file is not None:
            password = password_file.read_text(encoding="utf-8").strip()
        return Address.of(url, username, password, ca_file)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--broker") from None
    except OSError as error:
        raise typer.BadParameter(f"{password_file}: {error.strerror}") from None


def _change(key_file: Path | None) -> "Change":
    from api.tape.anonymising import Anonymiser
    from api.tape.pseudonyms import key_of

    return (lambda taken: taken) if key_file is None else Anonymiser(key_of(key_file))


def _shifting(text: str) -> "Shifting":
    from api.tape.replaying import Shifting

    if text in {"now", "0"}:
        return Shifting(follow=text == "now")
    to: datetime = instant(text, "--shift")
    return Shifting(to=to)


# --- what comes out -----------------------------------------------------------------------


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Yield whether somebody has pressed Ctrl-C, or asked this process to end."""
    asked: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _frame: asked.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Yield somebody to tell how far it is; nobody looks if it is no terminal."""
    import time

    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        told_s = 0.0

        def tell(words: str) -> None:
            nonlocal told_s
            if time.monotonic() - told_s > TOLD_EVERY_S:
                told_s = time.monotonic()
                status.update(words)

        yield tell


def _print(summary: object, json: bool, words: list[str]) -> None:
    import msgspec

    if json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        sys.stdout.write("\n".join(words) + "\n")


def _heard_words(heard: "Heard", files: list[Path]) -> Iterator[str]:
    names = ", ".join(map(str, files)) or os.devnull
    yield f"{heard.messages} messages, {heard.bytes} bytes, in {names}"
    if heard.kept:
        yield f"{heard.kept} of them the broker had kept from before"
    if heard.again:
        yield f"{heard.again} of them it sent a second time"
    yield from _counted("left out", heard.left_out)
    if heard.reconnected:
        yield f"the connection was lost and made again {heard.reconnected} times"
    for since, until in heard.gaps:
        yield f"MISSING: what was said between {since:%H:%M:%S} and {until:%H:%M:%S} UTC"
    if heard.broker_dropped:
        yield f"MISSING: the broker threw {heard.broker_dropped} messages away, anybody's"


def _played_words(played: "Played", bad_lines: list[str]) -> Iterator[str]:
    yield (
        f"{played.messages} messages said and confirmed in {played.seconds:.1f} s;"
        f" later than due: p99 {played.late_ms_p99:g} ms, at most {played.late_ms_max:g} ms"
    )
    yield from _counted("left out", played.left_out)
    yield from _counted("played with the times in it as they were", played.unshifted)
    for bad in bad_lines:
        yield f"bad: {bad}"


def _counted(what: str, counts: dict[str, int]) -> Iterator[str]:
    if counts:
        listed = ", ".join(f"{why} {count}" for why, count in sorted(counts.items()))
        yield f"{what}: {listed}"
