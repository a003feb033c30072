"""Indexes of locks and agreed legs by their parties: the swaps of an account are found without a look at all others.

They are partial, with a condition that is true of every row: no statement uses them that does not say it.
"""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0017"
down_revision = "0016"

_ALL = {"indexer_locks": "lock_index >= 0", "indexer_agreement_legs": "timelock >= 0"}


def upgrade() -> None:
    for table, every in _ALL.items():
        if has(table):
            for party in ("sender", "receiver"):
                where = sa.text(every)
                op.create_index(f"ix_{table}_{party}", table, [party], sqlite_where=where, postgresql_where=where)
