"""The sites file: what it may say, and what is said about each mistake in it."""

from datetime import date, time, timedelta
from pathlib import Path

import pytest

from api.sites import SitesFileWrong, parsed, read_sites
from api.sites_moved import MOVED
from ingest.codecs import all_codecs
from ingest.registry import Location
from rules.policy import Policy
from rules.readings import Kind
from rules.schedule import EVERY_DAY, DatedDay, Schedule, Window

EXAMPLE = Path(__file__).parents[1] / "examples" / "sites.toml"
YEAR = 2026
DIALECTS = frozenset(codec.name for codec in all_codecs())
AREA = '[areas.town]\nname = {zh = "镇", en = "Town"}\n'
SITE = AREA + '[sites."town/north"]\nname = {zh = "北", en = "North"}\n'
NAME = 'name = {zh = "x", en = "x"}\n'
DEVICE = SITE + '[[devices]]\nid = "town/north/pile-1"\nkind = "charger"\n'

MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    "no TOML": ("areas = [", ()),
    "a key that is none": (SITE + "grace = 3\n", ("unknown field", "grace")),
    "a part that is none": ("[places.x]\n", ("unknown field", "places")),
    "a site without a name": (AREA + '[sites."town/north"]\n', ("missing", "name")),
    "a name in one language": ('[areas.x]\nname = {zh = "x"}\n', ("missing", "en")),
    "a site without an area": (
        AREA + '[sites."city/north"]\n' + NAME,
        ('sites."city/north"', "no area 'city'"),
    ),
    "a site called like an area": (
        AREA + "[sites.town]\n" + NAME,
        ('sites."town"', '"area/site"'),
    ),
    "a site with too many levels": (
        AREA + '[sites."town/a/b"]\n' + NAME,
        ('sites."town/a/b"', '"area/site"'),
    ),
    "a zone that is none": (
        SITE + 'zone = "Asia/Peking"\n',
        ('sites."town/north".zone', "IANA", "'Asia/Peking'"),
    ),
    "a part of the world for a zone": (SITE + 'zone = "Asia"\n', (".zone", "IANA", "'Asia'")),
    "a path for a zone": (SITE + 'zone = "../etc"\n', (".zone", "IANA")),
    "a window that is none": (
        SITE + 'closed = ["22-5"]\n',
        ('sites."town/north".closed', "'22-5'", '"22:00-05:00"'),
    ),
    "an hour that is none": (SITE + 'closed = ["25:00-05:00"]\n', (".closed", "25:00")),
    "a minute that is none": (SITE + 'closed = ["22:60-05:00"]\n', (".closed", "22:60")),
    "a day that is none": (
        SITE + 'closed = ["mon-xyz 22:00-05:00"]\n',
        (".closed", "'mon-xyz'", "mon, tue, wed, thu, fri, sat, sun"),
    ),
    "half a range of days": (
        SITE + 'closed = ["mon- 22:00-05:00"]\n',
        (".closed", "'mon-'", "mon, tue"),
    ),
    "an empty day": (SITE + 'closed = ["mon,, 22:00-05:00"]\n', (".closed", "days are")),
    "workdays without a calendar": (
        SITE + 'closed = ["workdays 22:00-05:00"]\n',
        ('sites."town/north".closed', 'calendar = "CN"'),
    ),
    "a calendar that is none": (
        SITE + 'calendar = "Atlantis"\n',
        ('sites."town/north".calendar', "'Atlantis'"),
    ),
    "a day that is both rest and work": (
        SITE + "extra_holidays = [2026-05-04]\nextra_workdays = [2026-05-04]\n",
        ('sites."town/north".extra_holidays', "2026-05-04", "extra_workdays"),
    ),
    "an exception that ends before it begins": (
        SITE + "exceptions = [{from = 2026-02-20, to = 2026-02-16, closed = []}]\n",
        ('sites."town/north".exceptions', "2026-02-20", "1 to 100 days"),
    ),
    "an exception without end": (
        SITE + "exceptions = [{from = 2026-02-20, to = 2027-02-16, closed = []}]\n",
        (".exceptions", "2027-02-16", "1 to 100 days"),
    ),
    "a day in two exceptions": (
        SITE + "exceptions = [{from = 2026-02-16, to = 2026-02-20, closed = []},"
        " {from = 2026-02-20, to = 2026-02-22, closed = []}]\n",
        ('sites."town/north".exceptions', "2026-02-20", "two"),
    ),
    "an exception with days": (
        SITE
        + "exceptions = [{from = 2026-02-16, to = 2026-02-20, closed = ['sat 22:00-05:00']}]\n",
        ('sites."town/north".exceptions.closed', "'sat 22:00-05:00'", "from and to"),
    ),
    "an exception whose window is none": (
        SITE + "exceptions = [{from = 2026-02-16, to = 2026-02-20, closed = ['22-5']}]\n",
        ('sites."town/north".exceptions.closed', "'22-5'"),
    ),
    "a limit, which is in the policy file now": (
        SITE + "grace_min = 2.5\n",
        (
            'line 5: sites."town/north".grace_min',
            "docs/policy.md",
            '[site."town/north"] after_hours.grace = "2.5 min"',
        ),
    ),
    "two limits": (
        SITE + "socket_limit_w = 800\noverload_hold_s = 5\n",
        (
            'line 5: sites."town/north".socket_limit_w',
            "overload.act_w = 800",
            'line 6: sites."town/north".overload_hold_s',
            'overload.hold = "5 s"; pile_overload.hold = "5 s"',
        ),
    ),
    "a place beyond the pole": (
        SITE + "location = {latitude = 90.5, longitude = 120}\n",
        ("<= 90", "location.latitude"),
    ),
    "a place beyond the date line": (
        SITE + "location = {latitude = 30, longitude = -180.5}\n",
        (">= -180", "location.longitude"),
    ),
    "a place that is no number": (
        SITE + "location = {latitude = nan, longitude = 120}\n",
        ("location.latitude",),
    ),
    "half a place": (SITE + "location = {latitude = 30}\n", ("location", "longitude")),
    "a carrier that is none": (SITE + "carrier = 3\n", ("carrier", "str")),
    "a device without a place": (
        SITE + '[[devices]]\nid = "pile-1"\nkind = "charger"\n',
        ("'pile-1'", '"area/site/device"'),
    ),
    "a device without a site": (
        SITE + '[[devices]]\nid = "town/south/p"\nkind = "smoke"\n',
        ("'town/south/p'", "no site 'town/south'"),
    ),
    "a device without a name": (
        SITE + '[[devices]]\nid = "town/north/"\nkind = "smoke"\n',
        ("'town/north/'", "empty"),
    ),
    "a device that no topic can name": (
        SITE + '[[devices]]\nid = "town/north/p#"\nkind = "smoke"\n',
        ("'town/north/p#'", "contains + or #"),
    ),
    "a native device with too many levels": (
        SITE + '[[devices]]\nid = "town/north/p/1"\nkind = "smoke"\n',
        ("'town/north/p/1'", '"area/site/device"'),
    ),
    "a kind that is none": (
        DEVICE.replace("charger", "toaster"),
        ("toaster", "devices"),
    ),
    "a dialect that is none": (
        DEVICE + 'dialect = "modbus"\n',
        ("'town/north/pile-1'.dialect", "native, tasmota, zigbee2mqtt"),
    ),
    "a native device with another name": (
        DEVICE + 'name = "pile"\n',
        ("'town/north/pile-1'.name", "like its id"),
    ),
    "a device that is there twice": (
        DEVICE + DEVICE.removeprefix(SITE),
        ("'town/north/pile-1'", "twice"),
    ),
    "a name that is there twice": (
        DEVICE.replace("pile-1", "a")
        + 'dialect = "tasmota"\nname = "x"\n[[devices]]\nid = "town/north/b"\n'
        'kind = "charger"\ndialect = "tasmota"\nname = "x"\n',
        ("tasmota x", "twice"),
    ),
    "too many sockets": (DEVICE + "sockets = 257\n", ("<= 256", "sockets")),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_refuses(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_text(text)
    with pytest.raises(SitesFileWrong) as caught:
        read_sites(path, DIALECTS, YEAR)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert [word for word in words if word not in message] == [], message


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SitesFileWrong, match=r"sites\.toml: No such file"):
        read_sites(tmp_path / "sites.toml", DIALECTS, YEAR)


