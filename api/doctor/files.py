"""Files and folders: sites, policy, who may read the secrets, how much space is left."""

import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from api.doctor.finding import Finding, found
from api.doctor.patient import Patient, read_only
from api.link_keys import FILE_NAME as LINK_KEYS
from api.policy_file import PolicyFileWrong, nowhere, read_policies
from api.rules_shown import declared_places
from api.settings import Settings
from api.sites import SitesFileWrong, read_sites
from api.sites_schedule import calendars_ending
from api.tokens import FILE_NAME as TOKENS
from ingest.codecs import all_codecs
from ingest.ledger import tables

MIB = 1024 * 1024
LOW_BYTES, FULL_BYTES = 1024 * MIB, 200 * MIB
LOW_SHARE, FULL_SHARE = 0.05, 0.01
"""Of the inodes."""
DAYS_LEFT_MIN = 30
GROWTH_DAYS_MIN = 1.0
"""What grew in less than a day says nothing about a month."""
CONTAINER_SECRETS = Path("/run/secrets")
"""Who may read those is decided outside of the container."""
SECRET_NAMES = ("password", "secret", "token")


def check_sites(patient: Patient) -> list[Finding]:
    path = patient.settings.sites_file
    if path is None:
        return [found("sites", "none")]
    today = patient.now.date()
    try:
        declared = read_sites(path, [codec.name for codec in all_codecs()], today.year)
    except (SitesFileWrong, OSError) as error:
        return [found("sites", "wrong", file=str(path), reason=str(error))]
    ending = list(calendars_ending(declared.calendars, today))
    if ending:
        return [found("sites", "calendar", file=str(path), reason="; ".join(ending))]
    return [
        found(
            "sites",
            "fine",
            file=str(path),
            sites=len(declared.sites),
            devices=len(declared.devices),
        )
    ]


def check_policy(patient: Patient) -> list[Finding]:
    settings = patient.settings
    path = settings.policy_file
    if path is None:
        return [found("policy", "none")]
    try:
        policies = read_policies(path)
        astray = (
            []
            if settings.sites_file is None
            else list(nowhere(policies, declared_places(settings.sites_file)))
        )
    except (PolicyFileWrong, OSError) as error:
        return [found("policy", "wrong", file=str(path), reason=str(error))]
    except SitesFileWrong:
        astray = []  # said by the check of the sites
    if astray:
        return [found("policy", "nowhere", file=str(path), reason="; ".join(astray))]
    return [found("policy", "fine", file=str(path))]


def check_files(patient: Patient) -> list[Finding]:
    """Say which files with secrets others may read."""
    secret = dict(_secret_files(patient.settings))
    if not secret:
        return [found("files", "none")]
    exposed = [str(path) for path, whose in secret.items() if path.stat().st_mode & whose]
    if exposed:
        return [found("files", "exposed", files=" ".join(exposed))]
    return [found("files", "fine", count=len(secret))]


def _secret_files(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Yield each file with secrets, and the rights that nobody may have to it.

    The folder of secrets may be shared with a group: root's files, read by the service.
    """
    own, env = [settings.data_dir / name for name in (TOKENS, LINK_KEYS)], Path(".env")
    for path in (*own, env):
        if path.is_file() and (path is not env or _holds_a_secret(path)):
            yield path, stat.S_IRWXG | stat.S_IRWXO
    folder = settings.secrets_dir
    if folder is not None and folder != CONTAINER_SECRETS:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.endswith(SECRET_NAMES):
                yield path, stat.S_IRWXO


def _holds_a_secret(path: Path) -> bool:
    lines = path.read_text(errors="replace").casefold().splitlines()
    names = (line.partition("=")[0].strip() for line in lines)
    return any(name.endswith(SECRET_NAMES) for name in names if not name.startswith("#"))


def check_disk(patient: Patient) -> list[Finding]:
    folder = patient.settings.data_dir
    if not folder.is_dir():
        return [found("disk", "none", folder=str(folder))]
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return [found("disk", "unwritable", folder=str(folder), reason=str(error.strerror))]
    used = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    since = _first_device_at(patient.ledger)
    age_days = (patient.now - since).total_seconds() / 86_400 if since else 0.0
    return [judge_space(str(folder), patient.space(folder), used, age_days)]


def judge_space(
    folder: str, space: os.statvfs_result, used_bytes: int, age_days: float
) -> Finding:
    """Say how long the disk lasts, if it goes on as it did in the `age_days` so far."""
    free = space.f_bavail * space.f_frsize
    inodes = space.f_favail / space.f_files if space.f_files else 1.0
    facts: dict[str, str | float] = {
        "folder": folder,
        "free_mib": free // MIB,
        "inodes_percent": round(inodes * 100),
    }
    if free < FULL_BYTES or inodes < FULL_SHARE:
        return found("disk", "full", **facts)
    if free < LOW_BYTES or inodes < LOW_SHARE:
        return found("disk", "low", **facts)
    if age_days >= GROWTH_DAYS_MIN and used_bytes:
        days_left = int(free / (used_bytes / age_days))
        if days_left < DAYS_LEFT_MIN:
            return found("disk", "fills", days_left=days_left, **facts)
    return found("disk", "fine", **facts)


def _first_device_at(ledger: Path) -> datetime | None:
    if not ledger.exists():
        return None
    try:
        with read_only(ledger) as connection:
            first = sa.select(tables.devices.c.added_at).order_by(tables.devices.c.added_at)
            return connection.scalar(first.limit(1))
    except sa.exc.DatabaseError:  # said by the check of the ledger
        return None
