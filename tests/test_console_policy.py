"""The limits on their page: what is in force where, who set it, and reading the file again."""

import asyncio
import re
from datetime import timedelta

import pytest
from msgspec.structs import replace

from api.console.limits_shown import layer_name, limits_in_words, value_in_words
from api.console.policy import CHANGES_PER_PAGE
from api.text import LANGUAGES, Texts
from ingest.ledger.policy_log import How, PolicyChange, append_policy_change
from ingest.people import Role
from rules.policies import BUILT_IN, Changed, built_in_tables
from tests.http_doubles import (
    PAGE,
    PILE,
    READ_TOKEN,
    SMOKE,
    Client,
    World,
    csrf_on,
    log_in,
    log_in_as,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

ZH, EN = Texts.of("zh"), Texts.of("en")
SITE = "xuhui/renmin-lu"
FILE = f"""\
[default.overload]
warn_w = 750

[area.xuhui.overload]
act_w = 950

[site."{SITE}".overload]
clear_w = 600

[device."{PILE}".overload]
hold = "45 s"
"""


def reload(here: World, client: Client, text: str) -> None:
    here.policy_file.write_text(text, encoding="utf-8")
    response = client.post(
        "/policy/reload", data={"csrf": csrf_on(client, "/policy")}, headers=PAGE
    )
    assert response.status_code == 303


def limits_on(client: Client, query: str = "") -> dict[str, tuple[str, str]]:
    """Return the limits of overload as the page shows them: by key, value and who set it."""
    page = client.get(f"/policy?lang=en{query}", headers=PAGE).text
    _, _, rest = page.partition('id="rule-overload"')
    shown = re.findall(
        r'<span class="mono soft">(\w+)</span></dt><dd><span class="figure">([^<]*)</span>'
        r' <span class="soft">([^<]*)</span>',
        rest.partition("</details>")[0],
    )
    return {key: (value, layer) for key, value, layer in shown}


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_limit_has_a_name_of_its_own_in_its_rule(lang: str) -> None:
    say = Texts.of(lang)
    for rule in limits_in_words(BUILT_IN.explain("", None), say):
        names = [row.name for row in rule.rows]
        keys = [row.key for row in rule.rows]
        assert rule.name != rule.table
        assert not set(names) & set(keys), rule.table
        assert len({*names}) == len(names), rule.table
    known = {key for keys in built_in_tables().values() for key in keys}
    own = {f"{table}.{key}" for table, keys in built_in_tables().items() for key in keys}
    said = {k.removeprefix("limit.") for k in say.messages if k.startswith("limit.")}
    assert said <= known | own | {"yes", "no"}


def test_values_are_written_as_people_say_them() -> None:
    values: list[tuple[object, str, str]] = [
        (timedelta(minutes=90), "", "1 hour 30 minutes"),
        (timedelta(milliseconds=500), "", "0.5 s"),
        (timedelta(0), "", "0 seconds"),
        (True, "", "yes"),
        (0.85, "", "0.85"),
        (1200.0, "W", "1,200 W"),
        (None, "W", "none"),
        ("<b>", "", "<b>"),
    ]
    for value, unit, words in values:
        assert value_in_words(value, unit, EN) == words


def test_a_layer_is_named_with_its_place() -> None:
    assert layer_name("built in", ZH) == "内置"
    assert layer_name("sites file", EN) == "sites file"
    assert layer_name(f"site {SITE}", EN) == f"site {SITE}"


# --- the page --------------------------------------------------------------------------------


def test_each_place_shows_its_values_and_the_level_that_set_each(
    here: World, client: Client
) -> None:
    log_in(client)
    reload(here, client, FILE)
    default = ("750 W", "default")
    built_in = {"act_w": ("1,000 W", "built in"), "clear_w": ("700 W", "built in")}
    assert limits_on(client).items() >= (built_in | {"warn_w": default}).items()
    area = limits_on(client, "&place=xuhui")
    assert (area["warn_w"], area["act_w"]) == (default, ("950 W", "area xuhui"))
    site = limits_on(client, f"&place={SITE}")
    assert site["clear_w"] == ("600 W", f"site {SITE}")
    assert site["hold"] == ("30 seconds", "built in")
    pile = limits_on(client, f"&place={SITE}&device={PILE}")
    assert pile["hold"] == ("45 seconds", f"device {PILE}")
    assert limits_on(client, "&place=berlin/hof")["act_w"] == ("1,000 W", "built in")


def test_a_device_of_another_site_is_no_device_of_this_one(here: World, client: Client) -> None:
    log_in(client)
    reload(here, client, FILE)
    shown = limits_on(client, f"&place=berlin/hof&device={PILE}")
    assert shown["hold"] == ("30 seconds", "built in")
    for query in ("?place=berlin/x", "?place=nowhere", f"?place={SITE}&device=a/b/c"):
        assert client.get(f"/policy{query}", headers=PAGE).status_code == 404


def test_the_time_that_the_sites_file_gives_a_device_goes_before(
    here: World, client: Client
) -> None:
    device = here.registry.devices[SMOKE]
    here.registry.devices[SMOKE] = replace(device, silent_after=timedelta(hours=30))
    log_in(client)
    page = client.get(f"/policy?place={SITE}&device={SMOKE}&lang=en", headers=PAGE).text
    assert '1 day 6 hours</span> <span class="soft">sites file' in page


def test_what_is_wrong_with_the_file_is_told_with_its_lines_and_nothing_changes(
    here: World, client: Client
) -> None:
    log_in(client)
    reload(here, client, FILE)
    reload(here, client, '[default.overload]\nwarn_w = "<script>"\nacht_w = 5\n')
    page = client.get("/policy?lang=en", headers=PAGE).text
    assert "The file is wrong, and the policy before it stays in force." in page
    assert "policy.toml:2: default.overload.warn_w: found" in page
    assert "policy.toml:3: default.overload.acht_w" in page
    assert "<script>" not in page.partition("<main")[2]
    assert limits_on(client)["warn_w"] == ("750 W", "default")
    reload(here, client, FILE)
    assert "The file is wrong" not in client.get("/policy?lang=en", headers=PAGE).text


def test_limits_for_a_place_that_nobody_knows_are_warned_of(
    here: World, client: Client
) -> None:
    log_in(client)
    reload(here, client, '[site."xuhui/renmin".heat]\nact_c = 70\n')
    page = client.get("/policy?lang=en", headers=PAGE).text
    assert "These are for places that nobody knows, and do nothing:" in page
    assert "there is no such site; did you mean" in page


def test_the_log_says_who_changed_what_from_what_to_what(here: World, client: Client) -> None:
    log_in(client)
    assert "策略从未改过" in client.get("/policy", headers=PAGE).text
    reload(here, client, FILE)
    reload(here, client, FILE.replace("750", "780"))
    page = client.get("/policy?lang=en", headers=PAGE).text
    [newest, first] = re.findall(r'<ul class="changed-values">(.*?)</ul>', page, re.DOTALL)
    assert "<s>750 W</s> → <b>780 W</b>" in newest
    assert newest.count("<li>") == 1
    assert "<s>none</s> → <b>45 s</b>" in first
    assert f"device {PILE}" in first
    assert page.count("it was asked for") == 2


def test_older_changes_are_on_the_next_page(here: World, client: Client) -> None:
    log_in(client)
    for watts in range(CHANGES_PER_PAGE + 1):
        reload(here, client, f"[default.overload]\nwarn_w = {750 + watts}\n")
    page = client.get("/policy", headers=PAGE).text
    assert "<b>750 W</b>" not in page.partition('id="changes"')[2]
    [older] = re.findall(r'href="(/policy\?before_id=\d+)#changes"', page)
    last = client.get(older, headers=PAGE).text.partition('id="changes"')[2]
    assert last.count("changed-values") == 1
    assert "<b>750 W</b>" in last


def test_who_may_only_look_cannot_have_the_file_read(client: Client) -> None:
    log_in(client, READ_TOKEN)
    page = client.get("/policy", headers=PAGE).text
    assert "/policy/reload" not in page
    response = client.post("/policy/reload", data={"csrf": csrf_on(client, "/")}, headers=PAGE)
    assert response.status_code == 403


def test_places_of_a_foreign_area_are_not_offered(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.add(somebody("m", Role.MANAGER, frozenset({"berlin"})), "a long phrase"))
    assert log_in_as(client, "m", "a long phrase").status_code == 303
    page = client.get("/policy", headers=PAGE).text
    assert 'value="berlin/hof"' in page
    assert "renmin-lu" not in page
    assert client.get(f"/policy?place={SITE}", headers=PAGE).status_code == 404


def test_a_value_of_another_version_is_shown_as_it_was_written(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    gone = PolicyChange(
        at=here.at,
        who="<b>",
        how=How.START,
        file="policy.toml",
        digest="0",
        changes=(Changed("default", "gone<b>", "warn_w", 5.0, "90 s"),),
        settings={},
    )
    runner.run(here.ledger.write(lambda c: append_policy_change(c, gone)))
    log_in(client)
    page = client.get("/policy?lang=en", headers=PAGE).text
    assert "<s>5</s> → <b>90 s</b>" in page
    assert "gone&lt;b&gt; · A warning above" in page
