"""The first schema: rounds, their files, log, people, choices and jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.String(32)
_HASH = sa.String(64)
_MOMENT = sa.String(32)
_NAME = sa.String(400)
_KEPT = "the log is append-only"


def upgrade() -> None:
    """Make all tables, and make the log append-only."""
    op.create_table(
        "rounds",
        sa.Column("id", _ID, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("deadline", _MOMENT, nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("head", _HASH, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("latest", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "files",
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("area", sa.String(16), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("sha256", _HASH, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("round_id", "area", "name"),
    )
    op.create_table(
        "log",
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("who", _NAME, nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", _HASH, nullable=False),
        sa.Column("hash", _HASH, nullable=False),
        sa.PrimaryKeyConstraint("round_id", "number"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "roles",
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("account_id", _ID, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("round_id", "account_id"),
    )
    op.create_table(
        "participants",
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("salt", _HASH, nullable=False),
        sa.Column("invited", _MOMENT, nullable=True),
        sa.Column("reminded", _MOMENT, nullable=True),
        sa.Column("visited", _MOMENT, nullable=True),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("round_id", "agent"),
    )
    op.create_table(
        "links",
        sa.Column("secret", _HASH, nullable=False),
        sa.Column("code", _HASH, nullable=True),
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=True),
        sa.Column("agent", _NAME, nullable=True),
        sa.Column("account_id", _ID, sa.ForeignKey("accounts.id"), nullable=True),
        sa.Column("expires", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("secret"),
        sa.UniqueConstraint("code"),
    )
    op.create_index("links_of_agents", "links", ["round_id", "agent"])
    op.create_table(
        "sessions",
        sa.Column("secret", _HASH, nullable=False),
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=True),
        sa.Column("agent", _NAME, nullable=True),
        sa.Column("account_id", _ID, sa.ForeignKey("accounts.id"), nullable=True),
        sa.Column("expires", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("secret"),
    )
    op.create_index("sessions_of_agents", "sessions", ["round_id", "agent"])
    op.create_table(
        "submissions",
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("receipt", _HASH, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("round_id", "agent"),
    )
    op.create_table(
        "requests",
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("key", _HASH, nullable=False),
        sa.Column("asked", _HASH, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("round_id", "agent", "key"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("round_id", _ID, sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("who", _NAME, nullable=False),
        sa.Column("asked", _MOMENT, nullable=False),
        sa.Column("begun", _MOMENT, nullable=True),
        sa.Column("finished", _MOMENT, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("share", sa.Float(), nullable=True),
        sa.Column("residual", sa.Float(), nullable=True),
        sa.Column("messages", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_state", "jobs", ["state"])
    op.create_index("jobs_of_rounds", "jobs", ["round_id"])
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER log_no_{change.lower()} BEFORE {change} ON log "
                f"BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION refuse_log_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_KEPT}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change()"
        )


def downgrade() -> None:
    """Drop all of it."""
    for table in (
        "jobs",
        "requests",
        "submissions",
        "sessions",
        "links",
        "participants",
        "roles",
        "log",
        "files",
        "accounts",
        "rounds",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION refuse_log_change()")
