"""Grants of members, codes and tickets of residents, announcements, photos, readings told to ГИС ЖКХ."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def _id() -> sa.Column:
    return sa.Column("id", sa.Integer(), nullable=False, primary_key=True)


def _refers(name: str, table: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Integer(), sa.ForeignKey(f"{table}.id"), nullable=nullable)


def _text(name: str) -> sa.Column:
    return sa.Column(name, sa.String(), nullable=False)


def _at(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _day(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Date(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "role_grant",
        _id(),
        _refers("user_id", "user"),
        _text("party"),
        _refers("organisation_id", "organisation", True),
        _refers("building_id", "building", True),
        _refers("premises_id", "premises", True),
        _text("address"),
        _text("resource"),
        _day("since", True),
        _day("until", True),
        _text("operations"),
        _at("created_at_us"),
        _text("created_by"),
    )
    op.create_index("ix_role_grant_user_id", "role_grant", ["user_id"])
    op.create_index("ix_role_grant_premises_id", "role_grant", ["premises_id"])
    op.create_table(
        "resident_code",
        _id(),
        _refers("user_id", "user"),
        _text("account_number"),
        _text("code_hash"),
        _at("created_at_us"),
        _at("expires_at_us"),
        _at("used_at_us", True),
        _text("created_by"),
    )
    op.create_index("ix_resident_code_user_id", "resident_code", ["user_id"])
    op.create_index("ix_resident_code_account_number", "resident_code", ["account_number"])
    op.create_table(
        "photo",
        _id(),
        _refers("meter_id", "meter"),
        _day("taken_on"),
        _at("reading_at_us", True),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        _text("sha256"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _text("author"),
        _at("uploaded_at_us"),
        _text("remark"),
    )
    op.create_index("ix_photo_meter", "photo", ["meter_id", "id"])
    op.create_table(
        "ticket",
        _id(),
        _refers("premises_id", "premises"),
        _refers("user_id", "user", True),
        _text("kind"),
        _text("state"),
        _text("subject"),
        _at("created_at_us"),
        _at("changed_at_us"),
        sa.CheckConstraint("kind IN ('question', 'fault', 'charge', 'verification', 'other')", name="ck_kind"),
        sa.CheckConstraint("state IN ('new', 'in_work', 'done', 'rejected')", name="ck_state"),
    )
    op.create_index("ix_ticket_premises", "ticket", ["premises_id", "id"])
    op.create_index("ix_ticket_user_id", "ticket", ["user_id"])
    op.create_table(
        "ticket_message",
        _id(),
        _refers("ticket_id", "ticket"),
        _at("at_us"),
        _text("author"),
        sa.Column("by_staff", sa.Boolean(), nullable=False),
        _text("state"),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("ix_ticket_message_ticket_id", "ticket_message", ["ticket_id"])
    op.create_table(
        "announcement",
        _id(),
        _refers("organisation_id", "organisation", True),
        _refers("building_id", "building", True),
        _text("title"),
        sa.Column("text", sa.Text(), nullable=False),
        _day("first_day"),
        _day("last_day", True),
        _at("created_at_us"),
        _text("created_by"),
    )
    op.create_index("ix_announcement_building_id", "announcement", ["building_id"])
    op.create_table(
        "gis_reading",
        _id(),
        _refers("building_id", "building"),
        _refers("meter_id", "meter"),
        _text("number"),
        _text("resource"),
        _day("month"),
        _text("values_told"),
        _day("taken_on"),
        _at("sent_at_us"),
        _text("sent_by"),
        _text("state"),
        _text("said"),
        _at("said_at_us", True),
        sa.UniqueConstraint("building_id", "number", "resource", "month"),
        sa.CheckConstraint("state IN ('sent', 'accepted', 'refused')", name="ck_state"),
    )


def downgrade() -> None:
    for table in (
        "gis_reading", "announcement", "ticket_message", "ticket", "photo", "resident_code", "role_grant"
    ):  # fmt: skip
        op.drop_table(table)
