"""Who is signed in to the operator's pages, and the uploads they have yet to confirm."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "admin_session",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"]),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("ix_admin_session_expires_at", "admin_session", ["expires_at"], unique=False)
    op.create_index("ix_admin_session_key_id", "admin_session", ["key_id"], unique=False)

    op.create_table(
        "pending_upload",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("shown", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_pending_upload_created_at", "pending_upload", ["created_at"], unique=False)
    op.create_index("ix_pending_upload_key_id", "pending_upload", ["key_id"], unique=False)


def downgrade() -> None:
    op.drop_table("pending_upload")
    op.drop_table("admin_session")
