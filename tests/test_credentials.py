"""Logins, their rights and the broker's files: no name can be more than a name."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from api.credentials import book as books
from api.credentials import lists, passwords
from api.credentials.book import Book, Newcomer
from api.credentials.logins import (
    NATIVE,
    SERVICE,
    SIMULATOR,
    TASMOTA,
    ZIGBEE2MQTT,
    CredentialsWrong,
    Login,
    simulated,
    speaker,
)
from api.credentials.overview import overview
from api.credentials.passwords import PasswordFileWrong
from api.credentials.rights import ANSWERS, Right, access_file, rights_of
from ingest.broker_drops import DROPPED
from ingest.codecs import all_codecs
from ingest.registry import Device
from ingest.wire import Switch
from rules.readings import DeviceId

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
HASH = passwords.hashed("of this test")
ID = "town/site/pile-1"

WILD = st.text(alphabet="ab1 :+#/%uc@$\n\r\t\0\\\"'桩\u2028\u00a0\x85\ud800", max_size=6)
"""With all that a line of a file, or a topic, could take for something else."""
ODD = st.text(alphabet="ab1 %uc$\\\"'桩-@", min_size=1, max_size=4)
"""Mostly names after all."""
NAMES = st.one_of(
    st.tuples(st.lists(WILD, max_size=4).map("/".join), st.sampled_from([NATIVE, TASMOTA])),
    st.tuples(
        st.lists(ODD, min_size=3, max_size=3).map("/".join), st.sampled_from([NATIVE, TASMOTA])
    ),
    st.tuples(ODD.map("zigbee2mqtt/{}".format), st.just(ZIGBEE2MQTT)),
    st.tuples(st.text(), st.just(ZIGBEE2MQTT)),
)


def login(who: str, dialect: str = NATIVE, name: str | None = None) -> Login:
    found = speaker(who, dialect, name)
    return Login(
        username=found.username,
        speaks_for=found.speaks_for,
        dialect=found.dialect,
        name=found.name,
        since=NOW,
    )


def ours(username: str, sites: tuple[str, ...] = ()) -> Login:
    return Login(username=username, speaks_for=username, sites=sites, since=NOW)


def as_mosquitto_reads(text: str, who: Login) -> list[Right]:
    """Return what the access file gives to a login, read line by line as Mosquitto does."""
    user, found = "", list[Right]()
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        if word == "user":
            user = rest.strip()
        elif word in {"topic", "pattern"}:
            access, _, topic = rest.partition(" ")
            if word == "pattern" or user == who.username:
                given = topic.replace("%u", who.username) if word == "pattern" else topic
                found.append(msgspec.convert({"access": access, "topic": given}, Right))
        else:
            assert not line or line.startswith("#"), line
    return found


def may(rights: Iterable[Right], access: str, topic: str) -> bool:
    matching = [each for each in rights if topic_matches_sub(each.topic, topic)]
    denied = any(each.access == "deny" for each in matching)
    return not denied and any(each.access == access for each in matching)


def examples_of(rights: Iterable[Right]) -> list[tuple[str, str]]:
    """Return an access and a topic without wildcards for each right."""
    return [
        (each.access, each.topic.replace("+", "x").replace("#", "x"))
        for each in rights
        if each.access != "deny"
    ]


# --- names --------------------------------------------------------------------------------


@given(st.lists(NAMES, max_size=4))
def test_no_name_makes_more_of_the_files_than_its_own_lines(
    wishes: list[tuple[str, str]],
) -> None:
    logins: dict[str, Login] = {}
    for who, dialect in wishes:
        try:
            made = login(who, dialect)
        except CredentialsWrong:
            continue
        logins[made.username] = made
    hashes = dict.fromkeys(logins, HASH)
    assert passwords.parsed(passwords.written(hashes)) == hashes
    assert books.decoded(books.encoded(Book(logins, hashes)), hashes) == Book(logins, hashes)
    text = access_file(logins.values())
    for each in logins.values():
        given_rights = as_mosquitto_reads(text, each)
        wanted = list(rights_of(each))
        assert [right for right in given_rights if right in wanted] == wanted
        # What the patterns make of a name that is not native is a topic that nobody reads.
        for extra in (right for right in given_rights if right not in wanted):
            assert each.dialect != NATIVE
            assert extra.topic.count("/") == 3


@given(NAMES, NAMES)
def test_nobody_may_do_what_is_anothers(one: tuple[str, str], two: tuple[str, str]) -> None:
    try:
        pair = login(*one), login(*two)
    except CredentialsWrong:
        return
    if pair[0].username == pair[1].username:
        return
    text = access_file(pair)
    for mine, other in (pair, pair[::-1]):
        rights = as_mosquitto_reads(text, mine)
        for access, topic in examples_of(rights_of(other)):
            assert not may(rights, access, topic)


@pytest.mark.parametrize(
    ("who", "dialect", "name", "words"),
    [
        ("pile-1", NATIVE, None, "area/site/device"),
        ("a/b/c/d", NATIVE, None, "area/site/device"),
        ("a/b/", NATIVE, None, "empty"),
        ("a/b/+", NATIVE, None, "contains + or #"),
        ("a/b/c:d", NATIVE, None, "contains :"),
        ("a/b/c\nuser chargewatch", NATIVE, None, "control character"),
        ("a/b/" + "c" * 129, NATIVE, None, "longer than 128"),
        ("/".join(["长" * 100] * 3), NATIVE, None, "longer than 400 bytes"),
        ("_drill/drill/x", NATIVE, None, "reserved for drills"),
        (ID, NATIVE, "pile-2", "called like its id"),
        (ID, TASMOTA, "a/b", "no / and no @"),
        (ID, TASMOTA, "a@tasmota", "no / and no @"),
        (ID, ZIGBEE2MQTT, None, "the bridge has the login"),
        ("zigbee2mqtt/bridge", ZIGBEE2MQTT, None, "the bridge has the login"),
        ("zigbee2mqtt/", ZIGBEE2MQTT, None, "empty"),
        ("zigbee2mqtt", ZIGBEE2MQTT, "x", "by its base topic"),
        (ID, "shelly", None, "no dialect 'shelly'"),
    ],
)
def test_what_can_be_no_login_is_refused_with_the_reason(
    who: str, dialect: str, name: str | None, words: str
) -> None:
    with pytest.raises(CredentialsWrong, match=words.replace("+", r"\+")):
        speaker(who, dialect, name)


def test_logins_are_called_so_that_no_two_kinds_meet() -> None:
    assert login(ID).username == ID
    assert login("town/site/plug/left", TASMOTA, "plug-1").username == "plug-1@tasmota"
    assert login("zigbee2mqtt", ZIGBEE2MQTT).username == "bridge@zigbee2mqtt"
    assert login("zigbee2mqtt/willow", ZIGBEE2MQTT).username == "willow@zigbee2mqtt"


@pytest.mark.parametrize(
    "site", ["", "town", "town/site/x", "+/site", "#", "town/#", "+/+", "_drill/+"]
)
def test_the_simulator_is_let_loose_on_sites_and_areas_only(site: str) -> None:
    assert simulated("town/site") == "town/site"
    assert simulated("town/+") == "town/+"
    with pytest.raises(CredentialsWrong):
        simulated(site)


# --- rights -------------------------------------------------------------------------------


def test_the_service_may_hear_all_it_subscribes_to_and_say_all_commands() -> None:
    rights = rights_of(ours(SERVICE))
    names = {NATIVE: ID, TASMOTA: "plug-1", ZIGBEE2MQTT: "willow/2nd floor/plug"}
    switch = Switch(id="1", on=False, channel=1, sockets=1, expires_at=NOW)
    for codec in all_codecs():
        assert all(Right("read", each) in rights for each in codec.filters)
        said = codec.command(names[codec.name], switch)
        assert said is not None
        assert may(rights, "write", said[0])
    assert Right("read", DROPPED) in rights
    written = {each.topic for each in rights if each.access == "write"}
    assert all(
        topic.split("/")[-1] in {"command", "answered", "set", "+", "event"}
        for topic in written
    )


def test_every_dialect_that_is_read_can_have_a_login_and_is_heard_with_it() -> None:
    names = {NATIVE: ID, TASMOTA: ID, ZIGBEE2MQTT: "zigbee2mqtt"}
    assert set(names) == {codec.name for codec in all_codecs()}
    for codec in all_codecs():
        spoken = [
            each.topic
            for each in rights_of(login(names[codec.name], codec.name))
            if each.access == "write"
        ]
        assert spoken
        for topic in spoken:
            example = topic.replace("#", "x")
            if topic_matches_sub(ANSWERS, example):  # it is no codec that hears a button
                continue
            assert any(topic_matches_sub(each, example) for each in codec.filters)
            assert isinstance(codec.address(example, ()), str)


def test_a_button_answers_for_itself_alone_and_hears_what_became_of_that() -> None:
    rights = rights_of(login(ID, NATIVE))
    assert may(rights, "write", f"chargewatch/v1/{ID}/answer")
    assert may(rights, "read", f"chargewatch/v1/{ID}/answered")
    assert not may(rights, "write", f"chargewatch/v1/{ID}/answered")
    assert not may(rights, "read", f"chargewatch/v1/{ID}/answer")
    assert not may(rights, "write", "chargewatch/v1/town/site/other/answer")


def test_who_was_revoked_has_no_rights() -> None:
    plug = login(ID, TASMOTA)
    gone = msgspec.structs.replace(plug, revoked_at=NOW)
    assert "tele/pile-1" in access_file([plug])
    assert "pile-1" not in access_file([gone])


def test_the_simulator_has_the_rights_of_devices_at_its_sites() -> None:
    rights = rights_of(ours(SIMULATOR, ("town/site",)))
    assert may(rights, "write", "chargewatch/v1/town/site/pile-1/telemetry")
    assert not may(rights, "write", "chargewatch/v1/town/other/pile-1/telemetry")
    assert not may(rights, "write", "chargewatch/v1/town/site/pile-1/command")


# --- passwords ----------------------------------------------------------------------------


@given(st.text())
def test_any_text_is_a_password_file_or_refused(text: str) -> None:
    try:
        found = passwords.parsed(text)
    except PasswordFileWrong:
        return
    assert passwords.parsed(passwords.written(found)) == found


def test_what_is_wrong_in_a_password_file_is_told_with_its_line() -> None:
    for wrong in ("no colon", f":{HASH}", "a:b", f"x:{HASH}"):
        with pytest.raises(PasswordFileWrong, match="line 3: "):
            passwords.parsed(f"# a comment\nx:{HASH}\n{wrong}\n")


def test_a_password_is_long_can_be_typed_and_is_never_the_same() -> None:
    made = {passwords.fresh_password() for _ in range(100)}
    assert len(made) == 100
    assert all(
        len(each) == 24 and each.isalnum() and not set(each) & set("0O1lIo") for each in made
    )
    one, two = passwords.hashed("same"), passwords.hashed("same")
    assert one != two
    assert passwords.fits("same", one)
    assert not passwords.fits("other", one)


@pytest.mark.parametrize(
    "wrong",
    [
        "plain text",
        "$6$abc$def",
        HASH.replace("$101$", "$0$"),
        HASH.replace("$101$", "$10001$"),
        HASH[:-8],
        HASH + "x",
        HASH.replace("=", "") + "\n",
    ],
)
def test_what_is_no_hash_of_mosquittos_is_refused(wrong: str) -> None:
    with pytest.raises(PasswordFileWrong, match="not a password hash"):
        passwords.checked_hash(wrong)


# --- the book -----------------------------------------------------------------------------


def book_with(*ids: str) -> Book:
    return books.added(
        Book(), [Newcomer(speaker(each, NATIVE, None), HASH) for each in ids], NOW
    )


def newcomer(who: str, dialect: str = NATIVE, **more: object) -> Newcomer:
    return msgspec.structs.replace(Newcomer(speaker(who, dialect, None), HASH), **more)


def test_a_login_is_given_once() -> None:
    book = book_with(ID)
    with pytest.raises(CredentialsWrong, match="has a login already: rotate"):
        books.added(book, [newcomer(ID)], NOW)
    with pytest.raises(CredentialsWrong, match="has the login"):
        books.added(book, [newcomer(ID, TASMOTA)], NOW)
    book = books.added(book, [newcomer("town/site/plug-1", TASMOTA)], NOW)
    with pytest.raises(CredentialsWrong, match="is the login of 'town/site/plug-1'"):
        books.added(book, [newcomer("town/other/plug-1", TASMOTA)], NOW)


@pytest.mark.parametrize(
    "bases", [("zigbee2mqtt", "zigbee2mqtt/a"), ("zigbee2mqtt/a", "zigbee2mqtt")]
)
def test_no_bridge_can_speak_for_anothers_devices(bases: tuple[str, str]) -> None:
    book = books.added(Book(), [newcomer(bases[0], ZIGBEE2MQTT)], NOW)
    with pytest.raises(CredentialsWrong, match="each other's devices"):
        books.added(book, [newcomer(bases[1], ZIGBEE2MQTT)], NOW)
    book, _ = books.revoked(book, bases[0], NOW)
    book = books.added(book, [newcomer(bases[1], ZIGBEE2MQTT)], NOW)
    one = "zigbee2mqtt/one"
    if bases[1] != "zigbee2mqtt":
        assert books.added(book, [newcomer(one, ZIGBEE2MQTT)], NOW).active("one@zigbee2mqtt")


def test_all_of_a_list_get_a_login_or_none_and_every_reason_is_told() -> None:
    book = book_with(ID)
    twice = [newcomer("a/b/c", where="line 2: "), newcomer("a/b/c", where="line 3: ")]
    with pytest.raises(CredentialsWrong) as caught:
        books.added(book, [newcomer(ID, where="line 1: "), *twice], NOW)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "line 1",
        "line 3",
    ]


def test_what_was_revoked_does_not_come_back_unless_it_is_meant() -> None:
    book, gone = books.revoked(book_with(ID, "a/b/c"), ID, NOW)
    assert gone.revoked_at == NOW
    assert set(book.hashes) == {"a/b/c"}
    with pytest.raises(CredentialsWrong, match="was revoked at 2026-11-24 04:00 UTC"):
        books.added(book, [newcomer(ID)], NOW)
    with pytest.raises(CredentialsWrong, match="was revoked already"):
        books.revoked(book, ID, NOW)
    with pytest.raises(CredentialsWrong, match="was revoked"):
        books.rotated(book, ID, HASH, NOW)
    back = books.added(book, [newcomer(ID, again=True)], NOW)
    assert back.active(ID)


def test_a_rotation_changes_the_hash_and_keeps_the_rest() -> None:
    other, later = passwords.hashed("other"), NOW + timedelta(days=1)
    book, changed = books.rotated(book_with(ID), ID, other, later)
    assert book.hashes[ID] == other
    assert (changed.since, changed.renewed_at) == (NOW, later)


def test_our_own_logins_are_not_touched_by_the_commands_for_devices() -> None:
    book = books.ours(Book(), SERVICE, HASH, NOW)
    with pytest.raises(CredentialsWrong, match="our own"):
        books.revoked(book, SERVICE, NOW)
    with pytest.raises(CredentialsWrong, match="our own"):
        books.rotated(book, SERVICE, HASH, NOW)
    with pytest.raises(CredentialsWrong, match="has no login"):
        books.revoked(book, ID, NOW)


def test_a_login_is_found_by_its_name_and_by_whom_it_speaks_for() -> None:
    book = books.added(Book(), [newcomer("town/site/plug-1", TASMOTA)], NOW)
    for who in ("town/site/plug-1", "plug-1@tasmota"):
        assert books.revoked(book, who, NOW)[1].username == "plug-1@tasmota"


@given(st.binary())
def test_any_bytes_are_a_book_or_refused(text: bytes) -> None:
    with pytest.raises(CredentialsWrong):
        books.decoded(text, {})


def test_a_book_of_a_newer_chargewatch_is_refused() -> None:
    with pytest.raises(CredentialsWrong, match="newer"):
        books.decoded(b'{"format": 2, "logins": []}', {})


def test_the_book_holds_no_secret() -> None:
    assert HASH.encode() not in books.encoded(book_with(ID))


# --- lists --------------------------------------------------------------------------------


@given(st.text(alphabet='id,dialectnamehash\n"ab/ \r', max_size=60))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    try:
        newcomers, told = lists.read(f"id,dialect\n{text}")
    except CredentialsWrong:
        return
    assert [each.username for each in told] == [each.speaker.username for each in newcomers]


def test_a_list_gives_each_its_own_password_or_takes_the_hash_it_has() -> None:
    text = (
        "id,dialect,name,hash,owner\n"
        "town/site/pile-1,,,,the village\n"
        '"town/site/plug 1",tasmota,Plug 1,,"a, b"\n'
        f"\ntown/site/pile-2,native,,{HASH},\n"
    )
    newcomers, told = lists.read(text)
    names = [each.speaker.username for each in newcomers]
    assert names == [ID, "Plug 1@tasmota", "town/site/pile-2"]
    assert [each.username for each in told] == names[:2]
    assert all(
        passwords.fits(each.password, one.hashed)
        for each, one in zip(told, newcomers, strict=False)
    )
    assert newcomers[2].hashed == HASH
    assert [each.where for each in newcomers] == ["line 2: ", "line 3: ", "line 5: "]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the list is empty"),
        ("town/site/pile-1\n", "the first line names the columns"),
        ("id,dialect\na/b/c\n", "line 2: 1 values for 2 columns"),
        ("id\na/b/c\npile-1\na/b/+\n", "line 3: .*\nline 4: "),
        ("id,hash\na/b/c,secret\n", "line 2: not a password hash"),
        ('id\n"a/b/c\n', "line 2: unexpected end"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_every_line(text: str, words: str) -> None:
    with pytest.raises(CredentialsWrong, match=words):
        lists.read(text)


def declared(device: str, dialect: str = NATIVE, name: str | None = None) -> Device:
    site = "/".join(device.split("/")[:2])
    return Device(id=DeviceId(device), site=site, dialect=dialect, name=name or device)


def test_what_the_sites_file_declares_needs_no_options_and_bears_no_contradiction() -> None:
    known = [declared(ID), declared("town/site/plug-1", TASMOTA, "Plug 1")]
    found = lists.declared_speaker("town/site/plug-1", None, None, known)
    assert found.username == "Plug 1@tasmota"
    assert lists.declared_speaker("a/b/c", None, None, known).dialect == NATIVE
    with pytest.raises(CredentialsWrong, match="speaks native"):
        lists.declared_speaker(ID, TASMOTA, None, known)
    with pytest.raises(CredentialsWrong, match="is called 'Plug 1'"):
        lists.declared_speaker("town/site/plug-1", None, "Plug 2", known)
    with pytest.raises(CredentialsWrong, match="the bridge has the login"):
        lists.declared_speaker("a/b/z", None, None, [declared("a/b/z", ZIGBEE2MQTT, "z")])


def test_everybody_declared_gets_a_login_but_for_those_who_had_one() -> None:
    book, _ = books.revoked(book_with(ID, "town/site/pile-2"), ID, NOW)
    known = [declared(ID), declared("town/site/pile-2"), declared("town/site/pile-3")]
    newcomers, told = lists.for_declared(book, [*known, declared("a/b/z", ZIGBEE2MQTT, "z")])
    assert [each.speaker.username for each in newcomers] == ["town/site/pile-3"]
    assert [each.username for each in told] == ["town/site/pile-3"]


def test_the_overview_shows_who_should_have_a_login_and_who_should_not() -> None:
    book, _ = books.revoked(book_with(ID, "a/b/c"), ID, NOW)
    book = Book(book.logins, {**book.hashes, "by-hand": HASH})
    found = overview(book, [declared(ID), declared("z/z/z", ZIGBEE2MQTT, "z")])
    assert [(each.username, each.state, each.declared) for each in found.logins] == [
        ("a/b/c", "in force", False),
        (ID, "revoked", True),
    ]
    assert found.without == (ID,)
    assert found.strangers == ("by-hand",)
    assert overview(book, None).logins[0].declared is None
