"""The catalogue, its history, and what is kept beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Exact on both: SQLite has no exact decimals.
MONEY = sa.Numeric().with_variant(sa.String(40), "sqlite")
CURRENT = sa.text("retired_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "asked_for",
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("value", sa.String(120), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", "day"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("catalogue_version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"], unique=False)

    op.create_table(
        "catalogue_version",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("facts_changed", sa.Boolean(), nullable=False),
        sa.Column("bundle", sa.String(80), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "currency_rate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("base", sa.String(3), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("rate", MONEY, nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("source", sa.String(500), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.Column("recorded_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "gpu",
        sa.Column("slug", sa.String(60), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("vendor", sa.String(40), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("is_bundled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("slug"),
    )
    op.create_table(
        "hub_record",
        sa.Column("hub_id_lower", sa.String(200), nullable=False),
        sa.Column("hub_id", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(30), nullable=False),
        sa.Column("revision", sa.String(80), nullable=True),
        sa.Column("base_hub_id", sa.String(200), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("content", sa.JSON(), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hub_id_lower"),
    )
    op.create_table(
        "model",
        sa.Column("slug", sa.String(120), nullable=False),
        sa.Column("hub_id", sa.String(200), nullable=False),
        sa.Column("hub_id_lower", sa.String(200), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("family", sa.String(60), nullable=False),
        sa.Column("released", sa.String(10), nullable=True),
        sa.Column("licence", sa.String(120), nullable=True),
        sa.Column("model_type", sa.String(60), nullable=False),
        sa.Column("total_parameters", sa.BigInteger(), nullable=False),
        sa.Column("active_parameters", sa.BigInteger(), nullable=False),
        sa.Column("text_parameters", sa.BigInteger(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("is_bundled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("slug"),
        sa.UniqueConstraint("hub_id_lower"),
    )
    op.create_table(
        "order_click",
        sa.Column("offer_public_id", sa.String(16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("clicks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("offer_public_id", "day"),
    )
    op.create_table(
        "provider",
        sa.Column("slug", sa.String(80), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("website", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("slug"),
    )
    op.create_table(
        "stored_config",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("ix_stored_config_last_used_at", "stored_config", ["last_used_at"], unique=False)

    op.create_table(
        "model_alias",
        sa.Column("alias", sa.String(200), nullable=False),
        sa.Column("model_slug", sa.String(120), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("is_bundled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_slug"],
            ["model.slug"],
        ),
        sa.PrimaryKeyConstraint("alias"),
    )
    op.create_index("ix_model_alias_model_slug", "model_alias", ["model_slug"], unique=False)

    op.create_table(
        "offer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(16), nullable=False),
        sa.Column("provider_slug", sa.String(80), nullable=False),
        sa.Column("gpu_slug", sa.String(60), nullable=False),
        sa.Column("sku", sa.String(120), nullable=True),
        sa.Column("gpus_per_server", sa.Integer(), nullable=False),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("commitment", sa.String(10), nullable=False),
        sa.Column("minimum_term", sa.String(20), nullable=True),
        sa.Column("tax_included", sa.Boolean(), nullable=True),
        sa.Column("setup_fee", MONEY, nullable=True),
        sa.Column("region", sa.String(120), nullable=True),
        sa.Column("in_stock", sa.Boolean(), nullable=True),
        sa.Column("observed_on", sa.Date(), nullable=True),
        sa.Column("is_sample", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(500), nullable=True),
        sa.Column("source_url", sa.String(1000), nullable=True),
        sa.Column("order_url", sa.String(1000), nullable=True),
        sa.Column("cpu", sa.String(120), nullable=True),
        sa.Column("cpu_count", sa.Integer(), nullable=True),
        sa.Column("memory_gb", MONEY, nullable=True),
        sa.Column("disk", sa.String(120), nullable=True),
        sa.Column("network", sa.String(120), nullable=True),
        sa.Column("software", sa.String(500), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.Column("recorded_version", sa.Integer(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_by", sa.String(200), nullable=True),
        sa.Column("retired_version", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["gpu_slug"],
            ["gpu.slug"],
        ),
        sa.ForeignKeyConstraint(
            ["provider_slug"],
            ["provider.slug"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_offer_current", "offer", ["public_id"], unique=True, sqlite_where=CURRENT, postgresql_where=CURRENT
    )
    op.create_index("ix_offer_history", "offer", ["public_id", "recorded_version"], unique=False)
    op.create_index("ix_offer_provider", "offer", ["provider_slug", "retired_at"], unique=False)
    op.create_index("ix_offer_recorded_version", "offer", ["recorded_version"], unique=False)
    op.create_index("ix_offer_retired_version", "offer", ["retired_version"], unique=False)


def downgrade() -> None:
    op.drop_table("offer")
    op.drop_table("model_alias")
    op.drop_table("stored_config")
    op.drop_table("provider")
    op.drop_table("order_click")
    op.drop_table("model")
    op.drop_table("hub_record")
    op.drop_table("gpu")
    op.drop_table("currency_rate")
    op.drop_table("catalogue_version")
    op.drop_table("audit_entry")
    op.drop_table("asked_for")
    op.drop_table("api_key")
