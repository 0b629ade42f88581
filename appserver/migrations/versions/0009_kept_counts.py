"""What lists and dashboards ask often is kept: marks known by day, a row of every bound device, indexes for both."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import after_change, after_insert, after_update, drop_trigger, only_where

revision = "0009"
down_revision = "0008"

SHOWN = ["value_micro", "total_micro", "breaks", "quality", "event"]
BOUND = (
    "INSERT INTO device_state (dev_eui, clock_zone, commissioned_at_us, flags) VALUES (new.dev_eui, '', 0, '')"
    " ON CONFLICT DO NOTHING"
)


def upgrade() -> None:
    op.create_table(
        "day_tally",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
    op.execute("INSERT INTO day_tally SELECT day, count(*) FROM boundary GROUP BY day")
    for verb, row, sign in (("INSERT", "new", "+"), ("DELETE", "old", "-")):
        after_change(
            f"boundary_{verb.lower()}_is_tallied",
            "boundary",
            verb,
            f"INSERT INTO day_tally VALUES ({row}.day, {sign}1)"
            f" ON CONFLICT (day) DO UPDATE SET known = day_tally.known {sign} 1",
            f"INSERT INTO day_tally SELECT day, {sign}count(*) FROM changed GROUP BY day"
            " ON CONFLICT (day) DO UPDATE SET known = day_tally.known + excluded.known",
        )
    op.execute(
        "INSERT INTO device_state (dev_eui, clock_zone, commissioned_at_us, flags)"
        " SELECT DISTINCT dev_eui, '', 0, '' FROM module_channel WHERE true ON CONFLICT DO NOTHING"
    )
    after_insert("module_has_a_state", "module_channel", BOUND)
    after_update("other_module_has_a_state", "module_channel", "dev_eui", BOUND)
    drop_trigger("reading_waits_for_its_seal", "reading")
    after_change(
        "reading_waits_for_its_seal",
        "reading",
        "INSERT",
        "INSERT INTO unsealed VALUES"
        " (new.recorded_at_us, new.meter_id, new.register, new.measured_at_us, new.value_micro) ON CONFLICT DO NOTHING",
        "INSERT INTO unsealed SELECT recorded_at_us, meter_id, register, measured_at_us, value_micro FROM changed"
        " ON CONFLICT DO NOTHING",
    )
    op.create_index("ix_installation_now", "installation", ["installed_at_us"], **only_where("removed_at_us IS NULL"))
    op.create_index(
        "ix_installation_removed", "installation", ["removed_at_us"], **only_where("removed_at_us IS NOT NULL")
    )
    op.drop_index("ix_boundary_day", "boundary")
    op.create_index("ix_boundary_day", "boundary", ["day", "point_id"], postgresql_include=SHOWN)
    op.create_index("ix_boundary_event", "boundary", ["point_id", "day"], **only_where("event <> ''"))


def downgrade() -> None:
    op.drop_index("ix_boundary_event", "boundary")
    op.drop_index("ix_boundary_day", "boundary")
    op.create_index("ix_boundary_day", "boundary", ["day"])
    op.drop_index("ix_installation_removed", "installation")
    op.drop_index("ix_installation_now", "installation")
    drop_trigger("other_module_has_a_state", "module_channel")
    drop_trigger("module_has_a_state", "module_channel")
    for verb in ("delete", "insert"):
        drop_trigger(f"boundary_{verb}_is_tallied", "boundary")
    op.drop_table("day_tally")
