"""The command line's words about devices and their logins at the broker."""

import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli_devices_told import (
    all_declared,
    declared_devices,
    folder_at,
    given_certificate,
    group_number,
    hand_out,
    print_json,
    show,
    show_set_up,
    tell_broker,
    text_of,
)
from api.cli_errors import run_or_explain
from ingest.clock import utc_now

devices = typer.Typer(
    name="devices",
    help="Give devices their logins at the broker, and take them away (docs/broker.md).\n\n"
    "A password is shown once, when it is made; we keep only what the broker needs to know it.",
    no_args_is_help=True,
)

BrokerDir = Annotated[
    Path | None,
    typer.Option(
        "--broker-dir", help="What Mosquitto reads; if not given: broker/ in the data_dir."
    ),
]
Reload = Annotated[
    Path | None,
    typer.Option(
        "--reload",
        metavar="PIDFILE",
        help="Mosquitto's pid file: have it read its files again at once.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Write login and password into this new file, for you only (CSV)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Who = Annotated[
    str, typer.Argument(help="AREA/SITE/DEVICE, the base topic of a bridge, or a login.")
]


@devices.command()
def init(  # noqa: PLR0913  (a command line is as wide as its options)
    *,
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or address by which devices or the service reach the broker; may be"
            " repeated. localhost is always one."
        ),
    ] = None,
    broker_dir: BrokerDir = None,
    authority_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the authority's key is kept, away from the broker; if not given:"
            " the broker-dir with -ca at its end."
        ),
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the passwords of our own programs are kept, a file each; if not given:"
            " CHARGEWATCH_SECRETS_DIR, else secrets/ in the data_dir."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Let this group, the broker's, read the broker-dir: name or number."),
    ] = None,
    simulate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AREA/SITE",
            help="Make the login `simulator`, for these sites alone (AREA/+: a whole area).",
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(help="Use this certificate (PEM, with its chain) instead of our own."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key of --certificate.")] = None,
    authority: Annotated[
        Path | None, typer.Option(help="Its authority, if devices do not know it already.")
    ] = None,
    reload: Reload = None,
    json: AsJson = False,
) -> None:
    """Make the broker's files: authority, certificate, rights, and the service's own login.

    Asks nothing, prints no secret, and may be run again at any time: it makes what is missing,
    renews the certificate 60 days before its end, and leaves the rest.
    """

    def run() -> None:
        from api.credentials.folder import opened, share
        from api.credentials.logins import simulated
        from api.credentials.setting_up import Wanted, set_up
        from api.settings import read_settings

        settings = read_settings(os.environ)
        folder_path = folder_at(broker_dir)
        wanted = Wanted(
            authority_dir=authority_dir or folder_path.with_name(f"{folder_path.name}-ca"),
            secrets_dir=secrets_dir or settings.secrets_dir or settings.data_dir / "secrets",
            hosts=tuple(host or ()),
            simulated=None if simulate is None else tuple(map(simulated, simulate)),
            given=given_certificate(certificate, key, authority),
        )
        with opened(folder_path, make=True) as folder:
            if group is not None:
                share(folder_path, group_number(group))
            done = set_up(folder, wanted, utc_now())
        if json:
            print_json(done)
        else:
            show_set_up(done, folder_path, wanted.secrets_dir)
        if done.made:
            tell_broker(reload)

    run_or_explain(run)


