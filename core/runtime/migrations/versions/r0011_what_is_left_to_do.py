"""Indexes of what is left to do, so that it is found without a look at all that was ever done: transactions whose
progress no swap has heard of, holds of an account that lapsed, swaps that came to nothing.
"""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0011"
down_revision = "0010"

UNREPORTED = "told IS NOT NULL AND told <> CASE WHEN reverted THEN status || '-reverted' ELSE status END"  # prose: ok


def upgrade() -> None:
    if has("relayer_transactions"):
        op.create_index(
            "ix_relayer_transactions_unreported",
            "relayer_transactions",
            ["id"],
            sqlite_where=sa.text(UNREPORTED),
            postgresql_where=sa.text(UNREPORTED),
        )
    if has("relayer_swaps"):
        op.drop_index("ix_relayer_swaps_initiator_sender", "relayer_swaps")
        for columns in (["initiator_sender", "phase", "hold_until_ns"], ["phase", "updated_ns"]):
            op.create_index(f"ix_relayer_swaps_{'_'.join(columns)}", "relayer_swaps", columns)
