"""Who is told of what, as tables; and what holds for any directory and any alert."""

from datetime import UTC, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.routing import ALL_WAYS, Case, Routing, routed
from ingest.people import EVERYWHERE, Directory, Person, Post, Role, Route, Via, Way
from ingest.registry import Name
from rules.alerts import EVERYTHING, Alert, AlertKey, Group, GroupKind, State, Transition
from rules.schedule import Schedule, Window
from rules.verdict import Evidence, Severity

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
"""A Monday; twelve o'clock in Shanghai."""
DAY = Schedule("Asia/Shanghai", (Window(time(8), time(18)),))
NIGHT = Schedule("Asia/Shanghai", (Window(time(18), time(8)),))
FIRE = Case(area="xuhui", rule="fire", severity=Severity.EMERGENCY)
WARM = Case(area="xuhui", rule="warm", severity=Severity.WARNING)
ESCALATED = Transition.ESCALATED


def person(
    number: str,
    *areas: str,
    ways: tuple[Via, ...] = (Via.SMS,),
    role: Role = Role.MANAGER,
    duty: Schedule | None = None,
    active: bool = True,
) -> Person:
    return Person(
        id=number,
        name=number,
        role=role,
        areas=frozenset(areas or ("xuhui",)),
        ways=tuple(Way(via=via, address="x") for via in ways),
        duty=duty,
        active=active,
        added_at=NOON,
    )


def post(number: str, area: str = "xuhui", **rest: Any) -> Post:
    given = {"ways": (Way(via=Via.DINGTALK, address="x"),)} | rest
    return Post(id=number, name=Name(number, number), area=area, **given)


def route(*tiers: str, number: str = "r", **rest: Any) -> Route:
    """Each tier is a line of names."""
    return Route(id=number, tiers=tuple(tuple(tier.split()) for tier in tiers), **rest)


def told(
    directory: Directory,
    case: Case = FIRE,
    now: datetime = NOON,
    set_up: frozenset[Via] = ALL_WAYS,
) -> str:
    return " ".join(
        f"{each.channel}/{each.tier}" for each in _asked(directory, case, now, set_up).told
    )


def why_not(
    directory: Directory,
    case: Case = FIRE,
    set_up: frozenset[Via] = ALL_WAYS,
) -> dict[str, str]:
    found = _asked(directory, case, NOON, set_up).not_told
    return {each.recipient: str(each.reason) for each in found}


def _asked(directory: Directory, case: Case, now: datetime, set_up: frozenset[Via]) -> Routing:
    return routed(directory, case, now, set_up)


LI, WANG = person("li"), person("wang")
BOTH = route("person:li person:wang")


# --- which route ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({}, True),
        ({"areas": frozenset({"xuhui"})}, True),
        ({"areas": frozenset({"jingan"})}, False),
        ({"areas": frozenset({"jingan", EVERYWHERE})}, True),
        ({"severity": Severity.EMERGENCY}, True),
        ({"severity": Severity.CRITICAL}, True),
        ({"rules": frozenset({"fire", "smoke"})}, True),
        ({"rules": frozenset({"smoke"})}, False),
        ({"hours": DAY}, True),
        ({"hours": NIGHT}, False),
        ({"active": False}, False),
    ],
)
def test_a_route_fits_by_area_severity_rule_and_hour(given: dict[str, Any], fits: bool) -> None:
    found = routed(Directory([LI], routes=[route("person:li", **given)]), FIRE, NOON)
    assert bool(found.told) is fits
    assert found.routes == (("r",) if fits else ())


def test_a_route_for_danger_tells_nobody_of_a_warning() -> None:
    here = Directory([LI], routes=[route("person:li", severity=Severity.CRITICAL)])
    assert told(here, WARM) == ""
    assert routed(here, WARM, NOON).reached_nobody == "no_route"


def test_without_routes_no_person_is_told_and_nothing_is_amiss() -> None:
    for here in (Directory(), Directory([LI], [post("desk")])):
        assert routed(here, FIRE, NOON) == Routing()
    off = Directory([LI], routes=[route("person:li", active=False)])
    assert routed(off, FIRE, NOON).reached_nobody is None


