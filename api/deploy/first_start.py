"""Everything that `docker compose up` needs and that cannot lie in the repository.

It may be run again at any time: it makes what is missing and leaves what is there.
"""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from api.credentials.folder import opened
from api.credentials.logins import SERVICE as LOGIN
from api.credentials.setting_up import Wanted, set_up
from api.deploy.files import closed, shared, write_shared
from api.deploy.secrets import (
    SERVICE,
    SERVICE_AT_BROKER,
    SecretsWrong,
    made_secrets,
    read_secret,
)
from api.settings import secret_names
from ingest.errors import ChargewatchError
from simulator.quiet_month import quiet_month
from simulator.village import POLICY_TOML, sites_toml

FOLDER = "var/deploy"
COMPOSE_FILE, ENVIRONMENT, SERVICE_ENVIRONMENT = "docker-compose.yml", ".env", "service.env"
SECRETS, BROKER, AUTHORITY, CONFIG = "secrets", "broker", "authority", "config"
PROBE = "mosquitto_sub"
"""Options of the broker's health check, where mosquitto_sub looks for them."""
BROKER_IN_COMPOSE = "mosquitto"
DEMO_SITES, DEMO_SEED = 5, 7

SITES_TOML = """\
# Which areas, sites and devices there are (docs/sites.md). The service reads it at its start.
# Take the signs # away and put in your own, or begin with examples/sites.toml.

#[areas.riverside]
#name = { zh = "河滨区", en = "Riverside" }

#[sites."riverside/willow-village"]
#name = { zh = "柳树村", en = "Willow Village" }
#closed = ["22:00-05:00"]

#[devices."riverside/willow-village/pile-1"]
"""
OWN_POLICY_TOML = """\
# Limits that are not the built-in ones (docs/policy.md). Read again whenever it changes.
"""
SERVICE_ENV = """\
# Settings of the service that are no secrets (README, "Configuration"), one a line. A secret
# is a file in secrets/service instead, for example chargewatch_smtp__password.
CHARGEWATCH_LANGUAGE=zh
#CHARGEWATCH_WEBHOOK__URL=https://example.org/alarms
#CHARGEWATCH_SMTP__HOST=mail.example.org
#CHARGEWATCH_SMTP__USERNAME=chargewatch@example.org
#CHARGEWATCH_SMTP__SENDER=chargewatch@example.org
#CHARGEWATCH_SMTP__RECIPIENTS=["duty@example.org"]
"""


class NotAProject(ChargewatchError):
    """There is no docker-compose.yml where it was looked for."""


class FirstStart(msgspec.Struct, frozen=True):
    """What was made. No secret is in here."""

    folder: Path
    made: tuple[str, ...]
    hosts: tuple[str, ...]
    """Names and addresses that the broker's certificate is good for."""
    certificate_ends: datetime


def first_start(
    project: Path, hosts: tuple[str, ...], now: datetime, *, demo: bool
) -> FirstStart:
    """Make secrets, the broker's files, a configuration and `.env`.

    Raises NotAProject, FilesWrong, SecretsWrong or CredentialsWrong.
    """
    if not (project / COMPOSE_FILE).is_file():
        raise NotAProject(f"{project / COMPOSE_FILE}: not there; start this in the repository")
    folder = project / FOLDER
    secrets = folder / SECRETS
    closed(folder)
    made = [f"{SECRETS}/{name}" for name in made_secrets(secrets)]
    shared(folder / BROKER)
    with opened(folder / BROKER) as broker:
        wanted = Wanted(
            authority_dir=folder / AUTHORITY,
            secrets_dir=secrets / SERVICE,
            hosts=(BROKER_IN_COMPOSE, *hosts),
            simulated=_demo_areas(now) if demo else None,
        )
        done = set_up(broker, wanted, now)
    made += done.made
    password = read_secret(secrets / SERVICE_AT_BROKER)
    write_shared(secrets / PROBE, f"-u {LOGIN}\n-P {password}\n")
    made += _configuration(folder, now, demo=demo)
    made += _environment(project / ENVIRONMENT, demo=demo)
    return FirstStart(folder, tuple(made), done.hosts, done.certificate_ends)


def _demo_areas(now: datetime) -> tuple[str, ...]:
    village = quiet_month(DEMO_SEED, now.date(), 1, DEMO_SITES)
    return tuple(f"{area.slug}/+" for area in village.areas)


def _configuration(folder: Path, now: datetime, *, demo: bool) -> list[str]:
    """Write what people will edit, unless it is there."""
    shared(folder / CONFIG)
    village = quiet_month(DEMO_SEED, now.date(), 1, DEMO_SITES)
    texts = {
        f"{CONFIG}/sites.toml": sites_toml(village) if demo else SITES_TOML,
        f"{CONFIG}/policy.toml": POLICY_TOML if demo else OWN_POLICY_TOML,
        SERVICE_ENVIRONMENT: SERVICE_ENV,
    }
    missing = [name for name in texts if not (folder / name).exists()]
    for name in missing:
        write_shared(folder / name, texts[name])
    _refuse_secrets_in(folder / SERVICE_ENVIRONMENT)
    return missing


def _refuse_secrets_in(path: Path) -> None:
    """A container's environment is shown by `docker inspect`; a file is not."""
    secret = secret_names()
    for line in path.read_text(encoding="utf-8").splitlines():
        name = line.partition("=")[0].strip()
        if name in secret:
            raise SecretsWrong(
                f"{path}: {name} is a secret: put it into {SECRETS}/{SERVICE}/{name.lower()}"
            )


def _environment(path: Path, *, demo: bool) -> list[str]:
    """Say in `.env` what docker-compose.yml asks for; what people wrote there stays."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    group = f"DEPLOY_GID={os.getegid()}"
    lines = [
        group if line.startswith("DEPLOY_GID=") else line  # of another machine, after a restore
        for line in before.splitlines()
    ]
    if group not in lines:
        lines.append(group)
    if not any(line.startswith("COMPOSE_PROFILES=") for line in lines):
        lines.append(f"COMPOSE_PROFILES={'demo' if demo else 'prod'}")
    after = "\n".join(lines) + "\n"
    if after == before:
        return []
    path.write_text(after, encoding="utf-8")
    return [ENVIRONMENT]
