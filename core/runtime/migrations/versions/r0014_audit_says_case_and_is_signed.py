"""Entries of the audit log name the case that a read was for, and carry the signature of who wrote them."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    if has("regulator_audit"):
        op.add_column("regulator_audit", sa.Column("case_id", sa.String(128), nullable=False, server_default=""))
        op.add_column("regulator_audit", sa.Column("signature", sa.LargeBinary(64)))
