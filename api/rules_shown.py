"""What the command line shows of the rules: the catalogue, and what is in force where."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec

from api.policy_file import KnownPlaces, read_policies
from api.policy_shape import did_you_mean, unit_of
from api.sites import Declared, read_sites
from api.sites_file import SitePart
from api.text import Texts
from ingest.clock import utc_now
from ingest.codecs import all_codecs
from ingest.errors import ChargewatchError
from rules.catalog import rules_in_force
from rules.policies import BUILT_IN, BUILT_IN_LAYER, InForce, Written, as_written
from rules.readings import Kind
from rules.verdict import Severity

SITES_FILE_LAYER = "sites file"
WARNS_TOO = (Severity.WARNING, Severity.CRITICAL)
SEVERAL: dict[str, tuple[Severity, ...]] = {
    "overload": WARNS_TOO,
    "pile_overload": WARNS_TOO,
    "site_overload": WARNS_TOO,
    "heat": WARNS_TOO,
    "voltage": WARNS_TOO,
    "long_charge": tuple(Severity),
    "after_session": WARNS_TOO,
    "monitoring_blind": WARNS_TOO,
}
"""The rules with several levels; a test holds it equal to what they answer."""

HOURS = ("zone", "closed", "calendar", "extra_holidays", "extra_workdays", "exceptions")
"""The keys of a site that say when it is closed."""


class PlaceUnknown(ChargewatchError):
    """Nobody declared a place of that name."""


class RuleShown(msgspec.Struct, frozen=True):
    rule: str
    name: str
    levels: tuple[Severity, ...]
    """How loud it may be, rising."""
    basis: str


class LimitShown(msgspec.Struct, frozen=True):
    """One value in force; `layer` says who set it."""

    rule: str
    key: str
    value: Written
    unit: str
    layer: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """All that is in force for a site, or for a device there."""

    site: str
    device: str | None
    declared: bool
    policy_file: str | None
    sites_file: str | None
    opening_hours: tuple[LimitShown, ...]
    limits: tuple[LimitShown, ...]


def catalogue(say: Texts) -> list[RuleShown]:
    """Return every rule in force, in the words of a language."""
    return [
        RuleShown(
            rule.name,
            say(f"rule.{rule.name}.name"),
            levels_of(rule.name, rule.severity),
            say(f"rule.{rule.name}.basis"),
        )
        for rules in rules_in_force()
        for rule in rules
    ]


def levels_of(rule: str, severity: Severity) -> tuple[Severity, ...]:
    """Return how loud a rule may be, rising; `severity` is the level it has by itself."""
    return SEVERAL.get(rule, (severity,))


def in_force(
    site: str, device: str | None, sites_file: Path | None, policy_file: Path | None
) -> Shown:
    """Return what the two files put in force; raises PlaceUnknown for an unknown site."""
    if device is not None and not device.startswith(f"{site}/"):
        device = f"{site}/{device}"
    if site.count("/") != 1:
        raise PlaceUnknown(f'a site is called "area/site", not {site!r}')
    policies = BUILT_IN if policy_file is None else read_policies(policy_file)
    declared = Declared((), (), ()) if sites_file is None else _declared(sites_file)
    known = {each.id for each in declared.sites}
    if sites_file is not None and site not in known:
        raise PlaceUnknown(
            f"{sites_file}: no site is called {site!r}{did_you_mean(site, [*known])}"
        )
    found = {str(each.id): each for each in declared.devices}.get(device or "")
    limits = policies.explain(site, device)
    if found is not None and found.silent_after is not None:
        limits = with_silent_after(limits, found.kind, found.silent_after)
    return Shown(
        site=site,
        device=device,
        declared=found is not None if device else site in known,
        policy_file=None if policy_file is None else str(policy_file),
        sites_file=None if sites_file is None else str(sites_file),
        opening_hours=tuple(_hours(site, sites_file)),
        limits=tuple(
            LimitShown(
                each.table,
                each.key,
                as_written(each.value),
                unit_of(each.table, each.key),
                each.layer,
            )
            for each in limits
        ),
    )


def declared_places(sites_file: Path) -> KnownPlaces:
    """Return the ids that a sites file declares."""
    declared = _declared(sites_file)
    return KnownPlaces(
        [each.id for each in declared.areas],
        [each.id for each in declared.sites],
        [each.id for each in declared.devices],
    )


def _declared(sites_file: Path) -> Declared:
    return read_sites(sites_file, [codec.name for codec in all_codecs()], utc_now().year)


def with_silent_after(
    limits: Iterator[InForce], kind: Kind, silent_after: timedelta
) -> Iterator[InForce]:
    """Put in the time that the sites file has for this very device."""
    key = "smoke_after" if kind is Kind.SMOKE else "charger_after"
    for each in limits:
        if (each.table, each.key) == ("silence", key):
            yield each._replace(value=silent_after, layer=SITES_FILE_LAYER)
        else:
            yield each


def _hours(site: str, sites_file: Path | None) -> Iterator[LimitShown]:
    """Yield when the site is closed, as the sites file says it."""
    said: dict[str, object] = {}
    if sites_file is not None:
        said = msgspec.toml.decode(sites_file.read_bytes())["sites"][site]
    defaults = {field.name: field.default for field in msgspec.structs.fields(SitePart)}
    for key in HOURS:
        value = said.get(key, defaults[key])
        layer = SITES_FILE_LAYER if key in said else BUILT_IN_LAYER
        if value or key in said or key == "closed":
            yield LimitShown("opening_hours", key, _hours_written(value), "", layer)


def _hours_written(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_hours_written, value))
    if isinstance(value, dict):
        return f"{value['from']} … {value['to']}: {_hours_written(value['closed'])}"
    return str(value)
