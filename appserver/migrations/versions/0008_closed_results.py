"""What is frozen when a period is closed: results, recalculations of earlier periods; and that a period is opened again."""

import sqlalchemy as sa
from alembic import op

from appserver.ddl import refuse_changes

revision = "0008"
down_revision = "0007"

TABLES = ("period_result", "period_reopen", "period_recalculation")


def upgrade() -> None:
    op.create_table(
        "period_result",
        sa.Column("close_id", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["close_id"], ["period_close.id"]),
        sa.PrimaryKeyConstraint("close_id", "part"),
    )
    op.create_table(
        "period_reopen",
        sa.Column("close_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reopened_at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["close_id"], ["period_close.id"]),
        sa.PrimaryKeyConstraint("close_id"),
    )
    op.create_table(
        "period_recalculation",
        sa.Column("close_id", sa.Integer(), nullable=False),
        sa.Column("of_close_id", sa.Integer(), nullable=False),
        sa.Column("point_id", sa.Integer(), nullable=False),
        sa.Column("volume_micro", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["close_id"], ["period_close.id"]),
        sa.ForeignKeyConstraint(["of_close_id"], ["period_close.id"]),
        sa.ForeignKeyConstraint(["point_id"], ["point.id"]),
        sa.PrimaryKeyConstraint("close_id", "of_close_id", "point_id"),
        sqlite_with_rowid=False,
    )
    for table in TABLES:
        refuse_changes(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