@devices.command()
def add(  # noqa: PLR0913  (a command line is as wide as its options)
    who: Annotated[
        str,
        typer.Argument(
            metavar="AREA/SITE/DEVICE", help="Its id; of a Zigbee2MQTT bridge its base topic."
        ),
    ],
    *,
    dialect: Annotated[
        str | None,
        typer.Option(
            help="native, tasmota, or zigbee2mqtt (the bridge); if not given: as the sites"
            " file says, else native."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The Topic of a Tasmota plug, if it is not the last part of its id."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="It may come back, though it was revoked.")
    ] = False,
    out: Out = None,
    broker_dir: BrokerDir = None,
    reload: Reload = None,
    json: AsJson = False,
) -> None:
    """Give a device a login, and show its password: now, and never again."""

    def run() -> None:
        from api.credentials.book import added
        from api.credentials.folder import opened
        from api.credentials.lists import declared_speaker, invited

        declared = declared_devices()
        speaker = declared_speaker(who, dialect, name, declared or ())
        newcomer, login = invited(speaker, again=again)
        with opened(folder_at(broker_dir)) as folder:
            book = added(folder.read(), [newcomer], utc_now())
            hand_out([login], out, lambda: folder.write(book), json=json)
        if declared is not None and all(each.id != who for each in declared):
            typer.echo(f"note: the sites file does not declare {who}", err=True)
        tell_broker(reload)

    run_or_explain(run)


@devices.command()
def rotate(
    who: Who,
    *,
    out: Out = None,
    broker_dir: BrokerDir = None,
    reload: Reload = None,
    json: AsJson = False,
) -> None:
    """Give a login another password. The old one is out when the broker reads its files again.

    There is no time in which both are right: do it when the device can be given the new one.
    """

    def run() -> None:
        from api.credentials.book import rotated
        from api.credentials.folder import opened
        from api.credentials.lists import Issued
        from api.credentials.passwords import fresh_password, hashed

        password = fresh_password()
        with opened(folder_at(broker_dir)) as folder:
            book, login = rotated(folder.read(), who, hashed(password), utc_now())
            told = [Issued(login.speaks_for, login.username, password)]
            hand_out(told, out, lambda: folder.write(book), json=json)
        tell_broker(reload)

    run_or_explain(run)


@devices.command()
def revoke(who: Who, *, broker_dir: BrokerDir = None, reload: Reload = None) -> None:
    """Take a login away: stolen, scrapped, sold. It does not come back by any list.

    When the broker reads its files again it also throws out who is connected with it.
    """

    def run() -> None:
        from api.credentials.book import revoked
        from api.credentials.folder import opened

        with opened(folder_at(broker_dir)) as folder:
            book, login = revoked(folder.read(), who, utc_now())
            folder.write(book)
        typer.echo(f"revoked: {login.username}")
        tell_broker(reload)

    run_or_explain(run)


@devices.command("import")
def import_list(  # noqa: PLR0913  (a command line is as wide as its options)
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV with a first line: id, and if needed dialect, name, hash."),
    ] = None,
    *,
    declared: Annotated[
        bool,
        typer.Option(
            "--declared", help="Instead: all devices of the sites file without login."
        ),
    ] = False,
    new_only: Annotated[
        bool,
        typer.Option("--new-only", help="Pass over who has, or once had, a login."),
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Write the new logins and passwords into this new file (CSV).")
    ],
    broker_dir: BrokerDir = None,
    reload: Reload = None,
) -> None:
    """Give many devices a login: all of a list or none, with what is wrong line by line."""

    def run() -> None:
        from api.credentials import lists
        from api.credentials.book import added
        from api.credentials.folder import opened

        if (file is None) is not declared:
            raise typer.BadParameter("either a FILE or --declared")
        with opened(folder_at(broker_dir)) as folder:
            before = folder.read()
            if file is None:
                newcomers, told = lists.for_declared(before, all_declared())
            else:
                newcomers, told = lists.read(text_of(file))
            if new_only:
                newcomers, told = lists.without_known(before, newcomers, told)
            book = added(before, newcomers, utc_now())
            hand_out(told, out, lambda: folder.write(book))
        typer.echo(f"{len(newcomers)} new logins; their passwords are in {out}")
        tell_broker(reload)

    run_or_explain(run)


@devices.command("list")
def list_logins(*, broker_dir: BrokerDir = None, json: AsJson = False) -> None:
    """Show who has a login and since when, who was revoked, and who should have one."""

    def run() -> None:
        from api.credentials.folder import opened
        from api.credentials.overview import overview

        with opened(folder_at(broker_dir)) as folder:
            found = overview(folder.read(), declared_devices())
        if json:
            print_json(found)
        else:
            show(found)

    run_or_explain(run)
