"""All checks, side by side, each with a limit of its own."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

import structlog
from pydantic_core import ValidationError

from api.cli_errors import in_words
from api.doctor.broker import check_broker
from api.doctor.channels import check_channels
from api.doctor.clock import check_clock
from api.doctor.files import check_disk, check_files, check_policy, check_sites
from api.doctor.finding import OUTCOMES, Finding, found
from api.doctor.grafana import check_grafana
from api.doctor.history import check_history
from api.doctor.ledger import OF_THE_LEDGER, check_ledger
from api.doctor.patient import Patient
from api.doctor.running import check_console, check_service
from api.settings import Settings, read_settings
from api.version import VERSION
from ingest.errors import ChargewatchError

WITHIN_S = 5.0

log = structlog.get_logger()

Check = Callable[[Patient], Awaitable[list[Finding]]]


def _in_thread(check: Callable[[Patient], list[Finding]]) -> Check:
    async def checked(patient: Patient) -> list[Finding]:
        return await asyncio.to_thread(check, patient)

    return checked


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("sites",), _in_thread(check_sites)),
    (("policy",), _in_thread(check_policy)),
    (("files",), _in_thread(check_files)),
    (("disk",), _in_thread(check_disk)),
    (("clock",), _in_thread(check_clock)),
    (OF_THE_LEDGER, _in_thread(check_ledger)),
    (("broker", "access", "certificate", "broker_limits"), check_broker),
    (("history", "certificate"), check_history),
    (("grafana", "certificate"), check_grafana),
    (("channels", "webhook", "mail", "certificate"), check_channels),
    (("service",), check_service),
    (("console", "certificate"), check_console),
)
"""What each looks at; the first name is that of the check if it does not come to an end."""


class NoSuchCheck(ChargewatchError):
    """A name after --only that is none."""


def settings_or_finding(
    environment: Mapping[str, str],
) -> tuple[Settings | None, list[Finding]]:
    """Read the settings as the service does; a mistake in them is a finding too."""
    try:
        settings = read_settings(environment)
    except (ChargewatchError, ValidationError) as error:
        return None, [found("settings", "wrong", reason=in_words(error))]
    return settings, [
        found("settings", "fine"),
        found("version", "fine", version=VERSION, python=platform.python_version()),
    ]


async def examine(patient: Patient, only: Collection[str] = ()) -> list[Finding]:
    """Run the checks, all or those that are named; raises NoSuchCheck."""
    check_names(only)
    wanted = [each for each in CHECKS if not only or set(each[0]) & set(only)]
    results = await asyncio.gather(*(_bounded(names, run, patient) for names, run in wanted))
    findings = [finding for result in results for finding in result]
    return in_order(each for each in findings if not only or each.check in only)


def check_names(only: Collection[str]) -> None:
    for name in only:
        if name not in OUTCOMES:
            raise NoSuchCheck(f"there is no check {name!r}: {', '.join(OUTCOMES)}")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order of the list of checks."""
    order = tuple(OUTCOMES)
    return sorted(findings, key=lambda finding: order.index(finding.check))


async def _bounded(
    names: tuple[str, ...], check: Check, patient: Patient, within_s: float = WITHIN_S
) -> list[Finding]:
    try:
        async with asyncio.timeout(within_s):
            return await check(patient)
    except TimeoutError:
        return [found(names[0], "timeout", seconds=within_s)]
    except Exception as fault:  # a fault of ours in one check must not hide the others
        log.exception("doctor.fault", check=names[0])
        return [found(names[0], "fault", reason=type(fault).__name__)]