def test_refuses_a_file_in_another_encoding_and_says_which_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_bytes(AREA.encode("gbk"))
    with pytest.raises(SitesFileWrong, match="save it as UTF-8"):
        read_sites(path, DIALECTS, YEAR)


def test_an_empty_file_declares_nothing() -> None:
    declared = parsed(b"", DIALECTS, YEAR)
    assert (declared.areas, declared.sites, declared.devices) == ((), (), ())


def test_what_is_not_said_is_the_default_of_the_rules() -> None:
    [site] = parsed(SITE.encode(), DIALECTS, YEAR).sites
    assert (site.schedule, site.carrier) == (Schedule.nightly(), "")
    assert site.location is None
    assert (site.id, site.area, site.name.zh, site.declared) == (
        "town/north",
        "town",
        "北",
        True,
    )


EVERY_KEY = """
zone = "Europe/Berlin"
closed = ["11:30-13:30", "mon-fri 22:00-05:00", "sat,sun 00:00-24:00"]
extra_holidays = [2026-12-24]
extra_workdays = [2026-12-27]
exceptions = [{from = 2026-12-31, to = 2027-01-01, closed = ["02:00-06:00"]}]
carrier = "mobile"
location = {latitude = -33, longitude = 151.25}
"""


def test_every_key_of_a_site_is_used() -> None:
    text = f"{SITE}{EVERY_KEY}"
    [site] = parsed(text.encode(), DIALECTS, YEAR).sites
    assert site.carrier == "mobile"
    assert site.location == Location(latitude=-33.0, longitude=151.25)
    assert site.schedule == Schedule(
        "Europe/Berlin",
        (
            Window(time(11, 30), time(13, 30), EVERY_DAY),
            Window(time(22), time(5), frozenset(range(5))),
            Window(time(0), time(0), frozenset({5, 6})),
        ),
        exceptions=(
            DatedDay(date(2026, 12, 31), (Window(time(2), time(6)),)),
            DatedDay(date(2027, 1, 1), (Window(time(2), time(6)),)),
        ),
        holidays=frozenset({date(2026, 12, 24)}),
        makeup_workdays=frozenset({date(2026, 12, 27)}),
    )


