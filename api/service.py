"""The composition root: reads top to bottom as the list of what the service is made of.

`running` is deliberately one straight-line function: whoever wants to know what talks to
what reads it once. Everything is opened in order and closed in reverse.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import structlog
from fastapi import FastAPI

from api.addresses import broker_address
from api.announce import Composer, announcer, firing_notices
from api.answering import AnswerLinks
from api.channels import Channel
from api.channels.alertmanager import Alertmanager
from api.channels.chosen import chosen
from api.channels.console_log import ConsoleLog
from api.channels.lanes import lane_of
from api.channels.ways import Ways
from api.commands import Commands
from api.delivery import Delivery, Recipients
from api.delivery.books import Books
from api.drills import DrillRunner
from api.health import Health
from api.histories import influx_address, open_history
from api.http.access import Access, Caller
from api.http.app import create_app
from api.http.people_tokens import PeopleTokens
from api.link_keys import link_keys
from api.links import TO_BYTES_MAX, Links, Purpose
from api.metrics import Metrics
from api.mqtt_answers import MqttAnswers
from api.people.keeper import PeopleKeeper
from api.points import Points
from api.policy_keeper import PolicyKeeper, policy_at_start
from api.post_checks import CheckMetrics, CheckWords, Messenger, PostChecks, seed_from
from api.settings import Settings
from api.sites import read_sites
from api.sites_schedule import calendars_ending
from api.text import Texts
from api.tokens import add_token, read_tokens
from api.unheard import Unheard
from api.watch import Change, Changes, Watch
from api.workings import workings_of
from ingest.broker_drops import DROPPED, BrokerDrops
from ingest.clock import Now, utc_now
from ingest.codecs import all_codecs
from ingest.desk import Desk
from ingest.drills import ended
from ingest.history_writer import feed
from ingest.influx_writing import Losses
from ingest.intake import Intake
from ingest.ledger.commit import Commit
from ingest.ledger.policy_log import last_change
from ingest.ledger.queries import drills_left_open
from ingest.ledger.store import Ledger, LedgerUnavailable, opened
from ingest.mqtt import Link
from ingest.mqtt_connection import BrokerAddress
from ingest.people import Directory
from ingest.pipeline import LEDGER_RETRY_S, Pipeline
from ingest.post_checks import ANSWERABLE_FOR, PostCheck, alarms_wait
from ingest.registry import Registry
from ingest.replay import Seen
from ingest.switching import Switching
from ingest.wire import Codec
from rules.catalog import rules_in_force
from rules.engine import Engine

log = structlog.get_logger()


class Running(msgspec.Struct, frozen=True):
    """What a caller gets of the running service."""

    app: FastAPI
    watch: Watch
    metrics: Metrics
    ledger: Ledger
    policy: PolicyKeeper


@asynccontextmanager
async def running(  # noqa: PLR0915  (one visible composition root)
    settings: Settings, now: Now, speed: float = 1.0
) -> AsyncIterator[Running]:
    """Run the service for as long as the block lasts. `speed` is how fast `now` runs."""
    codecs = all_codecs()
    losses = Losses()
    async with (
        opened(settings.data_dir / "ledger.sqlite") as ledger,
        open_history(settings, losses) as history,
        asyncio.TaskGroup() as tasks,
    ):
        registry = await asyncio.to_thread(ledger.registry)
        _declare(settings.sites_file, registry, codecs, now)
        first = policy_at_start(settings.policy_file, await ledger.read(last_change))
        registry.apply(first.text.policies)
        wake = asyncio.Event()
        desk = Desk(wake.set)
        directory = Directory()
        people = PeopleKeeper(ledger, directory, desk, now)
        await people.begin()
        engine = Engine(*rules_in_force(), registry)
        metrics = Metrics(speed)
        channels = channels_of(settings, metrics, now)
        seen = await _taken_up(ledger, engine, registry, now)
        for device in registry.devices.values():
            if device.declared:
                engine.expect(device.id, now())
        switching = Switching(engine, registry)
        broker = broker_address(settings.broker)
        drill_runner = DrillRunner(desk, broker, settings.broker.client_id, now, speed)
        await _end_drills(ledger, desk)
        ways = Ways(settings=settings, now=utc_now)
        intake = Intake(
            codecs,
            registry,
            engine,
            seen,
            announcer(channels, directory, ways.set_up),
            switching=switching,
            drills=drill_runner.drills,
        )

        links = _links(settings.broker.client_id, broker, codecs, now, wake)
        drops_id = f"{settings.broker.client_id}-drops"
        drops = BrokerDrops(lambda told: Link(drops_id, broker, [DROPPED], now, told), now)
        keys = await asyncio.to_thread(link_keys, settings.data_dir)
        signed = Links(keys)
        recipients = Recipients(
            channels,
            partial(lane_of, settings=settings),
            settings.language,
            directory,
            ways.channel_for,
        )
        answers = AnswerLinks(
            links=signed, directory=directory, console_url=settings.http.url, wall=utc_now
        )
        words = Composer(registry, settings.http.url, answers.url_for)
        delivery = Delivery(ledger, recipients, words, now, speed)
        commands = Commands(
            ledger=ledger,
            registry=registry,
            codecs=codecs,
            desk=desk,
            switching=switching,
            broker=broker,
            client_id=settings.broker.client_id,
            now=now,
            speed=speed,
        )
        journal_grew, changes, unheard = asyncio.Event(), Changes(), Unheard()
        messenger = Messenger(
            Books(ledger),
            directory,
            recipients,
            CheckWords(settings.http.url, partial(check_link, signed), directory),
            delivery.let_pass,
            now=now,
        )
        post_checks = PostChecks(
            ledger=ledger,
            directory=directory,
            messenger=messenger,
            alarms_wait=lambda area: alarms_wait(engine.open_alerts(), area),
            changed=lambda: changes.tell(Change("", alerts=True)),
            metrics=CheckMetrics(metrics.registry),
            seed=seed_from(keys[-1].secret),
            within=timedelta(seconds=settings.checks.answer_seconds),
            now=now,
            speed=speed,
        )

        def committed(batch: Commit) -> None:
            metrics.committed(batch)
            unheard.committed(batch)
            drill_runner.committed(batch)
            journal_grew.set()
            if batch.to_tell:
                delivery.post()
            if batch.commands:
                commands.post()
            points.committed(batch)
            _tell_pages(changes, registry, batch)

        pipeline = Pipeline(
            links=links,
            wake=wake,
            desk=desk,
            intake=intake,
            engine=engine,
            ledger=ledger,
            now=now,
            speed=speed,
            committed=committed,
            own_health=lambda: health.facts(drops.recent()),
        )
        policy = PolicyKeeper(first, registry, engine, desk, now)
        health = Health(
            links,
            pipeline.health,
            delivery.health,
            policy.part,
            commands.health,
            losses=losses,
            people=unheard.part,
        )
        metrics.watch(links, delivery.health, losses, delivery.lanes, now)
        watch = Watch(
            ledger=ledger,
            history=history,
            registry=registry,
            directory=directory,
            engine=engine,
            now=now,
            health=health.parts,
            changes=changes,
            desk=desk,
            switching=switching,
            workings=lambda: workings_of(
                links, delivery.lanes(), delivery.health, health.history, settings.data_dir
            ),
            metrics=metrics.exposition,
            policy=policy,
            people=people,
            ways=ways,
            drills=drill_runner,
            post_checks=post_checks,
            links=signed,
            house=frozenset(channel.name for channel in channels),
        )
        keep = timedelta(days=settings.history.keep_days)
        feeding = partial(
            feed, ledger, history, journal_grew, now=now, keep=keep, tell=health.history_is
        )
        points = Points(
            influx_address(settings),
            losses=losses,
            ledger=ledger,
            registry=registry,
            engine=engine,
            metrics=metrics,
            health=health,
            keep=keep,
            now=now,
            speed=speed,
        )
        firing = firing_notices(
            engine, registry, Texts.of(settings.language), settings.http.url
        )
        access = _access(settings)
        pressed = MqttAnswers(
            watch,
            access.with_people(PeopleTokens(watch, utc_now).holder),
            broker,
            settings.broker.client_id,
            counted=metrics.answered,
        )
        work = [
            *(tasks.create_task(link.run(), name=link.client_id) for link in links),
            tasks.create_task(drops.run(), name=drops_id),
            tasks.create_task(pipeline.run(), name="pipeline"),
            tasks.create_task(delivery.run(), name="delivery"),
            tasks.create_task(policy.run(), name="policy"),
            tasks.create_task(people.run(), name="people"),
            tasks.create_task(commands.run(), name="commands"),
            tasks.create_task(drill_runner.run(), name="drills"),
            tasks.create_task(pressed.run(), name="answers"),
            tasks.create_task(post_checks.run(), name="post checks"),
            tasks.create_task(_through_ledger_trouble(feeding), name="history"),
            tasks.create_task(points.run(), name="points"),
            *(
                tasks.create_task(channel.keep_saying(firing), name=channel.name)
                for channel in channels
                if isinstance(channel, Alertmanager)
            ),
        ]
        yield Running(create_app(watch, access), watch, metrics, ledger, policy)
        for task in reversed(work):
            task.cancel()


async def _through_ledger_trouble(work: Callable[[], Awaitable[None]]) -> None:
    """Begin again whenever the ledger could not be asked: the alarms go on without this."""
    while True:
        try:
            await work()
        except LedgerUnavailable as error:
            log.warning("history.ledger_unavailable", reason=str(error))
            await asyncio.sleep(LEDGER_RETRY_S)


def _declare(
    sites_file: Path | None, registry: Registry, codecs: Sequence[Codec], now: Now
) -> None:
    """Tell the registry what the sites file says, if there is one."""
    if sites_file is None:
        return
    declared = read_sites(sites_file, [codec.name for codec in codecs], now().year)
    for words in calendars_ending(declared.calendars, now().date()):
        log.warning("calendar.ends", reason=words)
    registry.declare(declared.areas, declared.sites, declared.devices, now())


async def _end_drills(ledger: Ledger, desk: Desk) -> None:
    """End, with the first batch, drills that the end of the last process cut short."""
    if left_open := await ledger.read(drills_left_open):
        desk.hand_in(lambda batch: batch.changes.extend(ended(left_open, batch.now)))


async def _taken_up(ledger: Ledger, engine: Engine, registry: Registry, now: Now) -> Seen:
    """Give the engine what was stored, and return what will be recognised as repeated.

    A device that the sites file has just renamed is known by its new id only.
    """
    restored = await asyncio.to_thread(ledger.restored)
    at = now()
    away = at - restored.last_commit_at if restored.last_commit_at else timedelta(0)
    known = [
        stored
        for stored in restored.stored
        if stored.state is None or stored.state.id in registry.devices
    ]
    for silence in restored.silences:
        engine.silence(silence, at)
    engine.restore(
        (stored.state for stored in known if stored.state is not None),
        (alert for stored in known for alert in stored.alerts),
        (firings for stored in known for firings in stored.firings),
        now=at,
        away=max(away, timedelta(0)),
    )
    log.info("service.taken_up", devices=len(known), away_s=away.total_seconds())
    return Seen(restored.seen)


def check_link(links: Links, check: PostCheck, to: str) -> str:
    """Return the path by which somebody answers a check: the same by all of their ways."""
    fits = len(to.encode()) <= TO_BYTES_MAX
    return links.make(Purpose.CHECK, check.id, to if fits else "", utc_now() + ANSWERABLE_FOR)


def channels_of(settings: Settings, metrics: Metrics, now: Now) -> tuple[Channel, ...]:
    """Return the ways of telling people that are set up; the log is always one."""
    log_line = ConsoleLog(told=lambda notice: metrics.told(notice.episode, now()))
    return (log_line, *chosen(settings, broker_address(settings.broker), utc_now))


def _links(
    client_id: str,
    address: BrokerAddress,
    codecs: Sequence[Codec],
    now: Now,
    wake: asyncio.Event,
) -> tuple[Link, Link]:
    """Return two sessions, the urgent one first.

    The broker's queue is first come, first served: behind an hour of telemetry smoke would
    wait its turn. So safety events have a session, and a queue, of their own.
    """
    urgent = [each for codec in codecs for each in codec.urgent_filters]
    rest = [each for codec in codecs for each in codec.filters if each not in urgent]
    return (
        Link(f"{client_id}-urgent", address, urgent, now, wake.set),
        Link(client_id, address, rest, now, wake.set),
    )


def _access(settings: Settings) -> Access:
    """Return who may ask; the first start makes the first token."""
    if not read_tokens(settings.data_dir):
        add_token(settings.data_dir, "admin", "write")
        log.info("access.first_token", file=str(settings.data_dir / "tokens"))
    return Access.of(
        {
            each.secret: Caller.of_token(each.name, each.scope)
            for each in read_tokens(settings.data_dir)
        }
    )


def _tell_pages(changes: Changes, registry: Registry, batch: Commit) -> None:
    """Say which sites' pages are out of date."""
    sites = {registry.devices[report.device].site: False for report in batch.reports}
    sites |= {registry.devices[command.device].site: False for command in batch.commands}
    sites |= {change.alert.site: True for change in batch.changes}
    for site, alerts in sites.items():
        changes.tell(Change(site, alerts))
