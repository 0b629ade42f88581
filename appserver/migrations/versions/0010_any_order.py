"""Frames in any order: the first received is a reading's origin, a device's state knows the moments of its parts."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import drop_trigger, is_postgres, refuse_updates_but

revision = "0010"
down_revision = "0009"

MOMENTS = ("battery_at_us", "temperature_at_us", "clock_at_us", "flags_at_us")
SAME = ("meter_id", "register", "measured_at_us", "value_micro", "source", "author", "recorded_at_us", "conflict")
UNSEALED = ("recorded_at_us", "meter_id", "register", "measured_at_us", "value_micro")
EARLIER = (
    " AND ".join(f"new.{column} = old.{column}" for column in SAME)
    + " AND new.received_at_us < old.received_at_us AND EXISTS (SELECT 1 FROM unsealed u WHERE "
    + " AND ".join(f"u.{column} = old.{column}" for column in UNSEALED)
    + ")"
)
"""A reading that is not sealed may get an earlier frame as its origin; what it says stays."""
REFUSED = "reading is append-only: UPDATE is refused"


def upgrade() -> None:
    for moment in MOMENTS:
        op.add_column("device_state", sa.Column(moment, sa.Integer(), nullable=True))
    # What is there came with the frames so far: only later ones change it.
    op.execute("UPDATE device_state SET battery_at_us = last_uplink_at_us WHERE battery_pct IS NOT NULL")
    op.execute("UPDATE device_state SET temperature_at_us = last_uplink_at_us WHERE temperature_c IS NOT NULL")
    op.execute("UPDATE device_state SET clock_at_us = clock_seen_at_us")
    op.execute("UPDATE device_state SET flags_at_us = last_uplink_at_us")
    drop_trigger("reading_no_update", "reading")
    refuse_updates_but("reading", EARLIER)


def downgrade() -> None:
    drop_trigger("reading_no_update", "reading")
    if is_postgres():
        body = f"RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{REFUSED}';"
        op.execute(
            "CREATE FUNCTION reading_no_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + " END $$"
        )
        op.execute(
            "CREATE TRIGGER reading_no_update BEFORE UPDATE ON reading FOR EACH ROW EXECUTE FUNCTION reading_no_update()"
        )
    else:
        op.execute(
            f"CREATE TRIGGER reading_no_update BEFORE UPDATE ON reading BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        )
    for moment in reversed(MOMENTS):
        op.drop_column("device_state", moment)
