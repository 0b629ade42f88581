"""Sources of readings beside the radio, MQTT sinks, clock corrections, digests of notices."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import only_where

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=False),
        sa.Column("ca", sa.String(), nullable=False),
        sa.Column("topics", sa.String(), nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at_us", sa.Integer(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("seen_at_us", sa.Integer(), nullable=True),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "intake",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("received_at_us", sa.Integer(), nullable=False),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("author", "idempotency_key", name="uq_intake_key"),
    )
    op.create_index("ix_intake_received", "intake", ["received_at_us"])
    op.create_index("ix_intake_source_id", "intake", ["source_id"])
    op.create_table(
        "refused_reading",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("intake_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("seen_at_us", sa.Integer(), nullable=False),
        sa.Column("settled_at_us", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["intake_id"], ["intake.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("fingerprint"),
    )
    op.create_index("ix_refused_state", "refused_reading", ["state", "id"])
    op.create_index("ix_refused_reading_intake_id", "refused_reading", ["intake_id"])

    op.create_table(
        "clock_correction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("offset_us", sa.Integer(), nullable=False),
        sa.Column("delta_s", sa.Integer(), nullable=False),
        sa.Column("f_port", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("planned_at_us", sa.Integer(), nullable=False),
        sa.Column("expires_at_us", sa.Integer(), nullable=False),
        sa.Column("sent_at_us", sa.Integer(), nullable=True),
        sa.Column("settled_at_us", sa.Integer(), nullable=True),
        sa.Column("offset_after_us", sa.Integer(), nullable=True),
        sa.Column("queue_item_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_clock_correction_device", "clock_correction", ["dev_eui", "planned_at_us"])
    op.create_index(
        "ux_clock_correction_open",
        "clock_correction",
        ["dev_eui"],
        unique=True,
        **only_where("state IN ('planned', 'queued')"),
    )

    for table, column, kind, default in _COLUMNS:
        op.add_column(table, sa.Column(column, kind, nullable=False, server_default=default))
    op.add_column("device_state", sa.Column("clock_seen_at_us", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("device_state", "clock_seen_at_us")
    for table, column, _, _ in _COLUMNS:
        op.drop_column(table, column)
    for table in ("clock_correction", "refused_reading", "intake", "source"):
        op.drop_table(table)


_COLUMNS = (
    ("sink", "username", sa.String(), ""),
    ("sink", "password", sa.String(), ""),
    ("sink", "ca", sa.String(), ""),
    ("sink", "commands", sa.Boolean(), sa.false()),
    ("archive_query", "subsystem", sa.Integer(), "1"),
    ("subscription", "digest_minutes", sa.Integer(), "10"),
    ("subscription", "told_at_us", sa.Integer(), "0"),
    ("user", "email", sa.String(), ""),
)
