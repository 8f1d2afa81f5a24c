"""The policy file: what it may say, and what is said about each mistake in it."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.policy_check import LAYERS_MAX
from api.policy_file import (
    BYTES_MAX,
    MISTAKES_MAX,
    KnownPlaces,
    PolicyFileWrong,
    nowhere,
    parsed,
    policies_of,
    read_policies,
    read_policy_text,
)
from api.policy_shape import keys_of, tables
from ingest.toml_lines import lines_of
from rules.policies import BUILT_IN, Policies, changed
from rules.policy import Policy
from rules.schedule import Schedule

EXAMPLE = Path(__file__).parents[1] / "examples" / "policy.toml"
SITE, PILE = "town/north", "town/north/pile-1"

MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    "no TOML": ("[default\n", ("policy: this is no TOML", "line 1")),
    "a part that is none": (
        "[sites.x]\n",
        (":1: sites: no such part", "'site'", "[default.overload]", '[device."town/'),
    ),
    "a part that is no table": ("\nsite = 3\n", (":2: site: found 3", '[site."town/north"')),
    "an area called like a site": (
        '[area."town/north".overload]\n',
        (':1: area."town/north": it is called "area"', "[area.town.overload]"),
    ),
    "a site without quotes": (
        "[site.town.north.overload]\n",
        (':1: site.town: it is called "area/site"', '[site."town/north".overload]'),
    ),
    "a site called like a device": (
        f'[site."{PILE}".overload]\n',
        (f':1: site."{PILE}": it is called "area/site"',),
    ),
    "a device called like a site": (
        f'[device."{SITE}".overload]\n',
        (f':1: device."{SITE}": it is called "area/site/device"',),
    ),
    "a place without a name": (
        '[site."town/".overload]\n',
        (':1: site."town/": it is called',),
    ),
    "a place that is no table": (f'[site]\n"{SITE}" = 3\n', (f':2: site."{SITE}": found 3',)),
    "a table that is none": (
        "[default.overlaod]\n",
        (":1: default.overlaod: no such table", "'overload'", "pile_overload", "silence"),
    ),
    "opening hours": (
        f'[site."{SITE}"]\nschedule = "22:00-05:00"\n',
        (f':2: site."{SITE}".schedule', "docs/sites.md"),
    ),
    "a device with the limits of its site": (
        f'[device."{PILE}".site_overload]\nfeeder_w = 20000\n',
        (f':1: device."{PILE}".site_overload', "allowed in: default, area, site"),
    ),
    "a site with the limits of a carrier": (
        f'[site."{SITE}"]\ncarrier_outage.sites = 3\n',
        (f':2: site."{SITE}".carrier_outage', "allowed in: default"),
    ),
    "a choice that is none": (
        f'[site."{SITE}".cut]\nautomatic = "yes"\n',
        (f':2: site."{SITE}".cut.automatic: found "yes"; allowed: true or false',),
    ),
    "a count that is a fraction": (
        "[default.cut]\nattempts = 2.5\n",
        (":2: default.cut.attempts: found 2.5; allowed: 1 to 10",),
    ),
    "less than a step needs": (
        f'[site."{SITE}".cut]\nspacing = "0.1 s"\n',
        (":2: ", "spacing must be at least 0.5 s", f"spacing is 0.1 s (site {SITE})"),
    ),
    "a table that is a number": (
        "[default]\noverload = 1000\n",
        (":2: default.overload: found 1000", "a table of warn_w, act_w, clear_w, hold"),
    ),
    "a key that is none": (
        "[default.overload]\n\nwarm_w = 700\n",
        (":3: default.overload.warm_w: no such key", "'warn_w'", "act_w, clear_w, hold"),
    ),
    "a word for a number": (
        '[default.overload]\nwarn_w = "a lot"\n',
        (':2: default.overload.warn_w: found "a lot"', "a number, 0 to 1000000 W"),
    ),
    "a number that is too high": (
        "[default]\noverload.act_w = 1e7\n",
        (":2: default.overload.act_w: found 10000000", "0 to 1000000 W"),
    ),
    "a number that is too low": (
        "[default]\nheat.warn_c = 0\n",
        (":2: default.heat.warn_c: found 0", "more than 0, at most 250 °C"),
    ),
    "a percentage above all": ("[default]\nsensor_battery.low_pct = 101\n", ("0 to 100 %",)),
    "no number at all": ("[default]\noverload.warn_w = nan\n", ("found nan",)),
    "a number without end": ("[default]\noverload.warn_w = inf\n", ("found inf",)),
    "yes for a number": ("[default]\noverload.warn_w = true\n", ("found true", "a number")),
    "a length of time without its unit": (
        "[default.overload]\nhold = 30\n",
        (
            ":2: default.overload.hold: found 30 (a number alone says no unit)",
            '"30 s", "10 min", "8 h" or "1 d"',
            "0 s to 366 d",
        ),
    ),
    "a length of time in another unit": (
        '[default.overload]\nhold = "1 fortnight"\n',
        (':2: default.overload.hold: found "1 fortnight"', '"30 s"'),
    ),
    "a length of time as others write it": (
        '[default.overload]\nhold = "PT30S"\n',
        ('found "PT30S"', '"30 s"'),
    ),
    "a length of time below nothing": ('[default]\noverload.hold = "-3 s"\n', ('"-3 s"',)),
    "a length of time beyond all": (
        '[default]\nsilence.smoke_after = "367 d"\n',
        ('found "367 d"; allowed: 0 s to 366 d',),
    ),
    "a warning above the alarm, by default": (
        "[default.overload]\nact_w = 750\n",
        (
            ":2: default.overload.act_w: warn_w must be at most act_w",
            "warn_w is 800 (built in), act_w is 750 (default)",
        ),
    ),
    "a warning above the alarm, of two layers": (
        f'[area.town]\noverload.warn_w = 900\n[site."{SITE}".overload]\nact_w = 850\n',
        (
            f':4: site."{SITE}".overload.act_w',
            f"warn_w is 900 (area town), act_w is 850 (site {SITE})",
        ),
    ),
    "a device that contradicts its site": (
        f'[site."{SITE}".heat]\nact_c = 70\n[device."{PILE}".heat]\nwarn_c = 75\n',
        (
            f':4: device."{PILE}".heat.warn_c',
            f"warn_c is 75 (device {PILE}), act_c is 70 (site {SITE})",
        ),
    ),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_refuses(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(PolicyFileWrong) as caught:
        parsed(text.encode())
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert message.count("\n") == 0, "one mistake, one line"


def test_names_the_file_and_each_of_its_mistakes_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[default.heat]\nhold = 3\nwarn = 1\n[site."a/b".silence]\nhold = "x"\n')
    with pytest.raises(PolicyFileWrong) as caught:
        read_policies(path)
    begin = [line.partition(": ")[0] for line in str(caught.value).splitlines()]
    assert begin == [f"{path}:2", f"{path}:3", f"{path}:5"]


def test_tells_no_more_mistakes_than_somebody_reads() -> None:
    keys = "".join(f"x{n} = 1\n" for n in range(MISTAKES_MAX + 7))
    with pytest.raises(PolicyFileWrong) as caught:
        parsed(f"[default.heat]\n{keys}".encode())
    assert str(caught.value).count("\n") == MISTAKES_MAX
    assert str(caught.value).endswith("policy: and 7 more")


def test_a_contradiction_is_told_once_where_it_is_made() -> None:
    text = f'[area.town.heat]\nact_c = 62\n[site."{SITE}".heat]\nhold = "9 s"\n'
    with pytest.raises(PolicyFileWrong) as caught:
        parsed(text.encode())
    assert "area.town.heat.act_c" in str(caught.value)
    assert SITE not in str(caught.value)


def test_refuses_a_file_that_is_not_there_or_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with pytest.raises(PolicyFileWrong, match=r"policy\.toml: No such file"):
        read_policies(path)
    path.write_bytes("[area.河滨区]".encode("gbk"))
    with pytest.raises(PolicyFileWrong, match="save it as UTF-8"):
        read_policies(path)


def test_refuses_a_file_that_is_too_long_or_has_too_many_layers() -> None:
    with pytest.raises(PolicyFileWrong, match="longer than 1024 KiB"):
        parsed(b"#" * (BYTES_MAX + 1))
    areas = "".join(f"[area.a{n}]\n" for n in range(LAYERS_MAX + 1))
    with pytest.raises(PolicyFileWrong, match="10001 areas, sites and devices; allowed: 10000"):
        parsed(areas.encode())


def test_an_empty_file_and_one_that_says_nothing_are_the_built_in_policy() -> None:
    assert parsed(b"") == BUILT_IN
    assert parsed(b"[default.overload]\n# act_w = 900\n").settings() == BUILT_IN.settings()


def test_a_mark_at_the_beginning_is_no_mistake() -> None:
    assert parsed("\ufeff[default]\noverload.hold = '5 s'".encode()) != BUILT_IN


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30 s", timedelta(seconds=30)),
        ("30s", timedelta(seconds=30)),
        ("10 min", timedelta(minutes=10)),
        ("1.5 h", timedelta(minutes=90)),
        ("366 d", timedelta(days=366)),
        ("0 s", timedelta(0)),
    ],
)
def test_a_length_of_time_has_a_unit(written: str, meant: timedelta) -> None:
    policies = parsed(f'[default.overload]\nhold = "{written}"\n'.encode())
    assert policies.resolve("", None, Schedule.nightly()).overload.hold == meant


def test_the_example_is_right_and_the_narrower_place_wins() -> None:
    policies = read_policies(EXAMPLE)
    nightly = Schedule.nightly()
    dormitory = policies.resolve("riverside/factory-dormitory", None, nightly)
    village = policies.resolve("riverside/willow-village", None, nightly)
    assert (dormitory.overload.act_w, village.overload.act_w) == (800, 1000)


# --- layers for places that nobody knows --------------------------------------------------


def test_limits_for_a_place_that_nobody_knows_are_named_with_the_one_that_was_meant() -> None:
    text = '[area.twon]\n[site."town/nroth"]\n[site."town/north"]\n[device."a/b/c"]\n'
    known = KnownPlaces(["town"], ["town/north"], [PILE])
    assert list(nowhere(parsed(text.encode()), known)) == [
        "area.\"twon\": there is no such area; did you mean 'town'?",
        "site.\"town/nroth\": there is no such site; did you mean 'town/north'?",
        'device."a/b/c": there is no such device.',
    ]


def test_no_more_strangers_are_named_than_somebody_reads() -> None:
    text = "".join(f'[device."a/b/c{n}"]\n' for n in range(MISTAKES_MAX + 5))
    known = KnownPlaces([], [], [f"a/b/d{n}" for n in range(100_000)])
    said = list(nowhere(parsed(text.encode()), known))
    assert len(said) == MISTAKES_MAX + 1
    assert said[-1] == "and 5 more"


# --- what is kept of a policy -------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn) -> Policies:
    """Draw a policy with lengths of time only: those contradict nothing."""
    holds = st.timedeltas(timedelta(0), timedelta(days=31))
    layer = st.fixed_dictionaries(
        {},
        optional={
            "overload": st.fixed_dictionaries({"hold": holds}),
            "silence": st.fixed_dictionaries({}, optional={"charger_after": holds}),
        },
    )
    return Policies(
        draw(layer),
        draw(st.dictionaries(st.sampled_from(["town", "city"]), layer)),
        draw(st.dictionaries(st.sampled_from([SITE, "town/south"]), layer)),
        draw(st.dictionaries(st.sampled_from([PILE, "town/north/a/b"]), layer)),
    )


@given(policies())
def test_a_policy_that_was_kept_is_the_same_again(kept: Policies) -> None:
    again = policies_of(kept.settings())
    assert again is not None
    assert again.settings() == kept.settings()
    assert [*again.explain(SITE, PILE)] == [*kept.explain(SITE, PILE)]


def test_a_policy_with_a_key_that_is_gone_cannot_be_taken_up() -> None:
    assert policies_of({("default", "overload", "abolished_w"): 3.0}) is None


@given(policies(), policies())
def test_the_changes_lead_from_the_one_policy_to_the_other(
    one: Policies, two: Policies
) -> None:
    before, after = one.settings(), two.settings()
    found = changed(before, after)
    assert not changed(before, before)
    for layer, table, key, was, will_be in found:
        assert before.pop((layer, table, key), None) == was
        if will_be is not None:
            before[layer, table, key] = will_be
    assert before == after


# --- any text ----------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(["default", "area", "site", "device", "schedule", "town", SITE, PILE]),
    st.sampled_from([*tables(), *(key for table in tables() for key in keys_of(table))]),
    st.text(max_size=8),
)
VALUES = st.recursive(
    st.one_of(
        st.sampled_from(["1 d", "99999999999 d", "٣ s", "1e3", ""]),
        st.text(max_size=8),
        st.integers(),
        st.floats(),
        st.booleans(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner)),
    max_leaves=6,
)


def toml(value: object) -> str:
    """Return a value as TOML has it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case _:
            return str(value)


