"""Hours of points packed by month, and what of them is due."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

DAY_US = 86_400_000_000
REGISTER = "CASE p.resource WHEN 'electricity' THEN 'energy' WHEN 'heat' THEN 'heat' ELSE 'volume' END"


def upgrade() -> None:
    op.create_table(
        "point_hours",
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("volumes", sa.LargeBinary(), nullable=False),
        sa.Column("ranks", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["point_id"], ["point.id"]),
        sa.PrimaryKeyConstraint("point_id", "month"),
    )
    op.create_table(
        "hours_due",
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Integer(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("point_id", "first_day", "last_day"),
        sqlite_with_rowid=False,
    )
    # Of what is there already, all hours are due; the server computes them beside its other work.
    for table in ("reading", "correction"):
        newest = (
            f"(SELECT max(r.measured_at_us) FROM {table} r WHERE r.meter_id = i.meter_id AND r.register = {REGISTER})"
        )
        op.execute(
            f"INSERT INTO hours_due SELECT w.point_id, min(w.first_us) / {DAY_US}, max(w.last_us) / {DAY_US} FROM"
            f" (SELECT i.point_id, i.installed_at_us AS first_us, {newest} AS last_us FROM installation i"
            "  JOIN point p ON p.id = i.point_id) w WHERE w.last_us >= w.first_us GROUP BY w.point_id"
            " ON CONFLICT DO NOTHING"
        )


def downgrade() -> None:
    op.drop_table("hours_due")
    op.drop_table("point_hours")
