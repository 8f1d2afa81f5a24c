"""Alerts of whole sites and of carriers, alerts that are withheld, limits in a file.

The limits of a site were kept here; they are in the policy file now, and its opening hours
alone are kept.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE rule_state RENAME COLUMN device TO subject")
    for name in ("scope", "withheld"):
        op.add_column("alerts", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.execute("DROP INDEX one_open_alert")
    op.execute(
        "CREATE UNIQUE INDEX one_open_alert ON alerts (rule, device, ifnull(channel, 0), scope)"
        " WHERE state = 'firing'"
    )
    op.add_column("sites", sa.Column("carrier", sa.Text(), nullable=False, server_default=""))
    op.execute("ALTER TABLE sites RENAME COLUMN policy TO schedule")
    connection = op.get_bind()
    for site, policy in connection.execute(sa.text("SELECT id, schedule FROM sites")).all():
        schedule = json.dumps(json.loads(policy)["schedule"])
        connection.execute(
            sa.text("UPDATE sites SET schedule = :schedule WHERE id = :site"),
            {"schedule": schedule, "site": site},
        )


def downgrade() -> None:
    """A ledger is never taken back: an older chargewatch refuses it."""