def test_every_limit_that_has_moved_is_a_key_of_the_policy_file() -> None:
    for key, (places, unit) in MOVED.items():
        length = key.endswith(("_min", "_s")) and key != "charging_w_min"
        assert unit == (key.rpartition("_")[2] if length else ""), key
        for place in places:
            table, _, name = place.partition(".")
            limits = getattr(Policy(), table)
            assert isinstance(getattr(limits, name), timedelta) == bool(unit), place


def test_days_may_run_over_the_end_of_the_week() -> None:
    text = SITE + 'closed = ["fri-mon,wed 22:00-05:00"]\n'
    [site] = parsed(text.encode(), DIALECTS, YEAR).sites
    assert site.schedule.closed[0].days == frozenset({4, 5, 6, 0, 2})


def test_a_device_has_its_kind_its_sockets_and_a_name_in_its_dialect() -> None:
    text = DEVICE + 'sockets = 3\nsilent_after_min = 1.5\n[[devices]]\nid = "town/north/hall"\n'
    text += 'kind = "smoke"\ndialect = "zigbee2mqtt"\n'
    pile, hall = parsed(text.encode(), DIALECTS, YEAR).devices
    assert (pile.name, pile.dialect, pile.kind) == (pile.id, "native", Kind.CHARGER)
    assert (pile.sockets, pile.silent_after) == (frozenset({1, 2, 3}), timedelta(seconds=90))
    assert (hall.name, hall.dialect, hall.kind) == ("hall", "zigbee2mqtt", Kind.SMOKE)
    assert (hall.site, hall.sockets, hall.silent_after) == ("town/north", frozenset(), None)


@pytest.mark.skipif(not EXAMPLE.exists(), reason="there is no example yet")
def test_the_example_is_right() -> None:
    declared = read_sites(EXAMPLE, DIALECTS, YEAR)
    assert declared.areas
    assert declared.sites
    assert declared.devices
