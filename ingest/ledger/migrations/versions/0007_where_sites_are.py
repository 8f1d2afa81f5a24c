"""Where the sites are on the map."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("latitude", "longitude"):
        op.add_column("sites", sa.Column(name, sa.Float(), nullable=True))


def downgrade() -> None:
    """A ledger is never taken back: an older chargewatch refuses it."""
