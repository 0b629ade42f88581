"""Rules that organisations enter; norms of an unreleased table of their own become such rules."""

import json
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KINDS = {"person_month": ("norm", "per_person"), "common_m2_month": ("common_norm", "per_m2")}


def upgrade() -> None:
    op.create_table(
        "own_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organisation_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("recorded_at_us", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at_us", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_by", sa.String(), nullable=False),
        sa.Column("withdrawn_reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_own_rule_kind", "own_rule", ["kind", "valid_from"])
    op.create_index("ix_own_rule_organisation_id", "own_rule", ["organisation_id"])
    connection = op.get_bind()
    if "norm" in sa.inspect(connection).get_table_names():
        _carry_over(connection)
        op.drop_table("norm")


def _carry_over(connection: sa.Connection) -> None:
    """What was entered as a norm: one of a building keeps to its address, the term and the source stay."""
    rows = connection.execute(
        sa.text(
            "SELECT n.resource, n.kind, n.value, n.valid_from, n.valid_until, n.source, b.address, b.organisation_id"
            " FROM norm n LEFT JOIN building b ON b.id = n.building_id ORDER BY n.id"
        )
    ).all()
    for resource, old, value, first, last, source, address, organisation in rows:
        kind, key = KINDS[old]
        connection.execute(
            sa.text(
                "INSERT INTO own_rule (organisation_id, kind, name, address, valid_from, valid_to, source, note, says,"
                " author, recorded_at_us, withdrawn_by, withdrawn_reason) VALUES (:organisation, :kind, :name, :address,"
                " :first, :last, :source, '', :says, 'migration', 0, '', '')"
            ),
            {
                "organisation": organisation,
                "kind": kind,
                "name": resource,
                "address": address or "",
                "first": first,
                "last": last,
                "source": source or "—",
                "says": json.dumps({"resource": resource, key: format(Decimal(value).scaleb(-6), "f")}),
            },
        )


def downgrade() -> None:
    op.drop_table("own_rule")