# --- whom -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("somebody", "reason"),
    [
        (person("li", "jingan"), "not_their_area"),
        (replace(person("li"), areas=frozenset()), "not_their_area"),
        (person("li", active=False), "inactive"),
        (person("li", duty=NIGHT), "off_duty"),
        (person("li", ways=()), "no_way"),
        (person("li", ways=(Via.EMAIL,)), "way_not_set_up"),
        (person("zhao"), "no_such_recipient"),
    ],
)
def test_who_is_not_told_has_a_reason(somebody: Person, reason: str) -> None:
    here = Directory([somebody, WANG], routes=[BOTH])
    ways = ALL_WAYS - {Via.EMAIL}
    assert told(here, set_up=ways) == "sms:wang/1"
    assert why_not(here, set_up=ways) == {"person:li": reason}


@pytest.mark.parametrize(
    ("desk", "reason"),
    [
        (post("desk", "jingan"), "not_their_area"),
        (post("desk", active=False), "inactive"),
        (post("desk", ways=()), "no_way"),
        (post("other"), "no_such_recipient"),
    ],
)
def test_a_post_that_is_not_told_has_a_reason(desk: Post, reason: str) -> None:
    here = Directory([WANG], [desk], [route("post:desk person:wang")])
    assert told(here) == "sms:wang/1"
    assert why_not(here) == {"post:desk": reason}


def test_a_post_without_a_way_of_its_own_is_reached_through_who_sits_there() -> None:
    members = ("li", "wang", "zhao")
    people = [LI, WANG, person("zhao", "jingan")]
    here = Directory(people, [post("desk", ways=(), members=members)], [route("post:desk")])
    assert told(here) == "sms:li/1 sms:wang/1"
    assert why_not(here) == {"post:desk": "no_way", "person:zhao": "not_their_area"}


def test_the_members_of_a_post_that_is_reached_are_not_told_by_themselves() -> None:
    here = Directory([LI], [post("desk", members=("li",))], [route("post:desk")])
    assert told(here) == "dingtalk:desk/1"


def test_a_role_is_everybody_who_has_it_and_answers_for_the_area() -> None:
    people = [
        LI,
        person("zhou", EVERYWHERE),
        person("zhao", "jingan"),
        person("x", active=False),
    ]
    people.append(person("police", role=Role.POLICE))
    here = Directory(people, routes=[route("role:manager")])
    assert told(here) == "sms:li/1 sms:zhou/1"
    assert why_not(here) == {}, "those of other areas are not meant"
    assert why_not(Directory([WANG], routes=[route("role:admin")])) == {
        "role:admin": "nobody_of_role"
    }


def test_whoever_is_named_twice_is_told_once() -> None:
    twice = [route("person:li role:manager", "person:li"), route("person:li", number="s")]
    assert told(Directory([LI, WANG], routes=twice), replace(FIRE, tier=2)) == (
        "sms:li/1 sms:wang/1"
    )


def test_the_first_way_is_taken_and_nobody_is_called_for_a_warning() -> None:
    here = Directory([person("li", ways=(Via.VOICE, Via.SMS))], routes=[route("person:li")])
    assert told(here) == "voice:li/1"
    assert told(here, WARM) == "sms:li/1"
    assert told(here, set_up=ALL_WAYS - {Via.VOICE}) == "sms:li/1"
    only_voice = Directory([person("li", ways=(Via.VOICE,))], routes=[route("person:li")])
    assert told(only_voice) == "voice:li/1"
    assert why_not(only_voice, WARM) == {"person:li": "no_call"}


# --- tiers ----------------------------------------------------------------------------------

OFF = person("off", duty=NIGHT)
THREE = Directory(
    [LI, WANG, person("zhou")], routes=[route("person:li", "person:wang", "person:zhou")]
)


