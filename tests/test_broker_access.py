"""Two devices with real logins at the shipped broker: all they may not do, they cannot do."""

import itertools
from collections.abc import Iterator

import pytest

from api.credentials.logins import SERVICE
from api.credentials.rights import SAID
from ingest.codecs import all_codecs
from ingest.codecs.native import BRANCHES
from tests.guarded_broker import (
    Client,
    GuardedBroker,
    device_client,
    guarded_broker,
    service_client,
)
from tests.processes import eventually

PILE, NAMESAKE = "riverside/willow-village/pile-1", "riverside/poplar-village/pile-1"
"""Two piles with one name at two sites."""
PLUG, PLUG_LOGIN = "riverside/willow-village/plug-1", "plug-1@tasmota"
VICTIMS = (
    "riverside/willow-village/pile-2",
    "riverside/willow-village/smoke-1",
    "riverside/factory/pile-1",
    "hillside/willow-village/pile-1",
    "riverside/willow-village/pile-10",
    "riverside/willow-village/pile-",
    "riverside/willow-village/PILE-1",
    "riverside/willow-village/pile-1 ",
    "riverside/willow-village/%u",
    "riverside/willow-village/%c",
    "%u",
    "riverside/willow-village",
    "willow-village/pile-1",
    "pile-1",
    "riverside/willow-village/pile-1/pile-1",
    "/riverside/willow-village/pile-1",
    "riverside//willow-village/pile-1",
    "riverside/willow-village/pile-1/",
    "riverside/willow-village/桩 1",
    "riverside/willow-village/pile-1\u200b",
    *(f"riverside/village-{number}/pile-1" for number in range(30)),
)
FOREIGN_TOPICS = (
    "tele/plug-1/SENSOR",
    "tele/plug-1/LWT",
    "stat/plug-1/POWER",
    "cmnd/plug-1/POWER",
    "zigbee2mqtt/smoke-1",
    "zigbee2mqtt/smoke-1/set",
    "zigbee2mqtt/bridge/request/permit_join",
    "homeassistant/switch/x/config",
    "$SYS/broker/publish/messages/dropped",
    "$CONTROL/dynamic-security/v1",
    "chargewatch",
    "chargewatch/v1",
    "chargewatch/v2/riverside/willow-village/pile-1/telemetry",
    "CHARGEWATCH/v1/riverside/willow-village/pile-1/telemetry",
    "/chargewatch/v1/riverside/willow-village/pile-1/telemetry",
    "a" * 1000,
)
WILDCARDS = (
    "#",
    "+/#",
    "/#",
    "+",
    *("/".join("+" * levels) for levels in range(2, 9)),
    "chargewatch/#",
    "chargewatch/v1/#",
    "chargewatch/+/+/+/+/telemetry",
    *(f"chargewatch/v1/+/+/+/{branch}" for branch in BRANCHES),
    *(f"chargewatch/v1/riverside/willow-village/+/{branch}" for branch in BRANCHES),
    "chargewatch/v1/riverside/#",
    "$SYS/#",
    "$SYS/broker/clients/connected",
    "$share/thieves/#",
    "$share/thieves/chargewatch/v1/+/+/+/telemetry",
    "$share/thieves/chargewatch/v1/+/+/+/command",
    "tele/#",
    "stat/#",
    "cmnd/#",
    "zigbee2mqtt/#",
)
NOT_AUTHORIZED = 135
ATTEMPTS = 1000


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path_factory.mktemp("guarded")) as broker:
        yield broker


@pytest.fixture(scope="module")
def passwords(guarded: GuardedBroker) -> dict[str, str]:
    """Return the passwords of the devices, by login; the broker knows them."""
    made = {each: guarded.add(each) for each in (PILE, NAMESAKE, VICTIMS[0])}
    made[PLUG_LOGIN] = guarded.add(PLUG, "--dialect", "tasmota")
    guarded.change("add", "riverside/willow-village/last-1")
    return made


def native(device: str, branch: str) -> str:
    return f"chargewatch/v1/{device}/{branch}"


def heard_by_the_service() -> list[str]:
    return [each for codec in all_codecs() for each in codec.filters]


