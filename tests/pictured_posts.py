"""Duty posts beside a running service, with a month of checks behind them: for pictures."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from ingest.clock import utc_now
from ingest.ledger.audit import Audited
from ingest.ledger.people import write_post
from ingest.ledger.post_checks import begin_check
from ingest.ledger.store import open_ledger
from ingest.people import Post
from ingest.post_checks import ANSWER_WITHIN, About, CheckState, PostCheck, Told
from ingest.registry import Name

POSTS = (
    (
        "liuxi",
        "liuxi-desk",
        "柳溪派出所值班室",
        "Liuxi police desk",
        3.0,
        (41, 55, 38, 210, 29),
    ),
    ("donghu", "donghu-fire", "东湖微型消防站", "Donghu fire post", 4.0, (24, 19, 33, 27, 45)),
    (
        "beiling",
        "beiling-hall",
        "北岭乡值班室",
        "Beiling duty room",
        2.0,
        (80, None, 95, 260, None),
    ),
)
"""Area, id, names, checks a week, and after how many seconds they answer in turn."""
DAYS = 28


def put_posts(data_dir: Path) -> None:
    """Write them into the ledger, as a command beside the service would."""
    now = utc_now()
    ledger = open_ledger(data_dir / "ledger.sqlite")
    try:
        with ledger.engine.begin() as connection:
            for area, post_id, zh, en, per_week, _ in POSTS:
                post = Post(id=post_id, name=Name(zh, en), area=area, checks_per_week=per_week)
                write_post(connection, post)
            for check in sorted(past_checks(now), key=lambda each: each.asked_at):
                deed = Audited(
                    at=check.asked_at, who="chargewatch", via="plan", what="check.asked"
                )
                begin_check(connection, check, deed)
    finally:
        ledger.close()


def past_checks(now: datetime) -> Iterator[PostCheck]:
    """Yield a month of checks, scattered over days and hours."""
    for number, (area, post, _, _, per_week, answers) in enumerate(POSTS):
        for turn in range(round(per_week * DAYS / 7)):
            hours = (turn * DAYS * 24 * 7 // (per_week * DAYS)) + (turn * 37 + number * 11) % 40
            at = now - timedelta(days=DAYS) + timedelta(hours=hours, minutes=turn * 13 % 60)
            yield check_of(area, post, at, answers[turn % len(answers)])


def check_of(area: str, post: str, at: datetime, answer_s: int | None) -> PostCheck:
    state = CheckState.MISSED
    if answer_s is not None:
        late = answer_s > ANSWER_WITHIN.total_seconds()
        state = CheckState.LATE if late else CheckState.ANSWERED
    told = Told(
        at=at,
        to=f"post:{post}",
        channel=f"sms:{post}",
        about=About.ASKED,
        ok=True,
        detail="HTTP 200",
    )
    return PostCheck(
        post=post,
        area=area,
        asked_at=at,
        due_at=at + ANSWER_WITHIN,
        state=state,
        answered_at=None if answer_s is None else at + timedelta(seconds=answer_s),
        answered_by="" if answer_s is None else f"post:{post}",
        told=(told,),
    )


def be_asked(page: Page) -> None:
    """Ask the post of the calm area, and go to the duty desk."""
    page.locator("form:has([value=beiling-hall]) button").click()
    expect(page.locator(".post-card .word")).to_have_count(1)
    page.goto("/".join(page.url.split("/")[:3]) + "/?area=beiling")