@pytest.mark.parametrize(
    ("transition", "tier", "who"),
    [
        (Transition.FIRING, 1, "sms:li/1"),
        (ESCALATED, 2, "sms:wang/2"),
        (ESCALATED, 3, "sms:zhou/3"),
        (Transition.RAISED, 1, "sms:li/1"),
        (Transition.RAISED, 2, "sms:li/1 sms:wang/2"),
        (Transition.RAISED, 3, "sms:li/1 sms:wang/2 sms:zhou/3"),
        (ESCALATED, 4, "sms:zhou/3"),
        (Transition.REMINDED, 2, "sms:li/1 sms:wang/2"),
    ],
)
def test_each_tier_has_its_turn(transition: Transition, tier: int, who: str) -> None:
    assert told(THREE, replace(FIRE, transition=transition, tier=tier)) == who


@pytest.mark.parametrize(
    ("tiers", "transition", "tier", "who"),
    [
        (("person:off", "person:wang", "person:li"), Transition.FIRING, 1, "sms:wang/2"),
        (("person:off", "person:off", "person:li"), Transition.FIRING, 1, "sms:li/3"),
        (("person:off person:li", "person:wang"), Transition.FIRING, 1, "sms:li/1"),
        (("person:li", "person:off", "person:wang"), ESCALATED, 2, "sms:wang/3"),
        (("person:li", "person:wang", "person:off"), ESCALATED, 3, "sms:wang/2"),
        (("person:li", "person:off"), ESCALATED, 2, "sms:li/1"),
        (("person:li",), ESCALATED, 3, "sms:li/1"),
        (("post:none", "role:admin", "person:li"), Transition.FIRING, 1, "sms:li/3"),
    ],
)
def test_a_tier_of_which_nobody_can_be_told_hands_its_turn_on(
    tiers: tuple[str, ...], transition: Transition, tier: int, who: str
) -> None:
    here = Directory([LI, WANG, OFF], routes=[route(*tiers)])
    assert told(here, replace(FIRE, transition=transition, tier=tier)) == who


def test_each_route_has_tiers_of_its_own() -> None:
    routes = [route("person:off", "person:li"), route("person:wang", "person:zhou", number="s")]
    here = Directory([OFF, LI, WANG, person("zhou")], routes=routes)
    assert told(here) == "sms:li/2 sms:wang/1"
    assert told(here, replace(FIRE, transition=ESCALATED, tier=2)) == "sms:li/2 sms:zhou/2"


def test_of_a_danger_those_off_duty_are_told_if_nobody_on_duty_can_be() -> None:
    here = Directory([OFF, person("far", "jingan")], routes=[route("person:far person:off")])
    [found] = routed(here, FIRE, NOON).told
    assert (found.channel, found.off_duty) == ("sms:off", True)
    assert why_not(here) == {"person:far": "not_their_area"}
    for none in (WARM, replace(FIRE, drill=True)):
        assert told(here, none) == ""
        assert routed(here, none, NOON).reached_nobody == "nobody_in_reach"


def test_nobody_off_duty_is_told_while_anybody_on_duty_is() -> None:
    routes = [route("person:off"), route("person:li", number="s")]
    assert told(Directory([OFF, LI], routes=routes)) == "sms:li/1"


# --- what has no site -----------------------------------------------------------------------


def test_a_carriers_outage_is_for_those_who_answer_for_all() -> None:
    outage = Case(area="", rule="carrier_outage", severity=Severity.CRITICAL)
    people = [LI, person("all", EVERYWHERE)]
    both = route("person:li person:all post:desk")
    assert told(Directory(people, [post("desk")], [both]), outage) == "sms:all/1"
    own = replace(both, areas=frozenset({"xuhui"}))
    assert told(Directory(people, routes=[own]), outage) == ""


def test_that_we_are_blind_is_everybodys_business() -> None:
    blind = Case(area="", everything=True, rule="monitoring_blind", severity=Severity.CRITICAL)
    own = route("person:li post:desk", areas=frozenset({"xuhui"}))
    assert told(Directory([LI], [post("desk")], [own]), blind) == "sms:li/1 dingtalk:desk/1"
    nowhere = replace(LI, areas=frozenset())
    assert why_not(Directory([nowhere], routes=[own]), blind)["person:li"] == "not_their_area"


