"""The first schema: registry, uplinks and readings, people, integrations."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import only_where, refuse_changes

revision = "0001"
down_revision = None

APPEND_ONLY = ("reading", "audit")
TABLES = (
    "audit",
    "device_state",
    "event_cursor",
    "meter",
    "organisation",
    "outbox",
    "sink",
    "uplink",
    "building",
    "delivery",
    "device_flag",
    "last_reading",
    "module_channel",
    "reading",
    "user",
    "api_token",
    "premises",
    "user_session",
    "point",
    "installation",
    "boundary",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("object_kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_at", "audit", ["at_us"])
    op.create_index("ix_audit_object", "audit", ["object_kind", "object_id"])

    op.create_table(
        "device_state",
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("clock_zone", sa.String(), nullable=False),
        sa.Column("commissioned_at_us", sa.Integer(), nullable=False),
        sa.Column("last_uplink_at_us", sa.Integer(), nullable=True),
        sa.Column("last_reading_at_us", sa.Integer(), nullable=True),
        sa.Column("battery_pct", sa.Integer(), nullable=True),
        sa.Column("temperature_c", sa.Integer(), nullable=True),
        sa.Column("clock_offset_us", sa.Integer(), nullable=True),
        sa.Column("flags", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("dev_eui"),
    )
    op.create_index("ix_device_state_last_uplink_at_us", "device_state", ["last_uplink_at_us"])

    op.create_table(
        "event_cursor",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("taken_at_us", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "meter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("manufacturer", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("digits", sa.Integer(), nullable=False),
        sa.Column("qmax", sa.BigInteger(), nullable=True),
        sa.Column("verified_on", sa.Date(), nullable=True),
        sa.Column("verification_until", sa.Date(), nullable=True),
        sa.CheckConstraint("resource IN ('cold_water', 'hot_water', 'electricity', 'heat', 'gas')", name="ck_resource"),
        sa.CheckConstraint("digits BETWEEN 1 AND 12", name="ck_digits"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("serial", "manufacturer", "model"),
    )
    op.create_index("ix_meter_serial", "meter", ["serial"])
    op.create_index("ix_meter_verification_until", "meter", ["verification_until"])

    op.create_table(
        "organisation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("inn", sa.String(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('management_company', 'resource_supplier', 'homeowners', 'developer', 'service', 'other')",
            name="ck_kind",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_organisation_name", "organisation", ["name"], unique=True)

    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("time_us", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_event_id", "outbox", ["event_id"])

    op.create_table(
        "sink",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("events", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("created_at_us", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("delivered_at_us", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "uplink",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("f_cnt", sa.Integer(), nullable=False),
        sa.Column("f_port", sa.Integer(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("received_at_us", sa.Integer(), nullable=False),
        sa.Column("codec", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("object", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_uplink_open", "uplink", ["state", "id"], **only_where("state <> 'decoded'"))
    op.create_index("ix_uplink_received", "uplink", ["received_at_us"])
    op.create_index("ux_uplink", "uplink", ["dev_eui", "session_id", "f_cnt", "received_at_us"], unique=True)

    op.create_table(
        "building",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organisation_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("fias_guid", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('house', 'school', 'boiler_house', 'heat_point', 'office', 'other')", name="ck_kind"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_building_address", "building", ["address"], unique=True)
    op.create_index("ix_building_organisation_id", "building", ["organisation_id"])

    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sink_id", sa.Integer(), nullable=False),
        sa.Column("outbox_id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at_us", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["outbox_id"],
            ["outbox.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sink_id"],
            ["sink.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_delivery", "delivery", ["sink_id", "outbox_id"], unique=True)

    op.create_table(
        "device_flag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("flag", sa.String(), nullable=False),
        sa.Column("raised_at_us", sa.Integer(), nullable=False),
        sa.Column("cleared_at_us", sa.Integer(), nullable=True),
        sa.Column("uplink_id", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["uplink_id"],
            ["uplink.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_device_flag", "device_flag", ["dev_eui", "flag", "raised_at_us"])

    op.create_table(
        "last_reading",
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("register", sa.String(), nullable=False),
        sa.Column("measured_at_us", sa.Integer(), nullable=False),
        sa.Column("value_micro", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.String(), nullable=False),
        sa.Column("received_at_us", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_id"],
            ["meter.id"],
        ),
        sa.PrimaryKeyConstraint("meter_id", "register"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "module_channel",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dev_eui", sa.String(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("register", sa.String(), nullable=False),
        sa.Column("weight", sa.Text(), nullable=False),
        sa.Column("start_value", sa.BigInteger(), nullable=False),
        sa.Column("start_pulses", sa.BigInteger(), nullable=False),
        sa.Column("valid_from_us", sa.Integer(), nullable=False),
        sa.Column("valid_until_us", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["meter_id"],
            ["meter.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_module_channel_device", "module_channel", ["dev_eui", "channel", "valid_from_us"])
    op.create_index("ix_module_channel_meter_id", "module_channel", ["meter_id"])

    op.create_table(
        "reading",
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("register", sa.String(), nullable=False),
        sa.Column("measured_at_us", sa.Integer(), nullable=False),
        sa.Column("value_micro", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("received_at_us", sa.Integer(), nullable=False),
        sa.Column("recorded_at_us", sa.Integer(), nullable=False),
        sa.Column("device_time_us", sa.Integer(), nullable=True),
        sa.Column("uplink_id", sa.Integer(), nullable=True),
        sa.Column("codec", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("conflict", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_id"],
            ["meter.id"],
        ),
        sa.ForeignKeyConstraint(
            ["uplink_id"],
            ["uplink.id"],
        ),
        sa.PrimaryKeyConstraint("meter_id", "register", "measured_at_us", "value_micro"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("organisation_id", sa.Integer(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at_us", sa.Integer(), nullable=False),
        sa.Column("signed_in_at_us", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_user_login", "user", ["login"], unique=True)

    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at_us", sa.Integer(), nullable=False),
        sa.Column("expires_at_us", sa.Integer(), nullable=True),
        sa.Column("used_at_us", sa.Integer(), nullable=True),
        sa.Column("revoked_at_us", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_api_token_prefix", "api_token", ["prefix"], unique=True)

    op.create_table(
        "premises",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("account_number", sa.String(), nullable=False),
        sa.Column("area_m2", sa.BigInteger(), nullable=True),
        sa.Column("residents", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind IN ('flat', 'nonresidential', 'common')", name="ck_kind"),
        sa.ForeignKeyConstraint(
            ["building_id"],
            ["building.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("building_id", "number"),
    )
    op.create_index("ix_premises_account_number", "premises", ["account_number"])

    op.create_table(
        "user_session",
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at_us", sa.Integer(), nullable=False),
        sa.Column("seen_at_us", sa.Integer(), nullable=False),
        sa.Column("expires_at_us", sa.Integer(), nullable=False),
        sa.Column("csrf_token", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
        ),
        sa.PrimaryKeyConstraint("secret_hash"),
    )
    op.create_index("ix_user_session_user_id", "user_session", ["user_id"])

    op.create_table(
        "point",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=False),
        sa.Column("premises_id", sa.Integer(), nullable=True),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.CheckConstraint("direction IN ('in', 'out')", name="ck_direction"),
        sa.CheckConstraint("resource IN ('cold_water', 'hot_water', 'electricity', 'heat', 'gas')", name="ck_resource"),
        sa.CheckConstraint("role IN ('individual', 'house', 'node')", name="ck_role"),
        sa.ForeignKeyConstraint(
            ["building_id"],
            ["building.id"],
        ),
        sa.ForeignKeyConstraint(
            ["premises_id"],
            ["premises.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_point_building_resource", "point", ["building_id", "resource"])
    op.create_index("ix_point_premises_id", "point", ["premises_id"])

    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("installed_on", sa.Date(), nullable=False),
        sa.Column("installed_at_us", sa.Integer(), nullable=False),
        sa.Column("removed_on", sa.Date(), nullable=True),
        sa.Column("removed_at_us", sa.Integer(), nullable=True),
        sa.Column("start_value", sa.BigInteger(), nullable=False),
        sa.Column("end_value", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("removed_at_us IS NULL OR removed_at_us > installed_at_us", name="ck_removed_after"),
        sa.ForeignKeyConstraint(
            ["meter_id"],
            ["meter.id"],
        ),
        sa.ForeignKeyConstraint(
            ["point_id"],
            ["point.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_installation_meter", "installation", ["meter_id", "installed_at_us"])
    op.create_index("ix_installation_point", "installation", ["point_id", "installed_at_us"])

    op.create_table(
        "boundary",
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("installation_id", sa.Integer(), nullable=False),
        sa.Column("value_micro", sa.BigInteger(), nullable=False),
        sa.Column("total_micro", sa.BigInteger(), nullable=False),
        sa.Column("breaks", sa.Integer(), nullable=False),
        sa.Column("quality", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["installation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["point_id"],
            ["point.id"],
        ),
        sa.PrimaryKeyConstraint("point_id", "day"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_boundary_day", "boundary", ["day"])
    for table in APPEND_ONLY:
        refuse_changes(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
