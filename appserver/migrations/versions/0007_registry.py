"""Passports of meters, acts of installations, entrances, accounts, seals, verifications, the journal of the registry."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import refuse_changes

revision = "0007"
down_revision = "0006"

TEXT = {"nullable": False, "server_default": ""}
ADDED: dict[str, tuple[sa.Column, ...]] = {
    "building": (
        sa.Column("state", sa.String(), nullable=False, server_default="commissioned"),
        sa.Column("built_year", sa.Integer(), nullable=True),
        sa.Column("floors", sa.Integer(), nullable=True),
    ),
    "premises": (sa.Column("floor", sa.Integer(), nullable=True),),
    "meter": (
        sa.Column("state", sa.String(), nullable=False, server_default="in_stock"),
        sa.Column("type_number", sa.String(), **TEXT),
        sa.Column("made_year", sa.Integer(), nullable=True),
        sa.Column("q3", sa.BigInteger(), nullable=True),
        sa.Column("dn_mm", sa.Integer(), nullable=True),
        sa.Column("accuracy", sa.String(), **TEXT),
        sa.Column("verification_months", sa.Integer(), nullable=True),
        sa.Column("pulse_weight", sa.Text(), nullable=True),
        sa.Column("firmware", sa.String(), **TEXT),
    ),
    "installation": (
        sa.Column("install_act", sa.String(), **TEXT),
        sa.Column("installed_by", sa.String(), **TEXT),
        sa.Column("commissioned_on", sa.Date(), nullable=True),
        sa.Column("commission_act", sa.String(), **TEXT),
        sa.Column("removal_act", sa.String(), **TEXT),
        sa.Column("removed_by", sa.String(), **TEXT),
        sa.Column("removal_reason", sa.String(), **TEXT),
    ),
}


def upgrade() -> None:
    op.create_table(
        "entrance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("building_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("floors", sa.Integer(), nullable=True),
        sa.Column("door_code", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["building_id"], ["building.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("building_id", "number"),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("premises_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("unified_number", sa.String(), nullable=False),
        sa.Column("service_id", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("share", sa.BigInteger(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["premises_id"], ["premises.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("premises_id", "number"),
    )
    op.create_index("ix_account_number", "account", ["number"])
    op.create_table(
        "meter_seal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("set_on", sa.Date(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_act", sa.String(), nullable=False),
        sa.Column("removed_on", sa.Date(), nullable=True),
        sa.Column("removed_by", sa.String(), nullable=False),
        sa.Column("removed_act", sa.String(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("meter_id", "number", "set_on"),
    )
    op.create_index("ix_meter_seal_number", "meter_seal", ["number"])
    op.create_table(
        "meter_verification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Integer(), nullable=False),
        sa.Column("verified_on", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("arshin_number", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.CheckConstraint("result IN ('fit', 'unfit')", name="ck_result"),
        sa.ForeignKeyConstraint(["meter_id"], ["meter.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("meter_id", "verified_on"),
    )
    op.create_table(
        "registry_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recorded_at_us", sa.Integer(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_registry_event_subject", "registry_event", ["subject", "subject_id", "id"])
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.execute("ALTER TABLE premises ADD COLUMN entrance_id INTEGER REFERENCES entrance (id)")
    _carry_over()
    refuse_changes("registry_event")


def _carry_over() -> None:
    """What the columns said so far becomes the first row of each history."""
    op.execute(
        "INSERT INTO meter_verification"
        " (meter_id, verified_on, valid_until, result, document, arshin_number, organisation, remark)"
        " SELECT id, verified_on, verification_until, 'fit', '', '', '', '' FROM meter"
        " WHERE verified_on IS NOT NULL OR verification_until IS NOT NULL"
    )
    op.execute(
        "INSERT INTO account (premises_id, number, unified_number, service_id, holder)"
        " SELECT id, account_number, '', '', '' FROM premises WHERE account_number <> ''"
    )
    op.execute("UPDATE meter SET state = 'removed' WHERE id IN (SELECT meter_id FROM installation)")
    op.execute(
        "UPDATE meter SET state = 'installed' WHERE id IN (SELECT meter_id FROM installation WHERE removed_at_us IS NULL)"
    )


def downgrade() -> None:
    op.drop_table("registry_event")
    op.drop_table("meter_verification")
    op.drop_table("meter_seal")
    op.drop_table("account")
    op.execute("ALTER TABLE premises DROP COLUMN entrance_id")
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column.name)
    op.drop_table("entrance")