def is_policies_or_refused(text: bytes) -> None:
    try:
        found = parsed(text)
    except (PolicyFileWrong, UnicodeDecodeError):
        return
    for site in (SITE, *found.sites):
        assert isinstance(found.resolve(site, PILE, Schedule.nightly()), Policy)


@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_any_document_is_a_policy_or_refused(document: dict[str, object]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())
    is_policies_or_refused(text.encode("utf-8", "replace"))


@given(st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=3), WORDS, VALUES), max_size=4))
def test_any_tables_are_a_policy_or_refused(
    said: list[tuple[list[str], str, object]],
) -> None:
    text = "".join(
        f"[{'.'.join(map(toml, path))}]\n{toml(key)} = {toml(value)}\n"
        for path, key, value in said
    )
    is_policies_or_refused(text.encode("utf-8", "replace"))


@given(st.one_of(st.binary(), st.text().map(str.encode)))
@example(b"a = " + b"[" * 5000)
@example(b"default.overload.warn_w = " + b"9" * 5000)
@example(b"default.overload.warn_w = " + b"9" * 400)
@example(b'default.overload.hold = "999999999 d"')
@example(b"a = 9999-99-99")
@example(b'site."' + b"\\u0000" * 3 + b'" = 1')
def test_any_bytes_are_a_policy_or_refused(text: bytes) -> None:
    is_policies_or_refused(text)


# --- lines -------------------------------------------------------------------------------


def test_every_way_to_write_a_key_has_its_line() -> None:
    text = (
        "top = 1\r\n[a.'b.c']\n# x = 1\n\"k\".n = [\n 1,\n]\n[a]\n s = '''\n[no]\n'''\n"
        "t = { u = 1 } # [no]\n [[l]]\nm = 1\n"
    )
    assert lines_of(text) == {
        ("top",): 1,
        ("a",): 2,
        ("a", "b.c"): 2,
        ("a", "b.c", "k"): 4,
        ("a", "b.c", "k", "n"): 4,
        ("a", "s"): 8,
        ("a", "t"): 11,
        ("a", "t", "u"): 11,
        ("l",): 12,
        ("l", "m"): 13,
        ("l", 0): 12,
        ("l", 0, "m"): 13,
    }


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.touch()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    text = read_policy_text(path)
    assert (text.digest, text.file) == (empty, str(path))
