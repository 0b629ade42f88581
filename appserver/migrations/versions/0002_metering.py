"""Clock errors of readings, corrections, closed periods, sealed days, ratios, networks."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import after_insert, drop_trigger, only_where, refuse_changes

revision = "0002"
down_revision = "0001"

APPEND_ONLY = ("correction", "day_seal", "period_close", "period_value")
TABLES = (
    "correction",
    "unsealed",
    "day_seal",
    "period_close",
    "period_value",
    "network_node",
    "network_edge",
)
RESOURCES = "resource IN ('cold_water', 'hot_water', 'electricity', 'heat', 'gas')"


def upgrade() -> None:
    op.add_column("reading", sa.Column("clock_error_us", sa.Integer(), nullable=True))
    op.add_column("boundary", sa.Column("clock_us", sa.Integer(), nullable=True))
    op.add_column("boundary", sa.Column("spread_micro", sa.BigInteger(), nullable=True))
    op.add_column("installation", sa.Column("ratio", sa.Text(), nullable=False, server_default="1"))
    op.add_column("meter", sa.Column("qstart", sa.BigInteger(), nullable=True))
    op.add_column("module_channel", sa.Column("counter_bits", sa.Integer(), nullable=False, server_default="32"))

    op.create_table(
        "correction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("register", sa.String(), nullable=False),
        sa.Column("measured_at_us", sa.Integer(), nullable=False),
        sa.Column("value_micro", sa.BigInteger(), nullable=True),
        sa.Column("supersedes_micro", sa.BigInteger(), nullable=True),
        sa.Column("supersedes_id", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("recorded_at_us", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"]),
        sa.ForeignKeyConstraint(["supersedes_id"], ["correction.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_correction_key", "correction", ["meter_id", "register", "measured_at_us"])
    op.create_index("ix_correction_recorded_at_us", "correction", ["recorded_at_us"])
    op.create_table(
        "unsealed",
        sa.Column("recorded_at_us", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("register", sa.String(), nullable=False),
        sa.Column("measured_at_us", sa.Integer(), nullable=False),
        sa.Column("value_micro", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("recorded_at_us", "meter_id", "register", "measured_at_us", "value_micro"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "day_seal",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("corrections", sa.Integer(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("sealed_at_us", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("ix_day_seal_day", "day_seal", ["day"])
    op.create_index(
        "ix_reading_conflict",
        "reading",
        ["meter_id", "register", "measured_at_us"],
        **only_where("conflict"),
    )
    op.create_table(
        "period_close",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("closed_at_us", sa.Integer(), nullable=False),
        sa.CheckConstraint(RESOURCES, name="ck_resource"),
        sa.ForeignKeyConstraint(["building_id"], ["building.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("building_id", "resource", "first_day", "revision"),
    )
    op.create_table(
        "period_value",
        sa.Column("close_id", sa.Integer(), nullable=False),
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("start_micro", sa.BigInteger(), nullable=True),
        sa.Column("end_micro", sa.BigInteger(), nullable=True),
        sa.Column("volume_micro", sa.BigInteger(), nullable=True),
        sa.Column("quality", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["close_id"], ["period_close.id"]),
        sa.ForeignKeyConstraint(["point_id"], ["point.id"]),
        sa.PrimaryKeyConstraint("close_id", "point_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "network_node",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=True),
        sa.Column("loss_norm_pct", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(RESOURCES, name="ck_resource"),
        sa.CheckConstraint("kind IN ('source', 'trunk', 'section', 'house')", name="ck_kind"),
        sa.ForeignKeyConstraint(["building_id"], ["building.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("resource", "name"),
    )
    op.create_table(
        "network_edge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("from_id", sa.Integer(), nullable=False),
        sa.Column("to_id", sa.Integer(), nullable=False),
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.CheckConstraint("from_id <> to_id", name="ck_no_loop"),
        sa.ForeignKeyConstraint(["from_id"], ["network_node.id"]),
        sa.ForeignKeyConstraint(["to_id"], ["network_node.id"]),
        sa.ForeignKeyConstraint(["point_id"], ["point.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("point_id"),
    )
    op.create_index("ix_network_edge_from_id", "network_edge", ["from_id"])
    op.create_index("ix_network_edge_to_id", "network_edge", ["to_id"])
    for table in APPEND_ONLY:
        refuse_changes(table)
    # Every reading waits for the seal of its day, however it came in; those that are there wait from now on.
    after_insert(
        "reading_waits_for_its_seal",
        "reading",
        "INSERT INTO unsealed"
        " VALUES (new.recorded_at_us, new.meter_id, new.register, new.measured_at_us, new.value_micro)",
    )
    op.execute(
        "INSERT INTO unsealed SELECT recorded_at_us, meter_id, register, measured_at_us, value_micro FROM reading"
    )


def downgrade() -> None:
    drop_trigger("reading_waits_for_its_seal", "reading")
    op.drop_index("ix_reading_conflict", "reading")
    for table in reversed(TABLES):
        op.drop_table(table)
    for table, column in (
        ("module_channel", "counter_bits"),
        ("meter", "qstart"),
        ("installation", "ratio"),
        ("boundary", "spread_micro"),
        ("boundary", "clock_us"),
        ("reading", "clock_error_us"),
    ):
        op.drop_column(table, column)
