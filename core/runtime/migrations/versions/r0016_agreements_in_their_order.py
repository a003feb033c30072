"""An index of agreed terms in the order in which they were reported: who reads the new ones looks at no others."""

from alembic import op

from core.runtime.migrations import has

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    if has("indexer_agreements"):
        op.create_index("ix_indexer_agreements_reported", "indexer_agreements", ["reported_ns", "swap_id"])