def spoofed(own: str) -> list[str]:
    """Return topics on which a device has no business."""
    others = [each for each in (*VICTIMS, PILE, NAMESAKE) if each != own]
    odd = [f"{native(own, branch)}{tail}" for branch in BRANCHES for tail in ("/", "/x", " ")]
    wrong = [native(own, branch) for branch in ("command", "telemetrY", "", "config")]
    return [
        *(native(each, branch) for each, branch in itertools.product(others, BRANCHES)),
        *odd,
        *wrong,
        *FOREIGN_TOPICS,
    ]


def test_none_of_1000_attempts_gets_through_and_a_devices_own_messages_do(
    guarded: GuardedBroker, passwords: dict[str, str]
) -> None:
    """Wildcards first, so that whatever is said afterwards would be overheard."""
    observer = service_client(guarded, heard_by_the_service())
    victim = device_client(guarded, VICTIMS[0], passwords[VICTIMS[0]])
    devices = [device_client(guarded, each, passwords[each]) for each in (PILE, NAMESAKE)]
    attempts, through = 0, list[str]()
    sent: list[tuple[str, bytes]] = []
    for device in devices:
        device.subscribe(WILDCARDS)
        attempts += len(WILDCARDS)

    # Wills of others: the broker takes them, and must not publish them.
    wills = [native(each, "status") for each in (*VICTIMS[:3], NAMESAKE)] + ["tele/plug-1/LWT"]
    for topic in wills:
        client = device_client(guarded, PILE, passwords[PILE], will=(topic, "WILL"))
        assert client.answer == "Success"
        client.break_off()
        attempts += 1
    devices[0] = device_client(guarded, PILE, passwords[PILE])  # each of those threw it out
    devices[0].subscribe(WILDCARDS)

    # Sessions of others, the service's above all.
    for client_id in ("chargewatch", "chargewatch-urgent", "observer", VICTIMS[0], NAMESAKE):
        with device_client(guarded, PLUG_LOGIN, passwords[PLUG_LOGIN], client_id=client_id):
            attempts += 1
    assert not observer.is_out()
    assert not victim.is_out()

    # Topics of others, in turns with what is their own.
    spoofs = iter(
        [
            (device, own, retain, topic)
            for retain in (False, True)
            for device, own in zip(devices, (PILE, NAMESAKE), strict=True)
            for topic in spoofed(own)
        ]
    )
    while batch := list(itertools.islice(spoofs, min(50, ATTEMPTS - attempts))):
        for (device, own, retain), group in itertools.groupby(batch, lambda each: each[:3]):
            topics = [each[3] for each in group]
            answers = device.publish([(topic, "SPOOFED") for topic in topics], retain=retain)
            through += [
                f"{own} says {topic}"
                for topic, answer in zip(topics, answers, strict=True)
                if answer != NOT_AUTHORIZED
            ]
            attempts += len(topics)
            said = (native(own, "telemetry"), f"OWN {attempts}")
            assert device.publish([said]) == [0]
            sent.append((said[0], said[1].encode()))
        victim.publish([(native(VICTIMS[0], branch), "VICTIM") for branch in SAID])
    orders = [(native(each, "command"), each) for each in (PILE, NAMESAKE, VICTIMS[0])]
    service_says = Client(
        guarded.inside, SERVICE, guarded.secret(SERVICE), client_id="commands"
    )
    assert service_says.publish([*orders, ("cmnd/plug-1/POWER1", "OFF")]) == [0, 0, 0, 0]

    def own_heard() -> list[tuple[str, bytes]]:
        return [each for each in observer.heard if each[1] != b"VICTIM"]

    eventually("all is heard", lambda: len(own_heard()) >= len(sent))
    eventually("the orders arrive", lambda: all(device.heard for device in devices))
    for device, own in zip(devices, (PILE, NAMESAKE), strict=True):
        order = (native(own, "command"), own.encode())
        through += [f"{own} hears {each}" for each in device.heard if each != order]
    assert own_heard() == sent
    assert (attempts, through) == (ATTEMPTS, [])
    with service_client(guarded, heard_by_the_service()) as late:
        assert late.heard == []  # nothing was retained
    for client in (observer, victim, service_says, *devices):
        client.close()
