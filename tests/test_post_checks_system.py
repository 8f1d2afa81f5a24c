"""A duty post is asked by the real service; its desk is a webhook, and a plain HTTP client."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.tokens import read_tokens
from ingest.clock import utc_now
from ingest.ledger.people import write_person, write_post
from ingest.ledger.store import open_ledger
from ingest.people import Person, Post, Role, Via, Way
from ingest.registry import Name
from tests.brokers import Mosquitto
from tests.processes import (
    ROOT,
    Json,
    ServiceProcess,
    WebhookReceiver,
    eventually,
    service,
    webhook_receiver,
)

pytest_plugins = ["tests.system_fixtures"]

ANSWER_S = 10
"""Short, so that a post can miss a check within a test; the desk answers at once."""


@pytest.fixture
def desk() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as found:
        yield found


@pytest.fixture
def managers() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as found:
        yield found


@pytest.fixture
def watch(
    tmp_path: Path, broker: Mosquitto, desk: WebhookReceiver, managers: WebhookReceiver
) -> Iterator[ServiceProcess]:
    settings = {
        "CHECKS__ANSWER_SECONDS": str(ANSWER_S),
        "OUTGOING__ALLOW_PRIVATE": "true",  # the receivers are on this machine
    }
    sites = ROOT / "examples" / "sites.toml"
    with service(tmp_path, broker, sites=sites, settings=settings) as running:
        employ(running.data, desk, managers)
        running.begin()
        yield running


def employ(data: Path, desk: WebhookReceiver, managers: WebhookReceiver) -> None:
    """Put a post and a manager into the ledger."""
    ledger = open_ledger(data / "ledger.sqlite")
    gate = Post(
        id="gate", name=Name("东门岗", "East gate"), area="riverside", ways=(hook(desk),)
    )
    wang = Person(
        id="wang",
        name="Wang",
        role=Role.MANAGER,
        areas=frozenset({"riverside"}),
        language="en",
        ways=(hook(managers),),
        added_at=utc_now(),
    )
    with ledger.engine.begin() as connection:
        write_post(connection, gate)
        write_person(connection, wang)
    ledger.close()


def hook(receiver: WebhookReceiver) -> Way:
    return Way(via=Via.WEBHOOK, address=receiver.url, secret=receiver.secret)


def question(desk: WebhookReceiver, number: int) -> Json:
    """Return what the desk was told of a check, once it was."""

    def told() -> list[Json]:
        found = [told.notice for told in desk.accepted()]
        return [each for each in found if each["episode"] == f"check-{number}"]

    notices = eventually("the desk is asked", told)
    return notices[0]


def told_of(watch: ServiceProcess, number: int) -> list[Json]:
    """Return who was told of a check, as far as that is noted: a moment after they have it."""
    told: list[Json] = watch.get(f"/post-checks/{number}")["told"]
    return told


def press_the_button(watch: ServiceProcess, notice: Json) -> httpx.Response:
    """Open the link of a message, and press its button, as a browser without scripts does."""
    path = httpx.URL(notice["answer_url"]).path
    with httpx.Client(base_url=f"http://127.0.0.1:{watch.port}", trust_env=False) as browser:
        page = browser.get(path, headers={"Accept": "text/html"})
        assert "您在岗吗" in page.text
        return browser.post(path, headers={"Accept": "text/html"}, follow_redirects=True)


def test_a_post_is_asked_and_answers_or_its_manager_hears_of_it_and_no_kill_loses_a_check(
    watch: ServiceProcess, desk: WebhookReceiver, managers: WebhookReceiver
) -> None:
    it_answers_by_the_link(watch, desk)
    it_misses_one(watch, desk, managers)
    it_outlives_the_service(watch, desk, managers)
    figures(watch)


def it_answers_by_the_link(watch: ServiceProcess, desk: WebhookReceiver) -> None:
    asked = watch.post("/posts/gate/check")
    assert asked["state"] == "asked"
    notice = question(desk, asked["id"])
    assert (notice["rule"], notice["drill"]) == ("post_check", True)
    done = press_the_button(watch, notice)
    assert "按时应答" in done.text
    told = eventually("it is noted who was told", lambda: told_of(watch, asked["id"]))
    assert [(each["channel"], each["ok"]) for each in told] == [("webhook:gate", True)]
    check = watch.get(f"/post-checks/{asked['id']}")
    assert (check["state"], check["answered_by"]) == ("answered", "post:gate")
    assert 0 < check["answer_seconds"] < ANSWER_S
    assert all(told.signed for told in desk.accepted())


def it_misses_one(
    watch: ServiceProcess, desk: WebhookReceiver, managers: WebhookReceiver
) -> None:
    asked = watch.post("/posts/gate/check")
    question(desk, asked["id"])

    def state() -> bool:
        return bool(watch.get(f"/post-checks/{asked['id']}")["state"] == "missed")

    eventually("it counts as missed", state, 4 * ANSWER_S)
    [told] = eventually("the manager is told", managers.accepted)
    assert told.notice["title"] == "No answer from the post: East gate"
    assert told.notice["episode"] == f"check-{asked['id']}"


def it_outlives_the_service(
    watch: ServiceProcess, desk: WebhookReceiver, managers: WebhookReceiver
) -> None:
    asked = watch.post("/posts/gate/check")
    notice = question(desk, asked["id"])
    eventually("that is noted", lambda: told_of(watch, asked["id"]))
    before = len(desk.requests)
    watch.kill()
    watch.begin()
    done = press_the_button(watch, notice)
    assert "按时应答" in done.text
    check = watch.get(f"/post-checks/{asked['id']}")
    assert (check["state"], check["answered_by"]) == ("answered", "post:gate")
    assert len(desk.requests) == before  # nobody was asked twice
    assert len(managers.requests) == 1
    assert len(watch.get("/post-checks")["checks"]) == 3


def figures(watch: ServiceProcess) -> None:
    [post] = watch.get("/post-checks/summary")["posts"]
    assert (post["asked"], post["in_time"], post["late"], post["missed"]) == (3, 2, 0, 1)
    deeds = watch.get("/audit", what="check.")["deeds"]
    assert [(deed["who"], deed["via"], deed["what"]) for deed in deeds[::-1]] == [
        ("admin", "api", "check.asked"),
        ("post:gate", "link", "check.answered"),
        ("admin", "api", "check.asked"),
        ("chargewatch", "plan", "check.missed"),
        ("admin", "api", "check.asked"),
        ("post:gate", "link", "check.answered"),
    ]
    [token] = [each for each in read_tokens(watch.data) if each.name == "admin"]
    metrics = httpx.get(
        f"http://127.0.0.1:{watch.port}/metrics",
        headers={"Authorization": f"Bearer {token.secret}"},
        trust_env=False,
    ).text
    assert 'chargewatch_post_checks_total{outcome="answered"} 1.0' in metrics  # since the kill
