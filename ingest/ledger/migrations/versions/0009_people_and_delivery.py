"""People, posts and routes; logins and tokens; who was told as what; what people did."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("handler", sa.Text(), server_default="", nullable=False),
        sa.Column("handler_since", sa.BigInteger()),
    ):
        op.add_column("alerts", column)
    for column in (
        sa.Column("recipient", sa.Text(), server_default="", nullable=False),
        sa.Column("tier", sa.Integer(), server_default="1", nullable=False),
        sa.Column("spilled_from", sa.Integer()),
        sa.Column("digest", sa.Integer()),
    ):
        op.add_column("outbox", column)
    op.drop_index("outbox_due", "outbox")
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["urgency", "id"],
        sqlite_where=sa.text("state = 'waiting' AND digest IS NULL"),
    )
    op.create_index("outbox_told", "outbox", ["told_at"])
    op.create_index(
        "outbox_digest", "outbox", ["digest"], sqlite_where=sa.text("digest IS NOT NULL")
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False, server_default=""),
        sa.Column("password_at", sa.BigInteger()),
        sa.Column("must_change", sa.Boolean(), nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "posts",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("post", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "routes",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("route", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
    )
    op.create_index("ix_logins_who", "logins", ["who"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_person", "api_tokens", ["person"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_who", "audit", ["who"])
    op.create_table(
        "links",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("used_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "photos",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("episode", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_photos_episode", "photos", ["episode"])
    op.create_table(
        "digests",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False, unique=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger()),
        sa.Column("receipt", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "post_checks",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("post", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("answered_by", sa.Text(), nullable=False),
        sa.Column("told", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "digests_waiting", "digests", ["id"], sqlite_where=sa.text("state != 'told'")
    )
    op.create_index("digests_told", "digests", ["told_at"])
    op.create_index("post_checks_by_post", "post_checks", ["post", "asked_at"])
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change}"
            " ON audit BEGIN SELECT raise(ABORT, 'audit is append-only'); END"
        )


def downgrade() -> None:
    """A ledger is never taken back: an older chargewatch refuses it."""
