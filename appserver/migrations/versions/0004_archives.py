"""Archives of heat calculators; archive queries to devices."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import only_where

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "calculator_record",
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("subsystem", sa.Integer(), nullable=False),
        sa.Column("circuit", sa.String(), nullable=False),
        sa.Column("archive", sa.String(), nullable=False),
        sa.Column("at_us", sa.Integer(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("received_at_us", sa.Integer(), nullable=False),
        sa.Column("uplink_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["uplink_id"], ["uplink.id"]),
        sa.PrimaryKeyConstraint("dev_eui", "subsystem", "circuit", "archive", "at_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "archive_query",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("archive", sa.String(), nullable=False),
        sa.Column("device_time", sa.String(), nullable=False),
        sa.Column("f_port", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("planned_at_us", sa.Integer(), nullable=False),
        sa.Column("expires_at_us", sa.Integer(), nullable=False),
        sa.Column("settled_at_us", sa.Integer(), nullable=True),
        sa.Column("queue_item_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_archive_query_meter", "archive_query", ["meter_id", "planned_at_us"])
    op.create_index("ix_archive_query_point", "archive_query", ["point_id", "day"])
    op.create_index(
        "ux_archive_query_open",
        "archive_query",
        ["dev_eui"],
        unique=True,
        **only_where("state IN ('planned', 'queued')"),
    )


def downgrade() -> None:
    op.drop_table("archive_query")
    op.drop_table("calculator_record")