@pytest.mark.parametrize(
    ("group", "within", "area", "everything"),
    [
        (None, (Group(GroupKind.SITE, "xuhui/a"), EVERYTHING), "xuhui", False),
        (Group(GroupKind.CARRIER, "mobile"), (EVERYTHING,), "", False),
        (EVERYTHING, (EVERYTHING,), "", True),
    ],
)
def test_an_alert_is_a_case_of_its_area(
    group: Group | None, within: tuple[Group, ...], area: str, everything: bool
) -> None:
    alert = Alert(
        key=AlertKey("fire", None, None, group),
        severity=Severity.CRITICAL,
        within=within,
        state=State.FIRING,
        began_at=NOON,
        since=NOON,
        evidence=Evidence(),
    )
    case = Case.of(alert, Transition.FIRING)
    assert (case.area, case.everything) == (area, everything)


# --- for any directory and any alert --------------------------------------------------------

AREAS = ("xuhui", "jingan", "berlin", EVERYWHERE)
HOURS = st.sampled_from((None, DAY, NIGHT))
WAYS = st.lists(st.sampled_from(Via), unique=True, max_size=3).map(
    lambda vias: tuple(Way(via=via, address="x") for via in vias)
)
IDS = st.sampled_from(("a", "b", "c", "d"))
PEOPLE = st.builds(
    Person,
    id=IDS,
    name=st.just("x"),
    role=st.sampled_from(Role),
    areas=st.frozensets(st.sampled_from(AREAS), max_size=2),
    ways=WAYS,
    duty=HOURS,
    active=st.booleans(),
    added_at=st.just(NOON),
)
POSTS = st.builds(
    Post,
    id=IDS,
    name=st.just(Name("x", "x")),
    area=st.sampled_from(AREAS),
    members=st.lists(IDS, max_size=3).map(tuple),
    ways=WAYS,
    active=st.booleans(),
)
NAMES = st.one_of(
    IDS.map("person:{}".format),
    IDS.map("post:{}".format),
    st.sampled_from(Role).map("role:{}".format),
)
ROUTES = st.builds(
    Route,
    id=IDS,
    areas=st.frozensets(st.sampled_from(AREAS), min_size=1, max_size=2),
    severity=st.sampled_from(Severity),
    hours=HOURS,
    tiers=st.lists(
        st.lists(NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3
    ).map(tuple),
    active=st.booleans(),
)
DIRECTORIES = st.builds(
    Directory,
    st.lists(PEOPLE, max_size=4),
    st.lists(POSTS, max_size=4),
    st.lists(ROUTES, max_size=3),
)
CASES = st.builds(
    Case,
    area=st.sampled_from(("xuhui", "jingan", "")),
    rule=st.just("fire"),
    severity=st.sampled_from(Severity),
    drill=st.booleans(),
    tier=st.integers(1, 4),
    transition=st.sampled_from((Transition.FIRING, Transition.RAISED, ESCALATED)),
)


@given(DIRECTORIES, CASES)
def test_nobody_is_told_of_what_is_not_theirs(here: Directory, case: Case) -> None:
    found = routed(here, case, NOON)
    for each in found.told:
        kind, _, number = each.recipient.partition(":")
        if kind == "person":
            known = here.people[number]
            assert known.active
            assert known.answers_for(case.area) if case.area else EVERYWHERE in known.areas
            assert known.on_duty(NOON) or (each.off_duty and case.is_danger)
        else:
            desk = here.posts[number]
            assert desk.active
            assert desk.area in {case.area, EVERYWHERE} - {""}
    recipients = [each.recipient for each in found.told]
    assert len(recipients) == len(set(recipients))
    assert not set(recipients) & {each.recipient for each in found.not_told}


@given(DIRECTORIES, CASES)
def test_an_alarm_reaches_somebody_whom_a_route_names_if_anybody_can_be_told(
    here: Directory, case: Case
) -> None:
    found = routed(here, case, NOON)
    assert (found.reached_nobody is None) == (bool(found.told) or not _active(here))
    if found.reached_nobody == "nobody_in_reach" and case.is_danger:
        for number in found.routes:
            for name in (name for tier in here.routes[number].tiers for name in tier):
                kind, _, who = name.partition(":")
                if kind == "person" and who in here.people:
                    known = here.people[who]
                    assert not (known.active and known.ways and case.is_within(known.areas))


def _active(here: Directory) -> bool:
    return any(each.active for each in here.routes.values())
