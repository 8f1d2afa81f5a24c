"""The tables of the ledger. Moments are UTC, whole microseconds since 1970.

Each change here needs a migration in migrations/versions/; a test holds the two equal.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from ingest.moments import from_us, to_us


class Moment(TypeDecorator[datetime]):
    """A datetime that is aware and in UTC, or an error."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_us(value)


VERSION = "0009"
"""The newest migration; a test holds it."""

metadata = sa.MetaData()

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("committed_at", Moment, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("reports", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # numbers are never given twice, even after pruning
)

rule_state = sa.Table(
    "rule_state",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("state", sa.LargeBinary, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("episode", sa.Text, nullable=False, unique=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("fired_at", Moment, nullable=False),
    sa.Column("resolved_at", Moment),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
    sa.Column("acknowledged_at", Moment),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("scope", sa.Text, nullable=False, server_default=""),
    sa.Column("withheld", sa.Text, nullable=False, server_default=""),
    sa.Column("flaps", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("tier", sa.Integer, nullable=False, server_default="1"),
    sa.Column("drill", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("handler", sa.Text, nullable=False, server_default=""),
    sa.Column("handler_since", Moment),
)
sa.Index("alerts_by_site", alerts.c.site, alerts.c.fired_at)
# The migration also makes `one_open_alert`, a unique index on (rule, device, channel, scope) of
# what is firing, and the triggers that keep alert_events, policy_changes and audit append-only:
# SQLite's own SQL, all of it.

alert_events = sa.Table(
    "alert_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("episode", sa.Text, nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("chain", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

policy_changes = sa.Table(
    "policy_changes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("changes", sa.LargeBinary, nullable=False),
    sa.Column("settings", sa.LargeBinary, nullable=False),
    sa.Column("chain", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("ended_at", Moment, nullable=False),
    sa.Column("energy_kwh", sa.Float, nullable=False),
    sa.Column("peak_w", sa.Float, nullable=False),
    sa.Column("charging_w", sa.Float, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("ending", sa.Text, nullable=False),
    sa.Column("stop_reason", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("sessions_by_site", sessions.c.site, sessions.c.began_at)
# The migration also makes `one_session`, a unique index on (device, channel, began_at).

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("idempotency_key", sa.Text, nullable=False, unique=True),
    sa.Column("episode", sa.Text, nullable=False, index=True),
    sa.Column("transition", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("urgency", sa.Integer, nullable=False),
    sa.Column("alert", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", Moment, nullable=False),
    sa.Column("told_at", Moment),
    sa.Column("receipt", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False, server_default=""),
    sa.Column("tier", sa.Integer, nullable=False, server_default="1"),
    sa.Column("spilled_from", sa.Integer),
    sa.Column("digest", sa.Integer),
)
sa.Index(
    "outbox_waiting",
    outbox.c.urgency,
    outbox.c.id,
    sqlite_where=sa.and_(outbox.c.state == "waiting", outbox.c.digest.is_(None)),
)
sa.Index("outbox_told", outbox.c.told_at)
sa.Index("outbox_digest", outbox.c.digest, sqlite_where=outbox.c.digest.is_not(None))

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("starts", Moment, nullable=False),
    sa.Column("ends", Moment, nullable=False, index=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("ended_by", sa.Text, nullable=False),
    sqlite_autoincrement=True,  # an alert that was withheld names its silence for ever
)

hazards = sa.Table(
    "hazards",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("ended_at", Moment, nullable=False),
    sa.Column("found_at", Moment, nullable=False),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
)
sa.Index("hazards_by_device", hazards.c.device, hazards.c.rule, hazards.c.ended_at)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("ordered_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("episode", sa.Text, nullable=False),
    sa.Column("ordered_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", Moment),
    sa.Column("first_sent_at", Moment),
    sa.Column("sent_at", Moment),
    sa.Column("replied_at", Moment),
    sa.Column("confirmed_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Column("failure", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
)
sa.Index("commands_to_send", commands.c.next_at)
sa.Index("commands_by_time", commands.c.ordered_at)

latches = sa.Table(
    "latches",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("channel", sa.Integer),
    sa.Column("since", Moment, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("episode", sa.Text, nullable=False),
    sa.Column("dark_at", Moment),
    sa.Column("cleared_at", Moment),
    sa.Column("cleared_by", sa.Text, nullable=False),
    sa.Column("clear_reason", sa.Text, nullable=False),
)
sa.Index("latches_by_time", latches.c.since)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("identity", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)

areas = sa.Table(
    "areas",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name_zh", sa.Text, nullable=False),
    sa.Column("name_en", sa.Text, nullable=False),
    sa.Column("declared", sa.Boolean, nullable=False),
)

sites = sa.Table(
    "sites",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("area", sa.Text, sa.ForeignKey("areas.id"), nullable=False),
    sa.Column("name_zh", sa.Text, nullable=False),
    sa.Column("name_en", sa.Text, nullable=False),
    sa.Column("declared", sa.Boolean, nullable=False),
    sa.Column("schedule", sa.Text, nullable=False),
    sa.Column("carrier", sa.Text, nullable=False, server_default=""),
    sa.Column("latitude", sa.Float),
    sa.Column("longitude", sa.Float),
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.id"), nullable=False),
    sa.Column("dialect", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("declared", sa.Boolean, nullable=False),
    sa.Column("silent_after_s", sa.Float),
    sa.Column("added_at", Moment, nullable=False),
    sa.UniqueConstraint("dialect", "name", name="one_device_per_name"),
)

sockets = sa.Table(
    "sockets",
    metadata,
    sa.Column("device", sa.Text, sa.ForeignKey("devices.id"), primary_key=True),
    sa.Column("channel", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("declared", sa.Boolean, nullable=False),
)

watermarks = sa.Table(
    "watermarks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("person", sa.LargeBinary, nullable=False),
    sa.Column("password", sa.Text, nullable=False, server_default=""),
    sa.Column("password_at", Moment),
    sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false()),
)

posts = sa.Table(
    "posts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("post", sa.LargeBinary, nullable=False),
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("route", sa.LargeBinary, nullable=False),
)

logins = sa.Table(
    "logins",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("who", sa.Text, nullable=False, index=True),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("ends_at", Moment, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("standing", sa.Text, nullable=False),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False, index=True),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("ends_at", Moment),
    sa.Column("revoked_at", Moment),
    sqlite_autoincrement=True,
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("area", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("chain", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("audit_by_who", audit.c.who)

links = sa.Table(
    "links",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("used_at", Moment, nullable=False),
    sa.Column("used_by", sa.Text, nullable=False),
)

photos = sa.Table(
    "photos",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("episode", sa.Text, nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

digests = sa.Table(
    "digests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("idempotency_key", sa.Text, nullable=False, unique=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("urgency", sa.Integer, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", Moment, nullable=False),
    sa.Column("told_at", Moment),
    sa.Column("receipt", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("digests_waiting", digests.c.id, sqlite_where=digests.c.state != "told")
sa.Index("digests_told", digests.c.told_at)

post_checks = sa.Table(
    "post_checks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("post", sa.Text, nullable=False),
    sa.Column("area", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("answered_at", Moment),
    sa.Column("answered_by", sa.Text, nullable=False),
    sa.Column("told", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("post_checks_by_post", post_checks.c.post, post_checks.c.asked_at)
